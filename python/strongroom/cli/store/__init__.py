"""`strongroom store`: models that lie encrypted."""

import typer

from strongroom.cli.arguments import Command, Commands
from strongroom.cli.store import add, changing, listing, reading

__all__ = ["app"]

app = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Models that lie encrypted, and are opened in memory."
)
app.command("add", cls=Command, no_args_is_help=True)(add.add)
app.command("list", cls=Command)(listing.list_models)
app.command("show", cls=Command, no_args_is_help=True)(listing.show)
app.command("verify", cls=Command, no_args_is_help=True)(reading.verify)
app.command("export", cls=Command, no_args_is_help=True)(reading.export)
app.command("rekey", cls=Command, no_args_is_help=True)(changing.rekey)
app.command("remove", cls=Command, no_args_is_help=True)(changing.remove)
app.command("gc", cls=Command)(changing.gc)
