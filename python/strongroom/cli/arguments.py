"""What commands share: the options that say what is loaded and by whom it is vouched for; `--config`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from strongroom.configuration.load import configure
from strongroom.errors import OptionError
from strongroom.models.listed import SignedManifest
from strongroom.models.proofs import Given
from strongroom.models.source import Checksum
from strongroom.settings import Settings

__all__ = [
    "Architectures",
    "CertificateChain",
    "Checksums",
    "Config",
    "Hash",
    "Identity",
    "Issuer",
    "ManifestFile",
    "ModelVersion",
    "Name",
    "PublicKey",
    "SignatureFile",
    "TrustedRoot",
    "checksum_of",
    "configured",
    "given_of",
]

Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Settings; else $STRONGROOM_CONFIG or ~/.config/strongroom/strongroom.toml.",
    ),
]
"""The option `--config`."""

Checksums = Annotated[
    list[str] | None,
    typer.Option(
        "--checksum",
        metavar="ALGORITHM:HEX",
        help="The digest that the model must have, sha256:…; of one in parts also repeated, one per part.",
    ),
]
"""The option `--checksum`."""

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the trust policy knows the model by; default its file's name."),
]
"""The option `--name`."""

ModelVersion = Annotated[
    str | None, typer.Option(metavar="1.2.3", help="Of the model, for the trust policy and the record.")
]
"""The option `--model-version`."""

PublicKey = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The key that the model must be signed with: PEM, or minisign's."),
]
"""The option `--public-key`."""

SignatureFile = Annotated[
    str | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        help="The signature; default MODEL.sig, minisign's MODEL.minisig. Of a model on a host also a URL.",
    ),
]
"""The option `--signature`."""

Hash = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What it is over: sha256, sha384, sha512; default by the key."),
]
"""The option `--hash`."""

Architectures = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-architecture", metavar="NAME", help="An architecture to let pass unchecked; may be repeated."
    ),
]
"""The option `--allow-architecture`."""

ManifestFile = Annotated[
    str | None,
    typer.Option("--manifest", metavar="FILE", help="A signed manifest that lists it: model.sig, or a URL."),
]
"""The option `--manifest`."""

CertificateChain = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Of a manifest: the root of whom you trust, in PEM; can be repeated."),
]
"""The option `--certificate-chain`."""

Identity = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Of a manifest: exactly whom Sigstore's certificate names.")
]
"""The option `--identity`."""

Issuer = Annotated[
    str | None, typer.Option(metavar="URL", help="With --identity: exactly who vouched for it.")
]
"""The option `--issuer`."""

TrustedRoot = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="With --identity: the Sigstore instance's trusted_root.json."),
]
"""The option `--trusted-root`."""


def configured(path: Path | None, options: Mapping[str, object]) -> Settings:
    """Return the settings, over which those options of the command line that were given take precedence."""
    given = {name: value for name, value in options.items() if value is not None}
    return configure(path, command_line=given).settings


def checksum_of(given: list[str] | None) -> Checksum | None:
    """Return the checksum of the whole, or those of the parts."""
    if not given:
        return None
    return given[0] if len(given) == 1 else given


def given_of(
    *,
    checksum: list[str] | None,
    signature: str | None,
    public_key: str | None,
    hash: str | None,
    manifest: str | None,
    certificate_chain: list[str] | None,
    identity: str | None,
    issuer: str | None,
    trusted_root: str | None,
) -> Given:
    """Return what is given to prove a model; what only a manifest needs has no place without one."""
    listed = None
    if manifest is not None:
        listed = SignedManifest(manifest, public_key, certificate_chain or (), identity, issuer, trusted_root)
    elif certificate_chain or identity or issuer or trusted_root:
        raise OptionError("option.out_of_range", "whom to trust with a manifest needs --manifest")
    return Given(
        checksum=checksum_of(checksum),
        signature=signature,
        public_key=None if manifest else public_key,
        hash=hash,
        manifest=listed,
    )
