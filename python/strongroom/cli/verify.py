"""`strongroom verify`: who signed a file, or a directory."""

import dataclasses
from typing import Annotated

import typer

from strongroom.cli import manifest
from strongroom.cli.progress import checking
from strongroom.cli.terminal import json_of, plain, tables, write_json
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import OptionError, StrongroomError
from strongroom.models.evidence import Evidence
from strongroom.models.signing import verify_signature

__all__ = ["show", "verify"]


def verify(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The file that was signed, or the directory.")
    ],
    *,
    public_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="The key of whom you trust: PEM, or minisign's.")
    ] = None,
    certificate_chain: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Instead: the root of whom you trust, in PEM; can be repeated."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Instead: exactly whom Sigstore's certificate names.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="With --identity: exactly who vouched for it.")
    ] = None,
    trusted_root: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --identity: the Sigstore instance's trusted_root.json."),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Default MODEL.sig, minisign's MODEL.minisig; model.sig in a directory.",
        ),
    ] = None,
    hash: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What it is over: sha256, sha384, sha512; default by the key."),
    ] = None,
    ignore_paths: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="In a directory, what may be there unsigned; can be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Look only at this file of a directory; can be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Hold the signature of a file to it. Exit code 1 where it doesn't hold."""
    keyless = [identity, issuer, trusted_root]
    ways = [public_key is not None, bool(certificate_chain), any(value is not None for value in keyless)]
    if sum(ways) != 1 or (ways[2] and None in keyless):
        raise typer.BadParameter(
            "whom do you trust? Give one of --public-key, --certificate-chain, and --identity with --issuer "
            "and --trusted-root"
        )
    listing = manifest.Listing(
        certificate_chain=tuple(certificate_chain or ()),
        identity=identity,
        issuer=issuer,
        trusted_root=trusted_root,
        ignore_paths=tuple(ignore_paths or ()),
        only=tuple(only or ()),
    )
    try:
        if manifest.is_manifest(model, signature, listing):
            if hash is not None:
                raise OptionError("option.out_of_range", "--hash has no place here: a manifest names its own")
            found = manifest.verified(
                model, public_key=public_key, signature=signature, listing=listing, quiet=json
            )
            if json:
                write_json({"evidence": manifest.json_of(found)})
            else:
                manifest.show(model, found)
            return
        listing.refuse("it is for a manifest, as of a directory")
        with checking(model, quiet=json) as progress:
            evidence = verify_signature(
                model, public_key=public_key or "", signature=signature, hash=hash, progress=progress
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
