"""`strongroom keygen`: make a key pair to sign with."""

from typing import Annotated

import typer

from strongroom.cli import passphrase
from strongroom.cli.terminal import json_of, note, write_json
from strongroom.errors import StrongroomError
from strongroom.models.signing import generate_key

__all__ = ["keygen"]


def keygen(
    *,
    private_key: Annotated[
        str, typer.Option(metavar="FILE", help="Where the private key goes; its owner's alone.")
    ],
    public_key: Annotated[str, typer.Option(metavar="FILE", help="Where the public key goes.")],
    kind: Annotated[
        str,
        typer.Option(metavar="NAME", help="p256, p384, p521, ed25519, rsa2048, rsa3072, rsa4096, minisign."),
    ] = "p256",
    passphrase_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="One line, which encrypts the private key.")
    ] = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Write the private key without a passphrase.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Make a key pair; nothing is overwritten. Asks for a passphrase, unless told where it is, or none."""
    if unencrypted and passphrase_file is not None:
        raise typer.BadParameter("--unencrypted and --passphrase-file exclude each other")
    try:
        ask = passphrase_file is None and not unencrypted
        identity = generate_key(
            kind,  # type: ignore[arg-type]  # checked there
            private_key=private_key,
            public_key=public_key,
            passphrase=passphrase.asked_twice(private_key) if ask else None,
            passphrase_file=passphrase_file,
        )
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json({"key": identity, "private_key": private_key, "public_key": public_key})
        return
    note("key", identity, "bold green")
    note("private", private_key)
    note("public", public_key)
