"""The command line, `strongroom`.

The answer, a table or JSON goes to standard output; everything else to standard error. Exit codes: 0 done,
1 refused or failed, 2 misused, 130 interrupted with Ctrl-C.
"""

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

import strongroom
from strongroom.cli import (
    batch,
    config,
    doctor,
    fetch,
    inspect,
    keygen,
    run,
    sign,
    store,
    terminal,
    trust,
    verify,
)
from strongroom.cli.arguments import Command, Commands
from strongroom.errors import StrongroomError

__all__ = ["main"]

TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would show the values of variables, prompts among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", cls=Command, no_args_is_help=True)(run.run)
app.command("batch", cls=Command, no_args_is_help=True)(batch.batch)
app.command("fetch", cls=Command, no_args_is_help=True)(fetch.fetch)
app.command("inspect", cls=Command, no_args_is_help=True)(inspect.inspect)
app.command("verify", cls=Command, no_args_is_help=True)(verify.verify)
app.command("sign", cls=Command, no_args_is_help=True)(sign.sign)
app.command("keygen", cls=Command, no_args_is_help=True)(keygen.keygen)
app.command("doctor", cls=Command)(doctor.doctor)
app.add_typer(config.app, name="config")
app.add_typer(store.app, name="store")
app.add_typer(trust.app, name="trust")


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        sys.stdout.write(f"strongroom {strongroom.__version__}\n")
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
