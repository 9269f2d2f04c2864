"""`index.json`: which store it is, and which name it knows which sealed file by.

A JSON object, `{"format": 2, "store": ID, "models": {NAME: {"file": …, "digest": …, "size": …, "version": …,
"architecture": …, "added": …, "bound": …}}}`. It is replaced whole, in one rename, by one process at a time.
Nothing in it is believed: what a model is, and which store it is of, its sealed file says, whose context is
authenticated.

Format 1 had neither `store` nor `bound`. It is read, and written again as it was, until the first model of
the store is sealed anew.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from strongroom.documents import members, read_document, write_document
from strongroom.errors import OptionError, StoreError
from strongroom.keeping import Refusals
from strongroom.options import shown
from strongroom.quantities import invalid
from strongroom.trust import words

__all__ = [
    "REFUSALS",
    "Entry",
    "Index",
    "checked_name",
    "file_name",
    "is_file_name",
    "is_id",
    "message_id",
    "new_id",
    "read",
    "write",
]

FORMAT = 2
UNIDENTIFIED = 1
"""The format of a store without an id."""
MOST_BYTES = 16 << 20
MOST_NAME = 128

REFUSALS = Refusals(StoreError, "the store's file", "store.index_")

ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
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
    bound: bool = True
    """Whether it is sealed as a model of this very store; one that an older version sealed isn't."""


class Index(NamedTuple):
    """All of it."""

    store: str | None
    """The store's id, 32 hexadecimal digits; one that an older version made has none."""
    entries: dict[str, Entry]


def new_id() -> str:
    """Return an id that no other store has: 128 random bits."""
    return secrets.token_hex(16)


def is_id(value: object) -> bool:
    """Whether it is one."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


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


def read(path: str) -> Index:
    """Return it.

    Raises StoreError where it is not there or damaged, or others can write to it.
    """
    return read_document(path, MOST_BYTES, REFUSALS, parsed)


def parsed(document: object) -> Index:
    """Check the whole."""
    old = isinstance(document, dict) and document.get("format") == UNIDENTIFIED
    found = members(document, {"format", "models"} | (set() if old else {"store"}), "it")
    if found["format"] not in {UNIDENTIFIED, FORMAT} or isinstance(found["format"], bool):
        raise ValueError(f"its format is neither {UNIDENTIFIED} nor {FORMAT}")
    store = None if old else found["store"]
    if not old and not is_id(store):
        raise ValueError("its store is no id")
    if not isinstance(found["models"], dict):
        raise ValueError("its models are no object")  # noqa: TRY004 - of the file, not of an argument
    return Index(store, dict(entries_of(found["models"], old=old)))


def entries_of(models: Mapping[str, Any], *, old: bool) -> Iterator[tuple[str, Entry]]:
    """Check every entry."""
    names = {field.name for field in fields(Entry)} - ({"bound"} if old else set())
    files: set[str] = set()
    for name, value in models.items():
        entry = members(value, names, "an entry")
        found = checked(name, {"bound": False} | entry)
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
    if not isinstance(found["bound"], bool):
        raise invalid("bound", entry.bound, "true or false")
    return entry


def write(path: str, found: Index) -> None:
    """Replace the index: whole, and on the disk, or not at all. Whoever calls it holds the guard."""
    models = {name: asdict(entry) for name, entry in sorted(found.entries.items())}
    document: dict[str, Any] = {"format": FORMAT, "store": found.store, "models": models}
    if found.store is None:
        for entry in models.values():
            del entry["bound"]
        document = {"format": UNIDENTIFIED, "models": models}
    write_document(path, document, MOST_BYTES, REFUSALS)
