"""Signed manifests: OpenSSF Model Signing v1.0, of a directory, a file, or the parts of a split model."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from strongroom import _core
from strongroom.errors import OptionError, SourceError
from strongroom.models.source import Reference, path_of
from strongroom.models.trust import Progress
from strongroom.options import shown

__all__ = ["GIT_PATHS", "ManifestEvidence", "sign_manifest", "verify_manifest"]

Files = Reference | Sequence[Reference]
"""One file or several."""

HashName = Literal["sha256", "blake2b", "blake3"]

GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
"""What `sign_manifest` leaves out where nothing else is said, as the reference does."""


@dataclass(frozen=True, slots=True)
class ManifestEvidence:
    """What was verified, of which model, and by whom it was signed."""

    path: str
    """The directory or file that was checked."""
    signature: str
    """The file of the signature."""
    method: Literal["key", "certificate"]
    """How the signer is known: by a key, or by a certificate that leads to a pinned root."""
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
    valid_until: datetime | None
    """The last second of the signer's certificate."""
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


def verify_manifest(
    model: Reference,
    signature: Reference | None = None,
    *,
    public_key: Reference | None = None,
    certificate_chain: Files = (),
    ignore_paths: Sequence[str] = (),
    files: Sequence[str] | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> ManifestEvidence:
    """Hold a directory, or a single file, to the manifest that was signed; return the evidence.

    The signature is `model.sig` in a directory and beside a file, where none is named. Exactly one of
    `public_key` and `certificate_chain` says whose signature is accepted: a PEM file of a public key, or
    PEM files that hold the pinned root. Every file has to be listed, or to lie under one of
    `ignore_paths` or under what the signer left out; with `files`, only those are looked at, by their
    names in the manifest. Certificates are held to this machine's clock, or to `now`.

    Raises ManifestError, CertificateError, SourceError, OptionError, and what is wrong with the key.
    """
    path = directory_or_file(model)
    signed = signature_of(path, signature)
    evidence = _core.verify_manifest(
        path,
        signature=signed,
        public_key=None if public_key is None else file_of(public_key, "public_key"),
        certificates=files_of(certificate_chain, "certificate_chain"),
        ignore_paths=names(ignore_paths, "ignore_paths"),
        files=None if files is None else names(files, "files"),
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
        valid_until=None if evidence.not_after is None else moment(evidence.not_after),
        model=evidence.model,
        root=evidence.root,
        algorithm=evidence.algorithm,
        serialization=evidence.serialization,
        files=evidence.files,
        listed=evidence.listed,
        size=evidence.size,
        verified_at=moment(evidence.verified_at),
    )


def sign_manifest(
    model: Reference,
    signature: Reference | None = None,
    *,
    private_key: Reference,
    passphrase: bytearray | None = None,
    certificate_chain: Files = (),
    algorithm: HashName = "sha256",
    shard_size: int | None = None,
    allow_symlinks: bool = False,
    ignore_paths: Sequence[str] = GIT_PATHS,
    files: Sequence[str] | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> str:
    """Sign a directory, or a single file, and return the path of the signature.

    The signature is written as a whole or not at all, to `model.sig` in a directory and beside a file
    where no place is named. `private_key` is a PEM file with a key on P-256, P-384 or P-521, which Python
    never sees; `passphrase` is wiped. With `certificate_chain`, PEM files of the signer's certificate and
    those that lead towards a root, verifiers need that root alone. `shard_size` lists shards of so many
    bytes instead of whole files. `files` lists only these files of a directory, by name: the parts of a
    split model.

    Raises ManifestError, CertificateError, SourceError, OptionError, and what is wrong with the key.
    """
    path = directory_or_file(model)
    place = signature_of(path, signature)
    if passphrase is not None and not isinstance(passphrase, bytearray):
        raise OptionError("option.wrong_type", "passphrase must be a bytearray, which can be wiped")
    if algorithm not in {"sha256", "blake2b", "blake3"}:
        raise OptionError(
            "option.out_of_range", f"algorithm must be sha256, blake2b or blake3, not {shown(algorithm)}"
        )
    if not is_size(shard_size):
        raise OptionError(
            "option.out_of_range", f"shard_size must be a number of bytes, not {shown(shard_size)}"
        )
    bundle = _core.sign_manifest(
        path,
        private_key=file_of(private_key, "private_key"),
        passphrase=passphrase,
        certificates=files_of(certificate_chain, "certificate_chain"),
        algorithm=algorithm,
        shard_size=shard_size,
        allow_symlinks=bool(allow_symlinks),
        ignore_paths=names(ignore_paths, "ignore_paths"),
        signature=place,
        files=None if files is None else names(files, "files"),
        now=seconds(now),
        progress=progress,
    )
    write(Path(place), bundle)
    return place


def directory_or_file(model: object) -> str:
    """Return the path of what is signed; a plain name is a directory here, not one in the store."""
    if isinstance(model, str) and model and "/" not in model and ":" not in model and "\0" not in model:
        return model
    return path_of(model)


def signature_of(path: str, signature: object) -> str:
    """Return the place of the signature: as named, or where it is looked for."""
    if signature is not None:
        return file_of(signature, "signature")
    directory = Path(path) if Path(path).is_dir() else Path(path).parent
    return os.fspath(directory / "model.sig")


def file_of(value: object, option: str) -> str:
    """Return the path of a small file."""
    if not isinstance(value, str | os.PathLike):
        raise OptionError("option.wrong_type", f"{option} must be a path, not {shown(value)}")
    path = os.fspath(value)
    if not isinstance(path, str):
        raise OptionError("option.wrong_type", f"{option} must be a path of str, not of bytes")
    if not path or "\0" in path:
        raise OptionError("option.out_of_range", f"{option} is no path: {shown(path)}")
    return path


def files_of(value: object, option: str) -> list[str]:
    """Return the paths of one or several small files."""
    if isinstance(value, str | os.PathLike):
        return [file_of(value, option)]
    if not isinstance(value, Iterable):
        raise OptionError("option.wrong_type", f"{option} must be a path or several, not {shown(value)}")
    return [file_of(one, option) for one in value]


def names(value: object, option: str) -> list[str]:
    """Return names of files in a manifest."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError("option.wrong_type", f"{option} must be a list of paths, not {shown(value)}")
    checked = []
    for name in value:
        if not isinstance(name, str):
            raise OptionError(
                "option.wrong_type", f"{option} must be a list of strings: one is {shown(name)}"
            )
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise OptionError("option.out_of_range", f"{option}: {shown(name)} is no text")
        checked.append(name)
    return checked


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


def write(place: Path, content: bytes) -> None:
    """Write a file as a whole: under its name there is what was there before, or all of it."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        temporary.replace(place)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise SourceError(
            "source.unwritable", f"can't write the signature to {shown(str(place))}: {error.strerror}"
        ) from None
