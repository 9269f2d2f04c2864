"""What commands share: words that nothing takes are not repeated, for they may be a prompt's; `--config`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from strongroom.configuration.load import configure
from strongroom.settings import Settings

if TYPE_CHECKING:
    from typer._click import Command as ClickCommand
    from typer._click import Context

__all__ = ["Command", "Commands", "Config", "ModelVersion", "Name", "configured"]

Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Settings; else $STRONGROOM_CONFIG or ~/.config/strongroom/strongroom.toml.",
    ),
]
"""The option `--config`."""

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the trust policy knows the model by; default its file's name."),
]
"""The option `--name`."""

ModelVersion = Annotated[
    str | None, typer.Option(metavar="1.2.3", help="Of the model, for the trust policy and the record.")
]
"""The option `--model-version`."""

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


class Commands(TyperGroup):
    """Commands, of which an unknown one is not named."""

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "ClickCommand | None", list[str]]:
        """Find the command."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"There is no such command; there are {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)


def configured(path: Path | None, options: Mapping[str, object]) -> Settings:
    """Return the settings, over which those options of the command line that were given take precedence."""
    given = {name: value for name, value in options.items() if value is not None}
    return configure(path, command_line=given).settings
