"""`strongroom verify`: who signed a file."""

import dataclasses
from typing import Annotated

import typer

from strongroom.cli.loading import checking
from strongroom.cli.terminal import json_of, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import StrongroomError
from strongroom.models.evidence import Evidence
from strongroom.models.signing import verify_signature

__all__ = ["show", "verify"]


def verify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The file that was signed.")],
    *,
    public_key: Annotated[
        str, typer.Option(metavar="FILE", help="The key of whom you trust: PEM, or minisign's.")
    ],
    signature: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The signature; default MODEL.sig, minisign's MODEL.minisig."),
    ] = None,
    hash: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it is over: sha256, sha384, sha512; default by the key."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Hold the signature of a file to it. Exit code 1 where it doesn't hold."""
    try:
        with checking(model, quiet=json) as progress:
            evidence = verify_signature(
                model, public_key=public_key, signature=signature, hash=hash, progress=progress
            )
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json({"evidence": dataclasses.asdict(evidence)})
    else:
        show(model, evidence)


def show(model: str, evidence: Evidence) -> None:
    """Print what a verification found; the comment is the signer's text."""
    table = empty_table(model, header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for field in dataclasses.fields(evidence):
        value = getattr(evidence, field.name)
        if value is not None:
            table.add_row(field.name.replace("_", " "), plain(value))
    tables().print(table)
