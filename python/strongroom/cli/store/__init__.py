"""`strongroom store`: models that lie encrypted."""

from typing import ClassVar

import typer

from strongroom.cli.commands import Commands, Entry

__all__ = ["app"]


class Stored(Commands):
    """The commands about the store."""

    table: ClassVar = {
        "add": Entry("strongroom.cli.store.add", "add"),
        "list": Entry("strongroom.cli.store.listing", "list_models", alone=True),
        "show": Entry("strongroom.cli.store.listing", "show"),
        "verify": Entry("strongroom.cli.store.reading", "verify"),
        "export": Entry("strongroom.cli.store.reading", "export"),
        "rekey": Entry("strongroom.cli.store.changing", "rekey"),
        "remove": Entry("strongroom.cli.store.changing", "remove"),
        "gc": Entry("strongroom.cli.store.changing", "gc", alone=True),
    }


app = typer.Typer(
    cls=Stored, no_args_is_help=True, help="Models that lie encrypted, and are opened in memory."
)
