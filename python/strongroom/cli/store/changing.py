"""`strongroom store rekey`, `remove` and `gc`."""

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.progress import checking
from strongroom.cli.store.listing import entry_json
from strongroom.cli.store.options import AtStore, AtStoreWithKeys, Json, at_store, keys_of
from strongroom.cli.terminal import note, write_json
from strongroom.errors import OptionError
from strongroom.store.store import Store

__all__ = ["gc", "rekey", "remove"]

NEW = "New keys; without any, the same ones"


@at_store
def rekey(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Of models in the store.")
    ] = None,
    *,
    at: AtStoreWithKeys,
    every: Annotated[bool, typer.Option("--all", help="Every model in the store.")] = False,
    new_key_file: Annotated[list[Path] | None, typer.Option(metavar="FILE", rich_help_panel=NEW)] = None,
    new_key_variable: Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    new_passphrase_file: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=NEW)] = None,
    new_kernel_key: Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    new_key_name: Annotated[list[str] | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    json: Json = False,
) -> None:
    """Seal models anew, each under a fresh data key, for new keys. What the old keys open is removed.

    A store that an older version made gets its id, and each model is sealed for it.
    """
    old = at.opened()
    new_keys = keys_of(
        files=new_key_file,
        variable=new_key_variable,
        passphrase_file=new_passphrase_file,
        kernel_key=new_kernel_key,
        names=new_key_name,
        namespace=at.key_namespace,
    )
    if new_key_name and not new_keys:
        raise OptionError("option.out_of_range", "--new-key-name names a new key, and none is given")
    new = Store(old.directory, new_keys) if new_keys else old
    if every == bool(names):
        raise OptionError("option.out_of_range", "either models are named, or --all is given")
    changed = {}
    for name in list(old.models()) if every else names or []:
        with checking(name, quiet=json, verb="resealing") as progress:
            changed[name] = old.rekey(name, new, progress=progress)
        if not json:
            note("resealed", name, "bold green")
    if json:
        models = {name: entry_json(entry) for name, entry in changed.items()}
        write_json({"store": old.directory, "id": old.id, "models": models})


@at_store
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    at: AtStore,
    json: Json = False,
) -> None:
    """Take a model out of the store. Models that are loaded stay loaded."""
    store = at.opened()
    entry = store.remove(name)
    if json:
        write_json({"store": store.directory, "removed": {name: entry_json(entry)}})
        return
    note("removed", f"{name}, which was {entry.digest}", "bold green")


@at_store
def gc(*, at: AtStore, json: Json = False) -> None:
    """Remove what a killed process left in the store."""
    store = at.opened()
    loose = store.gc()
    if json:
        write_json({"store": store.directory, "removed": loose})
        return
    for name in loose:
        note("removed", name)
    note("clean", f"{len(loose)} files were no part of the store", "bold green")
