"""Signed manifests: OpenSSF Model Signing v1.0, of a directory, a file, or the parts of a split model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from strongroom import _core
from strongroom.arguments import file_of, files_of, names, required, secret, text
from strongroom.errors import OptionError
from strongroom.models.listed import Files
from strongroom.models.progress import Progress
from strongroom.models.source import Reference, path_of
from strongroom.options import is_path, shown

__all__ = ["GIT_PATHS", "ManifestEvidence", "sign_manifest", "verify_manifest"]

HashName = Literal["sha256", "blake2b", "blake3"]

GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
"""What `sign_manifest` leaves out where nothing else is said, as the reference does."""


RULES = {
    "key": "the public key was given",
    "certificate": "the certificate was valid then and leads to a root that was given",
    "sigstore": "identity and issuer were given, and the trusted root's authority and logs have them",
}


@dataclass(frozen=True, slots=True)
class ManifestEvidence:
    """What was verified, of which model, and by whom it was signed."""

    path: str
    """The directory or file that was checked."""
    signature: str
    """The file of the signature."""
    method: Literal["key", "certificate", "sigstore"]
    """How the signer is known: by a key, a certificate that leads to a pinned root, or an identity."""
    key: str
    """The key that the signature was verified with: SHA-256 of its public encoding."""
    subject: str | None
    """The signer's name in its certificate."""
    certificate: str | None
    """SHA-256 of the signer's certificate."""
    root_subject: str | None
    """The pinned root's name."""
    root_certificate: str | None
    """SHA-256 of the pinned root."""
    authorities: tuple[str, ...]
    """Ids of the keys of that root and of the authorities between."""
    valid_until: datetime | None
    """The last second of the signer's certificate."""
    identity: str | None
    """The identity in a certificate of Sigstore."""
    issuer: str | None
    """Who vouched for that identity."""
    trusted_root: str | None
    """SHA-256 of the `trusted_root.json` whose authority and logs say so."""
    signed_at: datetime | None
    """When it was signed, as a log or a time stamp says."""
    model: str
    """What the signer called the model; nothing that was checked."""
    root: str
    """SHA-256 over all digests that were signed: the name of exactly this content."""
    algorithm: str
    """What the files were hashed with."""
    serialization: Literal["files", "shards"]
    """How they are listed."""
    files: int
    """Files that were hashed."""
    listed: int
    """Files that were signed."""
    size: int
    """Bytes that were hashed."""
    verified_at: datetime
    """When."""
    rule: str
    """Why that counts."""


def verify_manifest(
    model: Reference,
    signature: Reference | None = None,
    *,
    public_key: Reference | None = None,
    certificate_chain: Files = (),
    identity: str | None = None,
    issuer: str | None = None,
    trusted_root: Reference | None = None,
    ignore_paths: Sequence[str] = (),
    files: Sequence[str] | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> ManifestEvidence:
    """Hold a directory, or a single file, to the manifest that was signed; return the evidence.

    The signature is `model.sig` in a directory and beside a file, where none is named. Exactly one of
    `public_key`, `certificate_chain`, and `identity` with `issuer` and `trusted_root` says whose signature
    is accepted: a PEM file of a public key, PEM files that hold the pinned root, or whom Sigstore's
    authority and logs, known from a local `trusted_root.json`, have to name exactly; nobody is asked.

    Every file has to be listed, or to lie under one of `ignore_paths` or under what the signer left out;
    with `files`, only those are looked at, by their names in the manifest. Certificates are held to this
    machine's clock, or to `now`.

    Raises ManifestError, CertificateError, SigningKeyError, SourceError, OptionError.
    """
    path = directory_or_file(model)
    signed = signature_of(path, file_of("signature", signature))
    evidence = _core.verify_manifest(
        path,
        signature=signed,
        public_key=file_of("public_key", public_key),
        certificates=files_of("certificate_chain", certificate_chain),
        identity=text("identity", identity),
        issuer=text("issuer", issuer),
        trusted_root=file_of("trusted_root", trusted_root),
        ignore_paths=names("ignore_paths", ignore_paths),
        files=None if files is None else names("files", files),
        now=seconds(now),
        progress=progress,
    )
    return ManifestEvidence(
        path=path,
        signature=signed,
        method=evidence.method,
        key=evidence.key,
        subject=evidence.subject,
        certificate=evidence.certificate,
        root_subject=evidence.root_subject,
        root_certificate=evidence.root_certificate,
        authorities=tuple(evidence.authorities),
        valid_until=None if evidence.not_after is None else moment(evidence.not_after),
        identity=evidence.identity,
        issuer=evidence.issuer,
        trusted_root=evidence.trusted_root,
        signed_at=None if evidence.signed_at is None else moment(evidence.signed_at),
        model=evidence.model,
        root=evidence.root,
        algorithm=evidence.algorithm,
        serialization=evidence.serialization,
        files=evidence.files,
        listed=evidence.listed,
        size=evidence.size,
        verified_at=moment(evidence.verified_at),
        rule=RULES[evidence.method],
    )


def sign_manifest(
    model: Reference,
    *,
    private_key: Reference,
    output: Reference | None = None,
    passphrase: bytearray | None = None,
    passphrase_file: Reference | None = None,
    certificate_chain: Files = (),
    algorithm: HashName = "sha256",
    shard_size: int | None = None,
    allow_symlinks: bool = False,
    ignore_paths: Sequence[str] = GIT_PATHS,
    files: Sequence[str] | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Path:
    """Sign a directory, or a single file, and return where the signature was written.

    That is `output`, or `model.sig` in a directory and beside a file; it is written as a whole or not at
    all, and nothing is overwritten. `private_key` is a PEM file with a key on P-256, P-384 or P-521, which
    Python never sees; `passphrase` is wiped, and `passphrase_file` holds one line. `certificate_chain` is
    PEM files of the signer's certificate and those that lead towards a root: verifiers need that root
    alone. `allow_symlinks` lists links to files in the tree as those files; links to directories are
    refused. `shard_size` lists shards of so many bytes instead of whole files. `files` lists only these
    files of a directory, by name: the parts of a split model.

    Raises ManifestError, CertificateError, SigningKeyError, SourceError, OutputError, OptionError.
    """
    path = directory_or_file(model)
    place = signature_of(path, file_of("output", output))
    if algorithm not in ("sha256", "blake2b", "blake3"):
        raise OptionError(
            "option.out_of_range", f"algorithm must be sha256, blake2b or blake3, not {shown(algorithm)}"
        )
    if not is_size(shard_size):
        raise OptionError(
            "option.out_of_range", f"shard_size must be a number of bytes, not {shown(shard_size)}"
        )
    _core.sign_manifest(
        path,
        private_key=required("private_key", private_key),
        output=place,
        passphrase=secret(passphrase),
        passphrase_file=file_of("passphrase_file", passphrase_file),
        certificates=files_of("certificate_chain", certificate_chain),
        algorithm=algorithm,
        shard_size=shard_size,
        allow_symlinks=bool(allow_symlinks),
        ignore_paths=names("ignore_paths", ignore_paths),
        files=None if files is None else names("files", files),
        now=seconds(now),
        progress=progress,
    )
    return Path(place)


def directory_or_file(model: object) -> str:
    """Return the path of what is signed; a plain name is a directory here, not one in the store."""
    if isinstance(model, str) and model and "/" not in model and ":" not in model and is_path(model):
        return model
    return path_of(model)


def signature_of(path: str, named: str | None) -> str:
    """Return the place of the signature: as named, or where it is looked for."""
    if named is not None:
        return named
    # Path.is_dir raises where the system finds a name too long.
    directory = Path(path) if os.path.isdir(path) else Path(path).parent  # noqa: PTH112
    return os.fspath(directory / "model.sig")


def is_size(value: object) -> bool:
    """Tell whether it is a number of bytes that JSON keeps exactly, or None."""
    return value is None or (type(value) is int and 0 < value < 2**53)


def seconds(now: object) -> int | None:
    """Return the seconds since 1970 of a moment."""
    if now is None:
        return None
    if not isinstance(now, datetime) or now.tzinfo is None:
        raise OptionError("option.wrong_type", f"now must be a datetime with a time zone, not {shown(now)}")
    return max(0, int(now.timestamp()))


def moment(seconds: int) -> datetime:
    """Return the moment that many seconds after 1970; what lies behind the calendar is its end."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)
