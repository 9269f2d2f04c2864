"""`strongroom store add`: verify a model, and seal it."""

from typing import Annotated

import typer

from strongroom.cli.arguments import (
    Architectures,
    CertificateChain,
    Checksums,
    Config,
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
from strongroom.models.source import path_of
from strongroom.models.stored import enter
from strongroom.store.keys import NAMESPACE

__all__ = ["add"]


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called in the store.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A GGUF file, or the first part of one.")],
    *,
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
    """Verify a model by the trust policy, once, and seal it into the store. The file stays where it is."""
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
        where = store_of(settings)
        with checking(name, quiet=json) as progress, checking(name, quiet=json, verb="sealing") as sealing:
            entry = enter(
                where,
                name,
                path_of(model),
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
                security=settings.security,
                allow_architectures=allow_architecture or (),
                replacing=replacing,
                progress=progress,
                sealing=sealing,
            )
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json({"store": where.directory, "models": {name: entry_json(entry)}})
        return
    note("sealed", f"{name} is {entry.digest} ({entry.size:,} bytes) in {where.directory}", "bold green")
