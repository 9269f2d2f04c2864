"""What is shown, and where. Text of strangers is shown, never obeyed: neither by rich nor by the terminal."""

import errno
import io
import json
import os
import sys
from typing import Any, TextIO

from rich.box import ROUNDED
from rich.console import Console
from rich.table import Table
from rich.text import Text

from strongroom.errors import StrongroomError
from strongroom.text import printable

__all__ = [
    "Answers",
    "abandon",
    "json_of",
    "note",
    "notes",
    "plain",
    "prepare",
    "report",
    "table",
    "tables",
    "write_json",
]

WIDE = 10_000

HERE: dict[str, str] = {
    "trust.no_proof": "compare that digest with the publisher's, then pass it as --checksum",
    "trust.version": "take a newer one; --model-version says which one it is where the policy doesn't",
    "trust.no_key": "pass the public key of whom you trust as --public-key",
    "key.encrypted": "pass the file of its passphrase as --passphrase-file",
    "template.missing": "pass --chat-template FILE, or --complete",
}
"""Next steps in the words of the command line."""


def prepare() -> None:
    """Let a character that an output's encoding lacks be escaped instead of being an error.

    Without standard input there is nothing to read, and without standard error nothing more is said;
    without standard output OSError is raised.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # or the next file to be opened would be taken for it
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.BytesIO())
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BytesIO())
        raise OSError(errno.EBADF, "standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon(error: OSError) -> None:
    """Say that reading or writing failed, as far as that can be said; of a reader that left, nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what is still buffered goes there at exit
    if error.errno == errno.EPIPE:
        return
    try:
        note("error:", f"input or output failed: {error.strerror}", "bold red")
    except OSError:
        os.dup2(nowhere, 2)


def tables() -> Console:
    """Return a console on standard output; plain where that is no terminal."""
    return console(sys.stdout)


def notes() -> Console:
    """Return a console on standard error; plain where that is no terminal."""
    return console(sys.stderr)


def console(file: TextIO) -> Console:
    """Return a console that obeys no markup; where no terminal limits them, lines are as long as they are."""
    width = None if file.isatty() else WIDE
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def table(title: str, *, header: bool = True) -> Table:
    """Return a table for standard output, with lines around its cells where that is a terminal."""
    box = ROUNDED if sys.stdout.isatty() else None
    return Table(title=plain(title), title_justify="left", show_header=header, box=box)


def plain(text: object, style: str = "") -> Text:
    """Wrap text for rich: on one line, with control characters escaped and no markup in it."""
    return Text(printable(str(text), keep=""), style=style)


def note(label: str, text: object, style: str = "") -> None:
    """Print one line on standard error, however long."""
    notes().print(Text.assemble((label, style or "bold"), " ", plain(text)), soft_wrap=True)


def report(error: StrongroomError) -> None:
    """Print what failed and what to do next."""
    note("error:", f"{error.message} [{error.code}]", "bold red")
    note("next:", HERE.get(error.code, error.next_step))


def write_json(value: dict[str, Any]) -> None:
    """Print one JSON object, in ASCII, so that no control character reaches a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def json_of(error: StrongroomError) -> dict[str, Any]:
    """Return an error for programs."""
    return {"error": {"code": error.code, "message": error.message, "next_step": error.next_step}}


class Answers:
    """Writes answers to standard output as they come; only text that is safe for a terminal to one."""

    def __init__(self) -> None:
        """Look whether standard output is a terminal."""
        self._terminal = sys.stdout.isatty()
        self._last = "\n"
        self.escaped = False
        """Whether the model wrote control characters, which were shown instead of obeyed."""

    def write(self, text: str) -> None:
        """Write some of an answer at once."""
        shown = printable(text) if self._terminal else text
        self.escaped |= shown != text
        sys.stdout.write(shown)
        sys.stdout.flush()
        self._last = shown[-1:] or self._last

    def end(self) -> None:
        """End the last line."""
        if self._last != "\n":
            self.write("\n")
        if self.escaped:
            note("note:", "the model wrote control characters; they are shown escaped")
            self.escaped = False
