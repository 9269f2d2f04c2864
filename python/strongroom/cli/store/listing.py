"""`strongroom store list` and `show`: what is there, as it can be read without a key."""

import dataclasses
from typing import Annotated, Any

import typer

from strongroom.cli.arguments import Config
from strongroom.cli.store.options import Directory, settings_of, store_of
from strongroom.cli.terminal import json_of, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError
from strongroom.store.index import Entry

__all__ = ["entry_json", "list_models", "show"]


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry for programs."""
    return dataclasses.asdict(entry)


def list_models(
    *,
    store: Directory = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List the models in the store."""
    try:
        where = store_of(settings_of(config, store))
        models = where.models()
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json(
            {"store": where.directory, "models": {name: entry_json(entry) for name, entry in models.items()}}
        )
        return
    table = empty_table(f"{len(models)} models in {where.directory}")
    for column in ("name", "version", "architecture", "bytes", "digest", "added"):
        table.add_column(column, overflow="fold")
    for name, entry in models.items():
        cells = (name, entry.version or "-", entry.architecture, f"{entry.size:,}", entry.digest, entry.added)
        table.add_row(*map(plain, cells))
    tables().print(table)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    store: Directory = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Show what a sealed model says of itself, and which keys open it. Without a key none of it is proved."""
    try:
        entry, header, size = store_of(settings_of(config, store)).show(name)
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json(
            {
                "name": name,
                **entry_json(entry),
                "keys": header.keys,
                "context": header.context,
                "message_id": header.message_id,
                "bytes_on_disk": size,
            }
        )
        return
    table = empty_table(name, header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = [(field.name, getattr(entry, field.name)) for field in dataclasses.fields(entry)]
    rows += [("key", key) for key in header.keys]
    rows += [("bytes on disk", f"{size:,}"), *sorted(header.context.items())]
    for label, value in rows:
        table.add_row(plain(label), plain("-" if value is None else value))
    tables().print(table)
