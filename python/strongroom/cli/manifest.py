"""Signed manifests at the command line: what `verify` and `sign` do with a directory, or a `model.sig`."""

import dataclasses
import re
from pathlib import Path

from strongroom.cli.progress import checking
from strongroom.cli.terminal import plain, tables
from strongroom.cli.terminal import table as empty_table
from strongroom.errors import OptionError
from strongroom.models.manifest import (
    GIT_PATHS,
    ManifestEvidence,
    sign_manifest,
    verify_manifest,
)

__all__ = ["Listing", "is_manifest", "show", "signed", "verified"]

_BUNDLE_START = 256
# A raw signature is random bytes: one in 256 begins with a brace, none with an object's first name.
_IS_BUNDLE = re.compile(rb"\s*\{\s*\"[A-Za-z]")


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The options that only manifests have."""

    certificate_chain: tuple[str, ...] = ()
    identity: str | None = None
    issuer: str | None = None
    trusted_root: str | None = None
    ignore_paths: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    shard_size: int | None = None
    allow_symlinks: bool = False

    def refuse(self, why: str) -> None:
        """Raise for the first option that is given where there is no manifest."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) != field.default:
                name = field.name.replace("_", "-")
                raise OptionError("option.out_of_range", f"--{name} has no place here: {why}")


def is_manifest(model: str, signature: str | None, listing: Listing) -> bool:
    """Tell whether a manifest is meant: of a directory, by a certificate, or in a file of JSON."""
    if Path(model).is_dir() or listing.certificate_chain or listing.trusted_root:
        return True
    if signature is None or not Path(signature).is_file():
        return False
    try:
        with Path(signature).open("rb") as file:
            start = file.read(_BUNDLE_START)
    except OSError:
        return False  # whoever reads it next says what is wrong with it
    return _IS_BUNDLE.match(start) is not None


def verified(
    model: str, *, public_key: str | None, signature: str | None, listing: Listing, quiet: bool
) -> ManifestEvidence:
    """Hold a directory or a file to its manifest."""
    with checking(model, quiet=quiet) as progress:
        return verify_manifest(
            model,
            signature,
            public_key=public_key,
            certificate_chain=listing.certificate_chain,
            identity=listing.identity,
            issuer=listing.issuer,
            trusted_root=listing.trusted_root,
            ignore_paths=listing.ignore_paths,
            files=listing.only or None,
            progress=progress,
        )


def signed(
    model: str,
    *,
    private_key: str,
    output: str | None,
    hash: str | None,
    passphrase: bytearray | None,
    passphrase_file: str | None,
    listing: Listing,
    quiet: bool,
) -> Path:
    """Sign a directory or a file; what git keeps in it is left out, and what else is named."""
    with checking(model, quiet=quiet) as progress:
        return sign_manifest(
            model,
            private_key=private_key,
            output=output,
            algorithm=hash or "sha256",  # type: ignore[arg-type]  # checked there
            passphrase=passphrase,
            passphrase_file=passphrase_file,
            certificate_chain=listing.certificate_chain,
            ignore_paths=(*GIT_PATHS, *listing.ignore_paths),
            files=listing.only or None,
            shard_size=listing.shard_size,
            allow_symlinks=listing.allow_symlinks,
            progress=progress,
        )


def show(model: str, evidence: ManifestEvidence) -> None:
    """Print what a verification found; names in it are the signer's text."""
    table = empty_table(model, header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in json_of(evidence).items():
        if value is not None and value != ():
            table.add_row(
                name.replace("_", " "), plain(" ".join(value) if isinstance(value, tuple) else value)
            )
    tables().print(table)


def json_of(evidence: ManifestEvidence) -> dict[str, object]:
    """Return evidence for programs: moments as ISO 8601 writes them."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in dataclasses.asdict(evidence).items()
    }
