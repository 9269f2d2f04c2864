"""Models in parts: `NAME-00001-of-00005.gguf` and so on, as `llama-gguf-split` names them."""

import re
from pathlib import Path

from strongroom.errors import SourceError
from strongroom.models.source import Remote
from strongroom.options import shown

__all__ = ["file_name", "parts_of", "sources_of"]

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII | re.DOTALL)
# What is before the file's name, the name, and what is behind it: a query, or a revision.
SOURCES = (
    re.compile(r"(https://[^?]*/)([^/?%]+)((?:\?.*)?)", re.IGNORECASE | re.DOTALL),
    re.compile(r"(hf://[^@]*/)([^/@]+)((?:@.*)?)", re.IGNORECASE | re.DOTALL),
)
MAX_PARTS = 1024


def stem_of(name: str) -> str | None:
    """Return what the names of a model's parts begin with; None for any other file's."""
    match = PART.fullmatch(name)
    return None if match is None else match["stem"]


def parts_named(name: str, told: str) -> list[str]:
    """Return the names of every part of the model whose first part has this name; none for any other file.

    Raises SourceError where it is that of another part; `told` is the file in the message.
    """
    match = PART.fullmatch(name)
    if match is None:
        return []
    number, count = int(match["number"]), int(match["count"])
    if not 2 <= count <= MAX_PARTS:
        raise SourceError("source.parts", f"{told} is named as one of {count} parts")
    if number != 1:
        raise SourceError("source.parts", f"{told} is named as part {number} of a model")
    return [f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def parts_of(path: str) -> list[str]:
    """Return the paths of every part of the model whose first part is named; none for any other file.

    Only names are looked at: whether the files are those parts is seen when they are read.

    Raises SourceError where the path is that of another part, or another part of that model lies beside
    them.
    """
    first = Path(path)
    names = parts_named(first.name, shown(path))
    if not names:
        return []
    try:
        beside = {other.name for other in first.parent.iterdir()}
    except OSError:  # opening the first part says why
        beside = set()
    stem = stem_of(first.name)
    for other in sorted(beside - set(names)):
        if stem_of(other) == stem:
            raise SourceError("source.parts", f"{shown(other)} is beside {shown(path)}, and no part of it")
    return [str(first.with_name(name)) for name in names]


def sources_of(source: Remote) -> dict[str, Remote]:
    """Return the sources of every part of the model whose first part is named, by their files' names.

    Raises SourceError as `parts_of`.
    """
    before, name, behind = pieces(source)
    return {part: Remote(f"{before}{part}{behind}") for part in parts_named(name, repr(source))}


def file_name(source: Remote) -> str:
    """Return the name of the file that a source is, without a query or a revision; it may be empty."""
    return pieces(source)[1]


def pieces(source: Remote) -> tuple[str, str, str]:
    """Return what is before the file's name, the name, and what is behind it."""
    for form in SOURCES:
        if (match := form.fullmatch(source.url)) is not None:
            return match[1], match[2], match[3]
    return source.url, "", ""
