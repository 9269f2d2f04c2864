"""Commands, each imported when it is called or listed; what none of them takes is not repeated in errors.

A word that is no command or option may be a prompt's.
"""

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from strongroom.__main__ import leave

if TYPE_CHECKING:
    from typer._click import Command as ClickCommand
    from typer._click import Context

__all__ = ["Command", "Commands", "Entry"]

OPTION = re.compile(r"--[a-z-]{2,32}")
"""What may be an option misspelt."""


class Command(TyperCommand):
    """A command that names neither surplus arguments nor options that are like none it has."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Read the arguments."""
        ctx.allow_extra_args = True
        try:
            super().parse_args(ctx, args)
        except Exception as error:
            name = getattr(error, "option_name", None)
            likely = name is not None and OPTION.fullmatch(name) and getattr(error, "possibilities", None)
            if name is None or likely:
                raise
            unknown = True
        else:
            unknown = False
        if unknown:
            ctx.fail("There is no such option. Text that begins with - comes after --")
        if ctx.args:
            ctx.fail(f"Surplus arguments: {len(ctx.args)}. Quoted, a text with spaces is one argument")
        return ctx.args


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is."""

    module: str
    name: str
    """A function, or a `typer.Typer` of more commands."""
    alone: bool = False
    """Whether the function does something without arguments; else it shows its help."""


class Commands(TyperGroup):
    """Commands, of which an unknown one is not named."""

    table: ClassVar[Mapping[str, Entry]]
    """By name, in the order in which they are listed."""

    def list_commands(self, ctx: "Context") -> list[str]:  # noqa: ARG002 - as the base class
        """Return the names."""
        return list(self.table)

    def get_command(self, ctx: "Context", cmd_name: str) -> "ClickCommand | None":  # noqa: ARG002
        """Import a command, once."""
        if cmd_name not in self.table:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = imported(cmd_name, self.table[cmd_name])
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "ClickCommand | None", list[str]]:
        """Find the command."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            ctx.fail(f"There is no such command; there are {', '.join(self.table)}")
        return super().resolve_command(ctx, args)


def imported(name: str, entry: Entry) -> "ClickCommand":
    """Import a command."""
    with left_at_once():
        found = getattr(import_module(entry.module), entry.name)
    if isinstance(found, typer.Typer):
        command: ClickCommand = get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name, cls=Command, no_args_is_help=not entry.alone)(found)
        command = get_command(single)
    command.name = name
    return command


@contextmanager
def left_at_once() -> Iterator[None]:
    """End at once on Ctrl-C while Python imports, where an exception would do only most of the time."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
