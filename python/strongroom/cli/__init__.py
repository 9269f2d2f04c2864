"""The command line, `strongroom`.

The answer, a table or JSON goes to standard output; everything else to standard error. Exit codes: 0 done,
1 refused or failed, 2 misused, 130 interrupted with Ctrl-C.
"""

import signal
import sys
from types import FrameType
from typing import Annotated, ClassVar, NoReturn

import typer

from strongroom import _core
from strongroom.cli import terminal
from strongroom.cli.commands import Commands, Entry
from strongroom.errors import StrongroomError

__all__ = ["main"]

TERMINATED = 128 + signal.SIGTERM


class Strongroom(Commands):
    """All commands."""

    table: ClassVar = {
        "run": Entry("strongroom.cli.run", "run"),
        "batch": Entry("strongroom.cli.batch", "batch"),
        "fetch": Entry("strongroom.cli.fetch", "fetch"),
        "inspect": Entry("strongroom.cli.inspect", "inspect"),
        "verify": Entry("strongroom.cli.verify", "verify"),
        "sign": Entry("strongroom.cli.sign", "sign"),
        "keygen": Entry("strongroom.cli.keygen", "keygen"),
        "doctor": Entry("strongroom.cli.doctor", "doctor", alone=True),
        "config": Entry("strongroom.cli.config", "app"),
        "store": Entry("strongroom.cli.store", "app"),
        "trust": Entry("strongroom.cli.trust", "app"),
    }


app = typer.Typer(
    cls=Strongroom,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would show the values of variables, prompts among them
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        sys.stdout.write(f"strongroom {_core.__version__}\n")
        raise typer.Exit


@app.callback()
def strongroom_command(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run language models from files that strangers made.

    Exit codes: 0 done, 1 refused or failed, 2 misused, 130 interrupted with Ctrl-C.
    """


def terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Leave in order on SIGTERM: workers end, a terminal gets its cursor back."""
    sys.exit(TERMINATED)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, terminated)
    try:
        terminal.prepare()
        try:
            app(prog_name="strongroom")
        except StrongroomError as error:
            terminal.report(error)
            sys.exit(1)
        finally:
            sys.stdout.flush()  # what fails here would fail at exit, with a traceback
    except OSError as error:
        terminal.abandon(error)
        sys.exit(1)
    sys.exit(0)
