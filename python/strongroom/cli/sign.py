"""`strongroom sign`: sign a file, or a directory, with a key of one's own."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli import manifest, passphrase
from strongroom.cli.progress import checking
from strongroom.cli.terminal import json_of, note, write_json
from strongroom.cli.verify import show
from strongroom.errors import OptionError, StrongroomError
from strongroom.models.evidence import Evidence
from strongroom.models.signing import sign as sign_file

__all__ = ["sign"]


def sign(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The file to sign, or the directory.")],
    *,
    private_key: Annotated[
        str, typer.Option(metavar="FILE", help="PEM (PKCS#8, encrypted too), or minisign's.")
    ],
    format: Annotated[
        str, typer.Option(metavar="NAME", help="detached, as openssl verifies it; minisign; oms (OpenSSF).")
    ] = "detached",
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="Default MODEL.sig, MODEL.minisig, model.sig.")
    ] = None,
    hash: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="sha256, sha384, sha512, with RSA or P-521; oms: sha256, blake2b, blake3."
        ),
    ] = None,
    rsa_padding: Annotated[str | None, typer.Option(metavar="NAME", help="pkcs1 (default) or pss.")] = None,
    comment: Annotated[
        str | None, typer.Option(metavar="TEXT", help="minisign's trusted comment; default time and name.")
    ] = None,
    passphrase_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="One line; default: asked for, where it is needed.")
    ] = None,
    certificate_chain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="oms: your certificate, then its issuers, in PEM; can be repeated."
        ),
    ] = None,
    ignore_paths: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="oms: what to leave out, besides git's; can be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="oms: list only this file of a directory; can be repeated."),
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(metavar="BYTES", help="oms: list shards of files instead of files.")
    ] = None,
    allow_symlinks: Annotated[
        bool, typer.Option("--allow-symlinks", help="oms: list links to files inside the directory.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Sign a file and write the signature beside it; nothing is overwritten."""
    listing = manifest.Listing(
        certificate_chain=tuple(certificate_chain or ()),
        ignore_paths=tuple(ignore_paths or ()),
        only=tuple(only or ()),
        shard_size=shard_size,
        allow_symlinks=allow_symlinks,
    )

    def listed(secret: bytearray | None = None) -> tuple[Path, None]:
        for name, value in (("--comment", comment), ("--rsa-padding", rsa_padding)):
            if value is not None:
                raise OptionError("option.out_of_range", f"{name} has no place in a manifest")
        path = manifest.signed(
            model,
            private_key=private_key,
            output=output,
            hash=hash,
            passphrase=secret,
            passphrase_file=passphrase_file,
            listing=listing,
            quiet=json,
        )
        return path, None

    def signed(secret: bytearray | None = None) -> tuple[Path, Evidence]:
        listing.refuse("it is for --format oms")
        with checking(model, quiet=json) as progress:
            return sign_file(
                model,
                private_key=private_key,
                format=format,  # type: ignore[arg-type]  # checked there
                output=output,
                hash=hash,
                rsa_padding=rsa_padding,  # type: ignore[arg-type]  # checked there
                comment=comment,
                passphrase=secret,
                passphrase_file=passphrase_file,
                progress=progress,
            )

    make: Callable[..., tuple[Path, Evidence | None]] = listed if format == "oms" else signed
    try:
        try:
            path, evidence = make()
        except StrongroomError as error:
            if error.code != "key.encrypted" or not sys.stdin.isatty():
                raise
            path, evidence = make(passphrase.asked(private_key))
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        found = {} if evidence is None else {"evidence": dataclasses.asdict(evidence)}
        write_json({"signature": str(path)} | found)
        return
    if evidence is not None:
        show(model, evidence)
    note("written", path, "bold green")
