"""`strongroom store rekey`, `remove` and `gc`."""

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.arguments import Config
from strongroom.cli.progress import checking
from strongroom.cli.store.options import (
    Directory,
    KernelKeyName,
    KeyFiles,
    KeyName,
    KeyNamespace,
    KeyVariable,
    PassphraseFile,
    keys_of,
    settings_of,
    store_of,
)
from strongroom.cli.terminal import note
from strongroom.errors import OptionError
from strongroom.store.keys import NAMESPACE
from strongroom.store.store import Store

__all__ = ["gc", "rekey", "remove"]

NEW = "New keys; without any, the same ones"


def rekey(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Of models in the store.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every model in the store.")] = False,
    store: Directory = None,
    key_file: KeyFiles = None,
    key_variable: KeyVariable = None,
    passphrase_file: PassphraseFile = None,
    kernel_key: KernelKeyName = None,
    key_name: KeyName = None,
    key_namespace: KeyNamespace = NAMESPACE,
    new_key_file: Annotated[list[Path] | None, typer.Option(metavar="FILE", rich_help_panel=NEW)] = None,
    new_key_variable: Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    new_passphrase_file: Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=NEW)] = None,
    new_kernel_key: Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    new_key_name: Annotated[list[str] | None, typer.Option(metavar="NAME", rich_help_panel=NEW)] = None,
    config: Config = None,
) -> None:
    """Seal models anew, each under a fresh data key, for new keys. What the old keys open is removed."""
    settings = settings_of(
        config,
        store,
        files=key_file,
        variable=key_variable,
        passphrase_file=passphrase_file,
        kernel_key=kernel_key,
        names=key_name,
        namespace=key_namespace,
    )
    old = store_of(settings)
    new_keys = keys_of(
        files=new_key_file,
        variable=new_key_variable,
        passphrase_file=new_passphrase_file,
        kernel_key=new_kernel_key,
        names=new_key_name,
        namespace=key_namespace,
    )
    if new_key_name and not new_keys:
        raise OptionError("option.out_of_range", "--new-key-name names a new key, and none is given")
    new = Store(old.directory, new_keys) if new_keys else old
    if every == bool(names):
        raise OptionError("option.out_of_range", "either models are named, or --all is given")
    for name in list(old.models()) if every else names or []:
        with checking(name, verb="resealing") as progress:
            old.rekey(name, new, progress=progress)
        note("resealed", name, "bold green")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    store: Directory = None,
    config: Config = None,
) -> None:
    """Take a model out of the store. Models that are loaded stay loaded."""
    entry = store_of(settings_of(config, store)).remove(name)
    note("removed", f"{name}, which was {entry.digest}", "bold green")


def gc(*, store: Directory = None, config: Config = None) -> None:
    """Remove what a killed process left in the store."""
    loose = store_of(settings_of(config, store)).gc()
    for name in loose:
        note("removed", name)
    note("clean", f"{len(loose)} files were no part of the store", "bold green")
