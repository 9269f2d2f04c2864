"""The journal of a batch: its answers, one line each, so that a killed batch goes on where it ended.

JSON Lines. The first line names the batch: the model's digest, the chat template and the context length that
it was loaded with, and the options; each further line is an answer under its key, the SHA-256 of all that,
the prompt, and how many times the prompt came before. Every line ends in a checksum of itself and is on the
disk before the next. What a kill tore off at the end is dropped; anything else that isn't as it was written
is refused, and left as it is.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any, Self

from strongroom.errors import JournalError
from strongroom.messages import Message
from strongroom.options import shown
from strongroom.results import Completion, ModelInfo, Timings
from strongroom.sampling import Sampling

__all__ = ["Journal", "key_of", "options_digest"]

KIND = "strongroom batch"
VERSION = 1
LONGEST = 64 << 20
"""Bytes of a line; no answer has as many."""
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

DIFFERENT = {
    "model": "another model",
    "template": "another chat template",
    "context_length": "another context length",
    "options": "other options",
}
"""What the first line binds a batch to, as an error calls it."""

PARTS = {field.name for field in fields(Completion)} - {"model"}
"""Of an answer; the name that its model is loaded under may be another the next time."""


def canonical(value: object) -> bytes:
    """Return the one way in which a value is written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def options_digest(sampling: Sampling, *, raw: bool, seed: int | None) -> str:
    """Return what tells one set of options from another; a `seed` that is None is chosen anew each time."""
    options: dict[str, Any] = {field.name: getattr(sampling, field.name) for field in fields(sampling)}
    options |= {"logit_bias": sorted(sampling.logit_bias.items()), "stop": list(sampling.stop)}
    return hashlib.sha256(canonical({**options, "seed": seed, "raw": raw})).hexdigest()


def key_of(prompt: str | tuple[Message, ...]) -> bytes:
    """Return what tells one prompt from another."""
    said = prompt if isinstance(prompt, str) else [[m.role, m.content, m.name] for m in prompt]
    return hashlib.sha256(canonical(said)).digest()


class Journal:
    """The journal of one batch, open and locked until it is closed. Answers stay on the disk."""

    def __init__(self, path: str, model: ModelInfo, *, options: str) -> None:
        """Open the journal of a batch for `model`, or begin it; `options` is their digest.

        Raises JournalError: it can't be read or written, is another batch's, in use, or damaged.
        """
        self._descriptor = -1
        self._pid = os.getpid()
        self._path = path
        self._header = header_of(model, options)
        self._bound = canonical(self._header)
        self._seen: Counter[bytes] = Counter()
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._descriptor = os.open(path, FLAGS, 0o600)
        except (OSError, ValueError) as error:
            raise self._failed(error) from None
        try:
            self._check()
            self._read()
        except OSError as error:
            self.close()
            raise self._failed(error) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Close it in the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file. Again is nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            # A process that was forked meanwhile holds the same lock: closing alone would leave it there.
            # Only the process that took it ends it.
            if os.getpid() == self._pid:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def __del__(self) -> None:
        """Let go of the file, where nobody closed it."""
        self.close()

    def key(self, prompt: str | tuple[Message, ...]) -> str:
        """Return the key of the next prompt of the batch: the same prompt gets another each time it comes."""
        item = key_of(prompt)
        self._seen[item] += 1
        return hashlib.sha256(self._bound + item + str(self._seen[item]).encode()).hexdigest()

    def answer(self, key: str, model: str) -> Completion | None:
        """Return the answer that is there, of the model that is loaded as `model`."""
        if (place := self._places.get(key)) is None:
            return None
        offset, length = place
        try:
            line = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise self._failed(error) from None
        return self._completion(self._checked(line, f"at byte {offset}"), model)

    def write(self, key: str, answer: Completion) -> None:
        """Add an answer. It is on the disk when this returns."""
        found = {name: value for name, value in asdict(answer).items() if name in PARTS}
        try:
            self._append({"key": key, "answer": found})
        except OSError as error:
            raise self._failed(error) from None

    def _append(self, record: dict[str, Any]) -> None:
        """Write a line with its checksum; what was written of one that fails is taken back."""
        line = line_of(record)
        before = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise

    def _check(self) -> None:
        """Refuse a file that others can read or write, that is none, or that another batch has open."""
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise JournalError("journal.special", f"{shown(self._path)} is no regular file")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise JournalError(
                "journal.permissions",
                f"{shown(self._path)} is another user's, or open to others: it holds answers",
            )
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError("journal.busy", f"another batch uses {shown(self._path)}") from None

    def _read(self) -> None:
        """Find every answer; drop what was torn off at the end, and begin a journal that is empty."""
        place = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                if not line.endswith(b"\n") and len(line) < LONGEST:
                    # Torn off; where nothing comes before, it may as well be another program's file.
                    if number == 1 and not line_of(self._header).startswith(line):
                        raise self._foreign("is no journal of this batch")
                    break
                record = self._checked(line, f"in line {number}")
                if number == 1:
                    self._compare(record)
                else:
                    self._completion(record, "")  # is it one?
                    self._places[record["key"]] = (place, len(line))
                place += len(line)
        os.ftruncate(self._descriptor, place)
        if place == 0:
            self._append(self._header)

    def _compare(self, record: dict[str, Any]) -> None:
        """Refuse the journal of another batch."""
        if record.get("journal") != KIND or record.get("version") != VERSION:
            raise self._foreign("is no journal of a batch that this version can read")
        for name, what in DIFFERENT.items():
            if record.get(name) != self._header[name]:
                raise self._foreign(f"is of a batch with {what}")

    def _checked(self, line: bytes, where: str) -> dict[str, Any]:
        """Read a line, if it is as it was written."""
        try:
            record = json.loads(line)
            sound = isinstance(record, dict) and record.pop("sum", None) == checksum(record)
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            raise JournalError("journal.damaged", f"{shown(self._path)} is damaged {where}")
        return dict(record)

    def _completion(self, record: dict[str, Any], model: str) -> Completion:
        """Build the answer that a line holds."""
        answer = record.get("answer")
        if isinstance(record.get("key"), str) and isinstance(answer, dict) and answer.keys() == PARTS:
            with suppress(TypeError):  # timings that are none
                return Completion(model=model, **{**answer, "timings": Timings(**answer["timings"])})
        raise self._foreign("holds a line that is no answer")

    def _foreign(self, what: str) -> JournalError:
        """Build the error for a journal that isn't this batch's."""
        return JournalError("journal.foreign", f"{shown(self._path)} {what}")

    def _failed(self, error: Exception) -> JournalError:
        """Build the error for what the system refuses."""
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            return JournalError("journal.special", f"{shown(self._path)} is a link")
        reason = getattr(error, "strerror", None) or "no file has such a name"
        return JournalError("journal.unusable", f"{shown(self._path)} can't be used: {reason}")


def header_of(model: ModelInfo, options: str) -> dict[str, Any]:
    """Return what the first line says. A template of the file's is bound by the file's digest."""
    return {
        "journal": KIND,
        "version": VERSION,
        "model": model.digest,
        "template": model.template_digest,
        "context_length": model.context_length,
        "options": options,
    }


def line_of(record: dict[str, Any]) -> bytes:
    """Return the line that a record is written as."""
    return canonical({**record, "sum": checksum(record)}) + b"\n"


def checksum(record: dict[str, Any]) -> str:
    """Return what a line ends in: it tells damage, and is no proof against whoever may write the file."""
    return hashlib.sha256(canonical(record)).hexdigest()[:16]
