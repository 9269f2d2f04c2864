"""What a call says proves a model: checked, and read as far as that goes before the model is."""

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom import _core
from strongroom.arguments import word
from strongroom.errors import OptionError
from strongroom.models.listed import SignedManifest
from strongroom.models.side_files import here, here_or_there
from strongroom.models.source import Checksum, Reference, Remote
from strongroom.options import shown

__all__ = ["Given", "Proofs", "checksums"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """As the call has it."""

    checksum: Checksum | None = None
    signature: Reference | None = None
    public_key: Reference | None = None
    hash: str | None = None
    manifest: SignedManifest | None = None

    @property
    def anything(self) -> bool:
        """Whether anything is given at all."""
        return not (self.checksum is None and self.signature is None and self.manifest is None)

    @property
    def digests(self) -> tuple[str, ...]:
        """Every digest that is named, of the whole or of parts."""
        whole, of_parts = checksums(self.checksum)
        return tuple(of_parts) if whole is None else (whole,)

    def of_files(self, paths: Sequence[str]) -> "Proofs":
        """Make it ready for a file of this machine, or for the parts of a model.

        Raises ManifestError, CertificateError, SigningKeyError, SourceError, OptionError.
        """
        manifest = self.checked_manifest()
        verified = None if manifest is None else manifest.verified()
        names = []
        if manifest is not None and verified is not None:
            names = [manifest.name_of(verified, path) for path in paths]
        return self.ready(None, verified, names)

    def of_sources(self, sources: Sequence[Remote], hosts: _core.Sources) -> "Proofs":
        """Make it ready for a source on a host, or for the parts of a model there.

        A signature or a manifest that is on a host too is read from there, if it may be asked.

        Raises the same, and FetchError.
        """
        if self.signature is None and self.public_key is not None:
            raise OptionError(
                "option.out_of_range",
                "signature must be named for a source on a host: a file, or its https:// or hf:// reference",
            )
        manifest = self.checked_manifest()
        verified = None if manifest is None else manifest.verified(hosts)
        names = []
        if manifest is not None and verified is not None:
            names = [manifest.name_of_source(verified, source) for source in sources]
        return self.ready(hosts, verified, names)

    def ready(
        self, hosts: _core.Sources | None, manifest: _core.Manifest | None, names: list[str]
    ) -> "Proofs":
        """Check the rest."""
        whole, of_parts = checksums(self.checksum)
        return Proofs(
            checksum=whole,
            part_checksums=of_parts,
            public_key=here("public_key", self.public_key, "one that a host sends vouches for nothing"),
            hash=word("hash", self.hash),
            signature=here_or_there("signature", self.signature, hosts),
            manifest=manifest,
            names=names,
        )

    def checked_manifest(self) -> SignedManifest | None:
        """Return the manifest, if it is one."""
        value: object = self.manifest
        if value is not None and not isinstance(value, SignedManifest):
            raise OptionError("option.wrong_type", f"manifest must be a SignedManifest, not {shown(value)}")
        return self.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """Ready for the core."""

    checksum: str | None
    part_checksums: list[str]
    """One of each part, in place of one of the whole."""
    signature: str | _core.SideFile | None
    public_key: str | None
    hash: str | None
    manifest: _core.Manifest | None
    """Its signer is verified."""
    names: list[str]
    """Under which the manifest has to list the files that are loaded."""


def checksums(value: object) -> tuple[str | None, list[str]]:
    """Return the checksum of the whole, and those of its parts: one of them at most is given."""
    if isinstance(value, str):
        return written(value), []
    if value is None:
        return None, []
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value) or not value:
        raise OptionError(
            "option.wrong_type", f"checksum must be a string, or a list with one per part, not {shown(value)}"
        )
    return None, [written(one) for one in value]


def written(checksum: str) -> str:
    """Return a checksum for the core: what no encoding has can't be a digest, which the core says."""
    return checksum.encode("ascii", "backslashreplace").decode()
