"""`strongroom trust`: what is trusted, why, and how that is changed."""

from typing import ClassVar

import typer

from strongroom.cli.commands import Commands, Entry

__all__ = ["app"]


class Trust(Commands):
    """The commands about trust."""

    table: ClassVar = {
        "show": Entry("strongroom.cli.trust.show", "show", alone=True),
        "why": Entry("strongroom.cli.trust.why", "why"),
        "add": Entry("strongroom.cli.trust.add", "add"),
        "revoke": Entry("strongroom.cli.trust.revoke", "revoke"),
        "accept": Entry("strongroom.cli.trust.accept", "accept"),
    }


app = typer.Typer(cls=Trust, no_args_is_help=True, help="What is trusted, why, and how that is changed.")
