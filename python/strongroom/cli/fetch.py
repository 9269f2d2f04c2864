"""`strongroom fetch`: get a model from a host into the cache, and prove it."""

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.arguments import (
    CertificateChain,
    Checksums,
    Config,
    Hash,
    Identity,
    Issuer,
    ManifestFile,
    PublicKey,
    TrustedRoot,
    configured,
    given_of,
)
from strongroom.cli.progress import checking
from strongroom.cli.terminal import json_of, note, write_json
from strongroom.errors import OptionError, StrongroomError
from strongroom.models import fetching

__all__ = ["fetch"]

TRUST = "What is trusted"


def fetch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="https://host/… or hf://organisation/repository/file@revision."
        ),
    ],
    *,
    checksum: Checksums = None,
    public_key: PublicKey = None,
    signature: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --public-key: a file, or https://… or hf://… too."),
    ] = None,
    hash: Hash = None,
    manifest: ManifestFile = None,
    certificate_chain: CertificateChain = None,
    identity: Identity = None,
    issuer: Issuer = None,
    trusted_root: TrustedRoot = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; default ~/.cache/strongroom.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="https://host[:port]; may be repeated.", rich_help_panel=TRUST),
    ] = None,
    allow_organisation: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of hf://; may be repeated.", rich_help_panel=TRUST),
    ] = None,
    hf_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Where hf:// is.", rich_help_panel=TRUST)
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Authorities to trust, instead of Mozilla's.", rich_help_panel=TRUST
        ),
    ] = None,
    danger_allow_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL=NETWORK", help="A host that may be at private addresses.", rich_help_panel=TRUST
        ),
    ] = None,
    max_size: Annotated[str | None, typer.Option(metavar="SIZE", help="Of the file.")] = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the path.")] = False,
) -> None:
    """Fetch a model into the cache, and print where it is; interrupted, the same command goes on."""
    try:
        settings = configured(
            config,
            {
                "sources.hosts": allow_host,
                "sources.hf_organisations": allow_organisation,
                "sources.hf_endpoint": hf_endpoint,
                "sources.ca_file": None if ca_file is None else str(ca_file),
                "sources.danger_allow_addresses": danger_allow_address and networks(danger_allow_address),
                "sources.max_size": max_size,
            },
        )
        given = given_of(
            checksum=checksum,
            signature=signature,
            public_key=public_key,
            hash=hash,
            manifest=manifest,
            certificate_chain=certificate_chain,
            identity=identity,
            issuer=issuer,
            trusted_root=trusted_root,
        )
        with checking(source.partition("?")[0], quiet=json, verb="fetching") as progress:
            fetched = fetching.fetch(
                source,
                checksum=given.checksum,
                signature=given.signature,
                public_key=given.public_key,
                hash=given.hash,
                manifest=given.manifest,
                settings=settings,
                cache=cache,
                progress=progress,
            )
    except StrongroomError as error:
        if json:
            write_json(json_of(error))
        raise
    if json:
        write_json(
            {
                "source": fetched.source,
                "path": fetched.path,
                "digest": fetched.digest,
                "size": fetched.size,
                "cached": fetched.cached,
                "signer": None if fetched.evidence is None else fetched.evidence.signer,
                "parts": list(fetched.parts),
            }
        )
        return
    if fetched.verified:
        note("checked", f"{fetched.digest} ({fetched.size:,} bytes)", "bold green")
    else:
        note("NOT CHECKED", f"{fetched.digest}: nothing proves that this is the model", "bold red")
    if (evidence := fetched.evidence) is not None:
        note("signed", f"by {evidence.signer}, {evidence.how}", "bold green")
    typer.echo(fetched.path)


def networks(options: list[str]) -> dict[str, list[str]]:
    """Read URL=NETWORK."""
    read: dict[str, list[str]] = {}
    for option in options:
        host, equals, network = option.partition("=")
        if not equals:
            raise OptionError("option.wrong_type", "danger_allow_address must be URL=NETWORK")
        read.setdefault(host, []).append(network)
    return read
