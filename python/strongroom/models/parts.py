"""Models in parts: `NAME-00001-of-00005.gguf` and so on, as `llama-gguf-split` names them."""

import re
from pathlib import Path

from strongroom.errors import SourceError
from strongroom.options import shown

__all__ = ["parts_of"]

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII | re.DOTALL)
MAX_PARTS = 1024


def parts_of(path: str) -> list[str]:
    """Return the paths of every part of the model whose first part is named; none for any other file.

    Only names are looked at: whether the files are those parts is seen when they are read.

    Raises SourceError where the path is that of another part, or another part of that model lies beside
    them.
    """
    first = Path(path)
    match = PART.fullmatch(first.name)
    if match is None:
        return []
    stem, number, count = match["stem"], int(match["number"]), int(match["count"])
    if not 2 <= count <= MAX_PARTS:
        raise SourceError("source.parts", f"{shown(path)} is named as one of {count} parts")
    if number != 1:
        raise SourceError("source.parts", f"{shown(path)} is named as part {number} of a model")
    names = [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    try:
        beside = {other.name for other in first.parent.iterdir()}
    except OSError:  # opening the first part says why
        beside = set()
    for other in sorted(beside - set(names)):
        if (match := PART.fullmatch(other)) is not None and match["stem"] == stem:
            raise SourceError("source.parts", f"{shown(other)} is beside {shown(path)}, and no part of it")
    return [str(first.with_name(name)) for name in names]
