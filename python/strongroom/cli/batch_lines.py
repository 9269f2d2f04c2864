"""The lines that `strongroom batch` reads and writes: JSON, one prompt or one result each."""

import json
import os
import stat
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from strongroom.errors import PromptError, SourceError, StrongroomError
from strongroom.messages import Prompt, conversation, plain_text
from strongroom.results import Completion
from strongroom.text import printable

__all__ = ["Input", "line_of"]

LONGEST = 4 << 20
"""Bytes of a line; no prompt may have as many."""

KNOWN = {"id", "prompt", "messages"}
FORM = 'a string, or an object with "prompt" or "messages", and an "id" where wanted'


class Input:
    """A file of prompts, each checked before the first is asked. Safe to count: `len` is of its prompts."""

    def __init__(self, path: str, *, raw: bool) -> None:
        """Check every line.

        Raises SourceError, PromptError.
        """
        self._path = path
        self._raw = raw
        self.ids: deque[str | int | None] = deque()
        """Of the prompts that were drawn and not written yet."""
        self._count = sum(1 for _ in self._lines())

    def __len__(self) -> int:
        """Count the prompts."""
        return self._count

    def __iter__(self) -> Iterator[Prompt]:
        """Draw the prompts."""
        for identifier, prompt in self._lines():
            self.ids.append(identifier)
            yield prompt

    def _lines(self) -> Iterator[tuple[str | int | None, Prompt]]:
        """Read the file, line by line."""
        with opened(self._path) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                if line.strip():
                    yield self._prompt_in(line, number)

    def _prompt_in(self, line: bytes, number: int) -> tuple[str | int | None, Prompt]:
        """Read one line. No error shows any of it."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, str):
            value = {"prompt": value}
        if (
            not isinstance(value, dict)
            or value.keys() - KNOWN
            or len(value.keys() & {"prompt", "messages"}) != 1
        ):
            raise PromptError("prompt.invalid", f"line {number} must be {FORM}")
        identifier = value.get("id")
        if identifier is not None and (not isinstance(identifier, str | int) or isinstance(identifier, bool)):
            raise PromptError("prompt.invalid", f"the id in line {number} must be a string or a whole number")
        prompt: Prompt = value["prompt"] if "prompt" in value else value["messages"]
        if "prompt" in value and not isinstance(prompt, str):
            raise PromptError("prompt.invalid", f'the "prompt" in line {number} must be a string')
        try:
            if self._raw:
                plain_text(prompt)
            else:
                conversation(prompt)
        except PromptError as error:
            raise PromptError(error.code, f"line {number}: {error.message}") from None
        return identifier, prompt


def opened(path: str) -> BinaryIO:
    """Open a file of prompts, which is read twice and so has to be a regular one."""
    try:
        # Without O_NONBLOCK the opening of a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        reason = "it is no regular file"
    except OSError as error:
        reason = error.strerror or "it fails"
    except ValueError:
        reason = "no file has such a name"
    raise SourceError(
        "source.unreadable",
        f"can't read the prompts in {printable(path, keep='')}: {reason}",
        "check the path",
    )


def line_of(index: int, identifier: str | int | None, result: Completion | StrongroomError) -> bytes:
    """Write one result."""
    line: dict[str, Any] = {"index": index}
    if identifier is not None:
        line["id"] = identifier
    if isinstance(result, Completion):
        line |= {
            "text": result.text,
            "finish_reason": result.finish_reason,
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "seed": result.seed,
        }
    else:
        line["error"] = {"code": result.code, "message": result.message, "next_step": result.next_step}
    return json.dumps(line, ensure_ascii=True).encode() + b"\n"
