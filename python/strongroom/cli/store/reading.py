"""`strongroom store verify` and `export`: every byte of a model, authenticated."""

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.progress import checking
from strongroom.cli.store.options import AtStoreWithKeys, Json, at_store
from strongroom.cli.terminal import note, write_json

__all__ = ["export", "verify"]


@at_store
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    *,
    at: AtStoreWithKeys,
    json: Json = False,
) -> None:
    """Open every frame of a model and hold it to its digest; nothing is written."""
    store = at.opened()
    with checking(name, quiet=json, verb="verifying") as progress:
        evidence = store.verify(name, progress=progress)
    proofs = [str(proof) for proof in evidence.proofs]
    if json:
        write_json({"name": name, "digest": evidence.digest, "size": evidence.size, "proofs": proofs})
        return
    note("authentic", f"{name} is {evidence.digest} ({evidence.size:,} bytes)", "bold green")
    for proof in proofs:
        note("entered by", proof)


@at_store
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a model in the store.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The plain model, which isn't there yet.")],
    *,
    at: AtStoreWithKeys,
    json: Json = False,
) -> None:
    """Write the plain model to a file, which has its name once it is whole."""
    store = at.opened()
    with checking(name, quiet=json, verb="exporting") as progress:
        entry = store.export(name, output, progress=progress)
    if json:
        write_json({"name": name, "digest": entry.digest, "size": entry.size, "path": str(output)})
        return
    note(
        "exported", f"{entry.digest} ({entry.size:,} bytes) to {output}: it lies in the clear", "bold yellow"
    )
