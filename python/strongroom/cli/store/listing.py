"""`strongroom store list` and `show`: what is there, as it can be read without a key."""

import dataclasses
from typing import Annotated, Any

import typer

from strongroom.cli.store.options import AtStore, Json, at_store
from strongroom.cli.terminal import plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.store.index import Entry

__all__ = ["entry_json", "list_models", "show"]


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry for programs."""
    return dataclasses.asdict(entry)


@at_store
def list_models(*, at: AtStore, json: Json = False) -> None:
    """List the models in the store."""
    where = at.opened()
    models, known = where.models(), where.id
    if json:
        entries = {name: entry_json(entry) for name, entry in models.items()}
        write_json({"store": where.directory, "id": known, "models": entries})
        return
    told = f"{len(models)} models in {where.directory}" + (f", id {known}" if known else "")
    table = empty_table(told)
    for column in ("name", "version", "architecture", "bytes", "digest", "added"):
        table.add_column(column, overflow="fold")
    for name, entry in models.items():
        cells = (name, entry.version or "-", entry.architecture, f"{entry.size:,}", entry.digest, entry.added)
        table.add_row(*map(plain, cells))
    tables().print(table)


@at_store
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    at: AtStore,
    json: Json = False,
) -> None:
    """Show what a sealed model says of itself, and which keys open it. Without a key none of it is proved."""
    entry, header, size = at.opened().show(name)
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
