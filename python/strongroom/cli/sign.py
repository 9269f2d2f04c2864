"""`strongroom sign`: sign a file with a key of one's own."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli import passphrase
from strongroom.cli.loading import checking
from strongroom.cli.terminal import json_of, note, write_json
from strongroom.cli.verify import show
from strongroom.errors import StrongroomError
from strongroom.models.evidence import Evidence
from strongroom.models.signing import sign as sign_file

__all__ = ["sign"]


def sign(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The file to sign.")],
    *,
    private_key: Annotated[
        str, typer.Option(metavar="FILE", help="PEM (PKCS#8, encrypted too), or minisign's.")
    ],
    format: Annotated[
        str, typer.Option(metavar="NAME", help="detached, as openssl verifies it; minisign.")
    ] = "detached",
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="Default MODEL.sig, minisign's MODEL.minisig.")
    ] = None,
    hash: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="sha256, sha384, sha512, with RSA or P-521; default by the key."),
    ] = None,
    rsa_padding: Annotated[str | None, typer.Option(metavar="NAME", help="pkcs1 (default) or pss.")] = None,
    comment: Annotated[
        str | None, typer.Option(metavar="TEXT", help="minisign's trusted comment; default time and name.")
    ] = None,
    passphrase_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="One line; default: asked for, where it is needed.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Sign a file and write the signature beside it; nothing is overwritten."""

    def signed(secret: bytearray | None = None) -> tuple[Path, Evidence]:
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

    try:
        try:
            path, evidence = signed()
        except StrongroomError as error:
            if error.code != "key.encrypted" or not sys.stdin.isatty():
                raise
            path, evidence = signed(passphrase.asked(private_key))
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json({"signature": str(path), "evidence": dataclasses.asdict(evidence)})
        return
    show(model, evidence)
    note("written", path, "bold green")
