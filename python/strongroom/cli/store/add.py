"""`strongroom store add`: verify a model, and seal it."""

from typing import Annotated

import typer

from strongroom.cli.arguments import (
    Architectures,
    CertificateChain,
    Checksums,
    Hash,
    Identity,
    Issuer,
    ManifestFile,
    ModelVersion,
    PublicKey,
    SignatureFile,
    TrustedRoot,
    given_of,
)
from strongroom.cli.progress import checking
from strongroom.cli.store.listing import entry_json
from strongroom.cli.store.options import AtStoreWithKeys, Json, at_store
from strongroom.cli.terminal import note, write_json
from strongroom.models.stored import enter

__all__ = ["add"]


@at_store
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called in the store.")],
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A GGUF file, or the first part of one; or https://… or hf://…"),
    ],
    *,
    at: AtStoreWithKeys,
    checksum: Checksums = None,
    model_version: ModelVersion = None,
    public_key: PublicKey = None,
    signature: SignatureFile = None,
    manifest: ManifestFile = None,
    certificate_chain: CertificateChain = None,
    identity: Identity = None,
    issuer: Issuer = None,
    trusted_root: TrustedRoot = None,
    hash: Hash = None,
    allow_architecture: Architectures = None,
    replacing: Annotated[
        bool, typer.Option("--replace", help="Also where the store has a model of this name.")
    ] = False,
    json: Json = False,
) -> None:
    """Verify a model by the trust policy, once, and seal it into the store. A file stays where it is.

    What is on a host is received into memory: neither the cache nor another file has any of it.
    """
    where, settings = at.opened(), at.settings()
    with checking(name, quiet=json) as progress, checking(name, quiet=json, verb="sealing") as sealing:
        entry = enter(
            where,
            name,
            model,
            version=model_version,
            given=given_of(
                checksum=checksum,
                public_key=public_key,
                signature=signature,
                hash=hash,
                manifest=manifest,
                certificate_chain=certificate_chain,
                identity=identity,
                issuer=issuer,
                trusted_root=trusted_root,
            ),
            settings=settings,
            allow_architectures=allow_architecture or (),
            replacing=replacing,
            progress=progress,
            sealing=sealing,
        )
    if json:
        write_json({"store": where.directory, "models": {name: entry_json(entry)}})
        return
    note("sealed", f"{name} is {entry.digest} ({entry.size:,} bytes) in {where.directory}", "bold green")
