"""`strongroom trust`: what is trusted, why, and how that is changed."""

import typer

from strongroom.cli.arguments import Command, Commands
from strongroom.cli.trust import accept, add, revoke, show, why

__all__ = ["app"]

app = typer.Typer(cls=Commands, no_args_is_help=True, help="What is trusted, why, and how that is changed.")
app.command("show", cls=Command)(show.show)
app.command("why", cls=Command, no_args_is_help=True)(why.why)
app.command("add", cls=Command, no_args_is_help=True)(add.add)
app.command("revoke", cls=Command, no_args_is_help=True)(revoke.revoke)
app.command("accept", cls=Command, no_args_is_help=True)(accept.accept)
