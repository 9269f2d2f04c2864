"""`strongroom.lock`: what was loaded under which name, so that a change is noticed.

A JSON object, `{"format": 1, "models": {NAME: {"digest": …, "signer": …, "version": …}}}`. It is replaced
whole, in one rename, by one process at a time.
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from strongroom.documents import members, read_document, write_document
from strongroom.errors import TrustError
from strongroom.keeping import Refusals, guarded
from strongroom.text import printable
from strongroom.trust import words
from strongroom.trust.decision import Refusal

__all__ = ["Record", "accept", "compare", "hold", "read"]

MOST_BYTES = 4 << 20
FORMAT = 1

REFUSALS = Refusals(TrustError, "the record of models", "trust.lock_")


@dataclass(frozen=True, slots=True)
class Record:
    """What was loaded under a name."""

    digest: str
    signer: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [self.digest]
        parts += [f"version {self.version}"] if self.version else []
        parts += [f"signed by {printable(self.signer, keep='')}"] if self.signer else []
        return ", ".join(parts)


def compare(path: str, name: str, before: Record | None, now: Record) -> tuple[Record, Refusal | None]:
    """Hold what is to be loaded to what was; return what `path` is to have of it.

    Of the same bytes, a signer or a version that was not known before is added to what is known.
    """
    if before is None:
        return now, None
    words_of_command = ["strongroom", "trust", "accept", name, now.digest]
    words_of_command += ["--model-version", now.version] if now.version else []
    words_of_command += ["--lock", path]
    next_step = f"if that is meant: {printable(shlex.join(words_of_command), keep='')}"
    told = f"{name!r} was {before} when it was last loaded, and is {now} now"
    if before.version and now.version and words.version_key(now.version) < words.version_key(before.version):
        return before, Refusal("trust.rollback", f"{told}: an older version", next_step)
    known = [(before.digest, now.digest), (before.signer, now.signer), (before.version, now.version)]
    if any(was and found and was != found for was, found in known):
        return before, Refusal("trust.changed", told, next_step)
    return Record(now.digest, before.signer or now.signer, before.version or now.version), None


def hold(path: str, name: str, now: Record) -> str:
    """Record what is to be loaded, and say what was done; what differs from the record is refused.

    Raises TrustError; the file is then as it was.
    """
    before = read(path).get(name)
    record, refusal = compare(path, name, before, now)
    if refusal is None and record != before:
        with guarded(path, REFUSALS):
            records = read(path)  # another process may have been faster
            before = records.get(name)
            record, refusal = compare(path, name, before, now)
            if refusal is None and record != before:
                write(path, records | {name: record})
    if refusal is not None:
        raise TrustError(*refusal)
    return f"{path} {'now has' if before is None else 'has'} {name!r} as {record}"


def accept(path: str, name: str, now: Record) -> Record | None:
    """Record what the operator accepts, whatever was there; returns that.

    Raises TrustError; the file is then as it was.
    """
    with guarded(path, REFUSALS):
        records = read(path)
        if records.get(name) != now:
            write(path, records | {name: now})
    return records.get(name)


def read(path: str) -> dict[str, Record]:
    """Return every record; of a file that isn't there, none.

    Raises TrustError where it is damaged, or others can write to it.
    """
    try:
        return read_document(path, MOST_BYTES, REFUSALS, lambda document: dict(parsed(document)))
    except TrustError as error:
        if error.code == "trust.lock_missing" and not os.path.lexists(path):
            return {}
        raise


def parsed(document: object) -> Iterator[tuple[str, Record]]:
    """Check every record."""
    found = members(document, {"format", "models"}, "it")
    if found["format"] != FORMAT or isinstance(found["format"], bool):
        raise ValueError(f"its format is not {FORMAT}")
    if not isinstance(found["models"], dict):
        raise ValueError("its models are no object")  # noqa: TRY004 - of the file, not of an argument
    for name, value in found["models"].items():
        entry = members(value, {"digest", "signer", "version"}, "a record")
        words.text_of("a name", name, "a model's name")
        digest = words.fingerprint_of("digest", entry["digest"])
        if entry["signer"] is not None:
            words.text_of("signer", entry["signer"], "text or null")
        if entry["version"] is not None:
            words.version_of("version", entry["version"])
        yield name, Record(digest, entry["signer"], entry["version"])


def write(path: str, records: Mapping[str, Record]) -> None:
    """Replace the file: whole, and on the disk, or not at all. Whoever calls it holds the guard."""
    models = {
        name: {"digest": record.digest, "signer": record.signer, "version": record.version}
        for name, record in sorted(records.items())
    }
    write_document(path, {"format": FORMAT, "models": models}, MOST_BYTES, REFUSALS)
