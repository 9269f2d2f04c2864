"""A signed manifest as proof of a load: OpenSSF Model Signing v1.0."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom import _core
from strongroom.arguments import file_of, files_of, required, text
from strongroom.models.source import Reference

__all__ = ["Files", "SignedManifest"]

Files = Reference | Sequence[Reference]
"""One file or several."""


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A `model.sig`, and whose signature on it is accepted: a key, a root, or an identity of Sigstore.

    Of the files that it lists only those that are loaded are opened; each has to be what was signed.
    """

    path: Reference
    """Of the signature; files are listed by their names from its folder."""
    public_key: Reference | None = None
    """A PEM file."""
    certificate_chain: Files = ()
    """PEM files that hold the pinned root."""
    identity: str | None = None
    """Whom Sigstore's certificate has to name exactly, with `issuer` and `trusted_root`."""
    issuer: str | None = None
    """Who has to have vouched for the identity."""
    trusted_root: Reference | None = None
    """The `trusted_root.json` of the Sigstore instance; nobody is asked."""

    def verified(self) -> _core.Manifest:
        """Verify who signed it.

        Raises ManifestError, CertificateError, SigningKeyError, SourceError, OptionError.
        """
        return _core.Manifest(
            required("manifest", self.path),
            public_key=file_of("public_key", self.public_key),
            certificates=files_of("certificate_chain", self.certificate_chain),
            identity=text("identity", self.identity),
            issuer=text("issuer", self.issuer),
            trusted_root=file_of("trusted_root", self.trusted_root),
        )

    def name_of(self, manifest: _core.Manifest, path: str) -> str:
        """Return the name that a file has to be listed under; a manifest of one file lists it as `.`."""
        if manifest.names == ["."]:
            return "."
        folder = os.path.dirname(os.path.abspath(required("manifest", self.path)))  # noqa: PTH100, PTH120
        return os.path.relpath(os.path.abspath(path), folder)  # noqa: PTH100
