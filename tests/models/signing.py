"""Keys, certificates and trees to sign, and the reference implementation of OpenSSF Model Signing."""

import datetime as dt
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

with warnings.catch_warnings():
    # Its dependencies' business.
    warnings.simplefilter("ignore")
    from model_signing import hashing, signing, verifying

__all__ = [
    "CURVES",
    "Identity",
    "Key",
    "certificate",
    "hashing",
    "key",
    "reference_sign",
    "reference_verify",
    "tree",
]

CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Key:
    """A key pair in PEM files."""

    private: Path
    public: Path
    pair: ec.EllipticCurvePrivateKey


def key(folder: Path, curve: str = "P-256", name: str = "key", passphrase: bytes | None = None) -> Key:
    """Make a key pair."""
    pair = ec.generate_private_key(CURVES[curve])
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        pair.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    public.write_bytes(
        pair.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Key(private, public, pair)


@dataclass(frozen=True)
class Identity:
    """A publisher with a certificate, the authority between, and the root."""

    key: Key
    own: Path
    between: Path
    root: Path


def identity(
    folder: Path,
    *,
    curve: str = "P-256",
    begin: dt.datetime = NOW - 30 * DAY,
    end: dt.datetime = NOW + 30 * DAY,
    usage: bool = True,
) -> Identity:
    """Issue a chain of three; `begin` and `end` are of the publisher's certificate."""
    root_key, between_key, own = (key(folder, name=name) for name in ("root", "between", "own"))
    own = key(folder, curve, "own")
    root = certificate("root", root_key, "root", root_key, authority=True)
    between = certificate("between", between_key, "root", root_key, authority=True)
    publisher = certificate(
        "publisher", own, "between", between_key, authority=False, begin=begin, end=end, usage=usage
    )
    paths = [folder / f"{name}.crt" for name in ("own", "between", "root")]
    for path, made in zip(paths, (publisher, between, root), strict=True):
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return Identity(own, *paths)


def certificate(
    subject: str | Sequence[str],
    holder: Key,
    issuer: str,
    signer: Key,
    *,
    authority: bool,
    begin: dt.datetime = NOW - 300 * DAY,
    end: dt.datetime = NOW + 300 * DAY,
    usage: bool = True,
) -> x509.Certificate:
    """Issue one certificate; a subject of several parts is a common name, units, and an organisation."""

    def name(parts: str | Sequence[str]) -> x509.Name:
        if isinstance(parts, str):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, parts)])
        oids = [NameOID.ORGANIZATION_NAME, *[NameOID.ORGANIZATIONAL_UNIT_NAME] * (len(parts) - 2)]
        oids.append(NameOID.COMMON_NAME)
        return x509.Name(
            [x509.NameAttribute(oid, part) for oid, part in zip(oids, reversed(parts), strict=True)]
        )

    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(holder.pair.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(holder.pair.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.pair.public_key()), critical=False
        )
    )
    if not authority and usage:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
        )
    return builder.sign(signer.pair, hashes.SHA256())


def tree(folder: Path) -> Path:
    """Make a model of four files in three directories, one of which git left behind."""
    model = folder / "model"
    for path, content in {
        "config.json": b"{}",
        "weights/part-1.bin": os.urandom(300_000),
        "weights/part-2.bin": bytes(100_000),
        "weights-old/x": b"x",
        ".git/config": b"[core]",
    }.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(content)
    return model


def config(algorithm: str, shard_size: int | None, *, symlinks: bool, ignore: Sequence[str]) -> Any:
    """Configure the reference; it calls BLAKE2b blake2."""
    name = algorithm.removesuffix("b") if algorithm == "blake2b" else algorithm
    made = hashing.Config()  # type: ignore[no-untyped-call]
    if shard_size is None:
        made.use_file_serialization(hashing_algorithm=name, allow_symlinks=symlinks)  # type: ignore[arg-type]
    else:
        made.use_shard_serialization(
            hashing_algorithm=name,  # type: ignore[arg-type]
            shard_size=shard_size,
            allow_symlinks=symlinks,
        )
    made.set_allow_symlinks(symlinks)
    return made.set_ignored_paths(paths=list(ignore), ignore_git_paths=True)


def reference_sign(
    model: Path,
    signature: Path,
    signer: Key | Identity,
    *,
    algorithm: str = "sha256",
    shard_size: int | None = None,
    symlinks: bool = False,
    ignore: Sequence[str] = (),
) -> None:
    """Sign with model-signing."""
    signers = signing.Config()  # type: ignore[no-untyped-call]
    if isinstance(signer, Key):
        signers.use_elliptic_key_signer(private_key=signer.private)
    else:
        signers.use_certificate_signer(
            private_key=signer.key.private,
            signing_certificate=signer.own,
            certificate_chain=[signer.between],
        )
    signers.set_hashing_config(config(algorithm, shard_size, symlinks=symlinks, ignore=ignore))
    signers.sign(model, signature)


def reference_verify(
    model: Path,
    signature: Path,
    signer: Key | Identity,
    *,
    algorithm: str = "sha256",
    shard_size: int | None = None,
    symlinks: bool = False,
    ignore: Sequence[str] = (),
) -> None:
    """Verify with model-signing, which raises ValueError."""
    verifiers = verifying.Config()  # type: ignore[no-untyped-call]
    if isinstance(signer, Key):
        verifiers.use_elliptic_key_verifier(public_key=signer.public)
    else:
        verifiers.use_certificate_verifier(certificate_chain=[signer.root])
    # What it guesses from a signature it only gets right for whole files with SHA-256 and BLAKE3.
    verifiers.set_hashing_config(config(algorithm, shard_size, symlinks=symlinks, ignore=ignore))
    verifiers.verify(model, signature)
