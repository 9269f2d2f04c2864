"""A signed manifest as proof of a load: OpenSSF Model Signing v1.0."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom import _core
from strongroom.arguments import file_of, files_of, required, text
from strongroom.models.side_files import here_or_there, there
from strongroom.models.source import Reference, Remote

__all__ = ["Files", "SignedManifest"]

Files = Reference | Sequence[Reference]
"""One file or several."""


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A `model.sig`, and whose signature on it is accepted: a key, a root, or an identity of Sigstore.

    Of the files that it lists only those that are loaded are opened; each has to be what was signed.
    """

    path: Reference
    """Of the signature; files are listed by their names from its folder. For a source on a host it may be
    on one too, `https://…` or `hf://…`."""
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

    def verified(self, hosts: _core.Sources | None = None) -> _core.Manifest:
        """Verify who signed it; one on a host is read from there, if `hosts` allow it.

        Raises ManifestError, CertificateError, SigningKeyError, SourceError, FetchError, OptionError.
        """
        given = here_or_there("manifest", self.path, hosts)
        return _core.Manifest(
            required("manifest", self.path) if given is None else given,
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

    def name_of_source(self, manifest: _core.Manifest, source: Remote) -> str:
        """Return the same of a source on a host: its path from the manifest's folder there.

        Where the manifest is elsewhere, it is the path in the repository of `hf://`, else the last part of
        the URL.
        """
        if manifest.names == ["."]:
            return "."
        own = there(self.path)
        return _core.name_in_manifest(source.url, manifest=None if own is None else own.url)
