"""`strongroom store verify` and `export`: every byte of a model, authenticated."""

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
    settings_of,
    store_of,
)
from strongroom.cli.terminal import json_of, note, write_json
from strongroom.errors import StrongroomError
from strongroom.store.keys import NAMESPACE

__all__ = ["export", "verify"]


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    store: Directory = None,
    key_file: KeyFiles = None,
    key_variable: KeyVariable = None,
    passphrase_file: PassphraseFile = None,
    kernel_key: KernelKeyName = None,
    key_name: KeyName = None,
    key_namespace: KeyNamespace = NAMESPACE,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Open every frame of a model and hold it to its digest; nothing is written."""
    try:
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
        with checking(name, quiet=json, verb="verifying") as progress:
            evidence = store_of(settings).verify(name, progress=progress)
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    proofs = [str(proof) for proof in evidence.proofs]
    if json:
        write_json({"name": name, "digest": evidence.digest, "size": evidence.size, "proofs": proofs})
        return
    note("authentic", f"{name} is {evidence.digest} ({evidence.size:,} bytes)", "bold green")
    for proof in proofs:
        note("entered by", proof)


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The plain model, which isn't there yet.")],
    *,
    store: Directory = None,
    key_file: KeyFiles = None,
    key_variable: KeyVariable = None,
    passphrase_file: PassphraseFile = None,
    kernel_key: KernelKeyName = None,
    key_name: KeyName = None,
    key_namespace: KeyNamespace = NAMESPACE,
    config: Config = None,
) -> None:
    """Write the plain model to a file, which has its name once it is whole."""
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
    with checking(name, verb="exporting") as progress:
        entry = store_of(settings).export(name, output, progress=progress)
    note(
        "exported", f"{entry.digest} ({entry.size:,} bytes) to {output}: it lies in the clear", "bold yellow"
    )
