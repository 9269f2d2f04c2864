"""`index.json`: which name a store knows which sealed file by.

A JSON object, `{"format": 1, "models": {NAME: {"file": …, "digest": …, "size": …, "version": …,
"architecture": …, "added": …}}}`. It is replaced whole, in one rename, by one process at a time. Nothing in
it is believed: what a model is, its sealed file says, whose context is authenticated.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from strongroom.errors import OptionError, StoreError, StrongroomError
from strongroom.keeping import Refusals, read_kept, replace
from strongroom.options import shown
from strongroom.quantities import invalid
from strongroom.text import printable
from strongroom.trust import words

__all__ = ["REFUSALS", "Entry", "checked_name", "file_name", "is_file_name", "message_id", "read", "write"]

FORMAT = 1
MOST_BYTES = 16 << 20
MOST_NAME = 128

REFUSALS = Refusals(StoreError, "the store's file", "store.index_")

FILE = re.compile(r"[0-9a-f]{64}-[0-9a-f]{64}\.sealed", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a sealed model without a key."""

    file: str
    """Of the directory `models`: the SHA-256 of the model, and the id of the message that it is sealed as."""
    digest: str
    size: int
    """Bytes of the model; its sealed file has a few more."""
    version: str | None
    architecture: str
    added: str
    """When, in UTC, as RFC 3339 has it."""


def file_name(digest: str, message_id: str) -> str:
    """Return the name of a sealed file."""
    return f"{digest.removeprefix('sha256:')}-{message_id}.sealed"


def message_id(entry: Entry) -> str:
    """Return the message that a sealed file is named by."""
    return entry.file.removesuffix(".sealed").rpartition("-")[2]


def is_file_name(name: str) -> bool:
    """Whether a store has such names."""
    return FILE.fullmatch(name) is not None


def checked_name(name: object) -> str:
    """Check the name of a model in a store: one that can't be taken for a path or a source."""
    if not isinstance(name, str):
        raise OptionError("option.wrong_type", f"a model's name must be a string, not {shown(name)}")
    wrong = {*"/:\\"} & {*name} or name.endswith(".gguf") or name != name.strip()
    if not name.isprintable() or not 1 <= len(name) <= MOST_NAME or wrong:
        raise OptionError(
            "option.out_of_range",
            f"{shown(name)} can't be a name in a store: it is printable, of 1 to {MOST_NAME} characters, "
            "without / : and \\, and doesn't end in .gguf",
        )
    return name


def read(path: str) -> dict[str, Entry]:
    """Return every entry.

    Raises StoreError where it is not there or damaged, or others can write to it.
    """
    kept = read_kept(path, MOST_BYTES, REFUSALS)
    try:
        return dict(parsed(json.loads(kept.data.decode(), object_pairs_hook=distinct)))
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, StrongroomError) as error:
        reason = error.message if isinstance(error, StrongroomError) else printable(str(error), keep="")
    raise REFUSALS.refusal("malformed", path, f"is damaged: {reason}")


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, of which no key may be there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def parsed(document: object) -> Iterator[tuple[str, Entry]]:
    """Check every entry."""
    if not isinstance(document, dict) or document.keys() != {"format", "models"}:
        raise ValueError("it is no object of format and models")
    if document["format"] != FORMAT or isinstance(document["format"], bool):
        raise ValueError(f"its format is not {FORMAT}")
    models = document["models"]
    if not isinstance(models, dict):
        raise ValueError("its models are no object")  # noqa: TRY004 - of the file, not of an argument
    names = {field.name for field in fields(Entry)}
    files: set[str] = set()
    for name, entry in models.items():
        if not isinstance(entry, dict) or entry.keys() != names:
            raise ValueError(f"an entry is no object of {', '.join(sorted(names))}")
        found = checked(name, entry)
        if found.file in files:
            raise ValueError("a file is there under two names")
        files.add(found.file)
        yield name, found


def checked(name: str, found: Mapping[str, Any]) -> Entry:
    """Check one."""
    entry = Entry(**found)
    file, size, added = found["file"], found["size"], found["added"]
    checked_name(name)
    digest = words.fingerprint_of("digest", entry.digest)
    if not isinstance(file, str) or not is_file_name(file):
        raise invalid("file", entry.file, "the name of a sealed file")
    if not entry.file.startswith(digest.removeprefix("sha256:")):
        raise ValueError("a file is not named by its digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise invalid("size", entry.size, "a number of bytes")
    if entry.version is not None:
        words.version_of("version", entry.version)
    words.text_of("architecture", entry.architecture, "an architecture's name")
    if not isinstance(added, str) or datetime.fromisoformat(added).tzinfo is None:
        raise invalid("added", entry.added, "a time with its zone")
    return entry


def write(path: str, entries: Mapping[str, Entry]) -> None:
    """Replace the index: whole, and on the disk, or not at all. Whoever calls it holds the guard."""
    models = {name: asdict(entry) for name, entry in sorted(entries.items())}
    data = (json.dumps({"format": FORMAT, "models": models}, indent=2) + "\n").encode()
    if len(data) > MOST_BYTES:
        raise REFUSALS.refusal("unwritable", path, f"can't be written: it would have {len(data)} bytes")
    replace(path, data, REFUSALS)
