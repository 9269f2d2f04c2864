"""Signatures of files: held to them, and made. Keys are read in Rust and never pass through Python."""

import os
from pathlib import Path
from typing import Literal

from strongroom import _core
from strongroom.arguments import comment_of, file_of, required, secret, word
from strongroom.models.evidence import Evidence
from strongroom.models.progress import Progress
from strongroom.models.source import Reference, path_of

__all__ = ["KeyKind", "SignatureFormat", "generate_key", "sign", "verify_signature"]

SignatureFormat = Literal["detached", "minisign"]
"""What `openssl` makes, or what `minisign` makes."""

KeyKind = Literal["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096", "minisign"]

Name = str | os.PathLike[str]


def verify_signature(
    reference: Reference,
    *,
    public_key: Name,
    signature: Name | None = None,
    hash: str | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Hold the signature of a file to it, by the owner of `public_key`; nothing of the file is kept.

    `public_key` is a PEM file (ECDSA on P-256, P-384, P-521; Ed25519; RSA) or minisign's. The signature is
    `signature`, or stands beside the file with `.sig`, minisign's with `.minisig`, behind its name. `hash`
    is what one by ECDSA or RSA is over, sha256, sha384 or sha512; without it SHA-256 with P-256 and RSA,
    SHA-384 with P-384, SHA-512 with P-521.

    Raises SignatureError, SigningKeyError, SourceError, OptionError.
    """
    found = _core.verify_file(
        path_of(reference),
        public_key=required("public_key", public_key),
        signature=file_of("signature", signature),
        hash=word("hash", hash),
        progress=progress,
    )
    return Evidence.of(found)


def sign(
    reference: Reference,
    *,
    private_key: Name,
    format: SignatureFormat = "detached",
    output: Name | None = None,
    hash: str | None = None,
    rsa_padding: Literal["pkcs1", "pss"] | None = None,
    comment: str | None = None,
    passphrase: bytearray | None = None,
    passphrase_file: Name | None = None,
    progress: Progress | None = None,
) -> tuple[Path, Evidence]:
    """Sign a file; return where the signature was written, and what verifying it found.

    `private_key` is PEM (PKCS#8, encrypted too) or minisign's, as `format` says; the signature is verified
    before it is written to `output`, or beside the file. RSA pads with PKCS#1 v1.5, or with PSS where
    `rsa_padding` says so. `comment` is minisign's trusted comment. `passphrase` is wiped once it is read;
    `passphrase_file` holds one line, and never passes through Python.

    Raises SignatureError, SigningKeyError, SourceError, OutputError, OptionError.
    """
    path, found = _core.sign_file(
        path_of(reference),
        private_key=required("private_key", private_key),
        format=word("format", format) or "",
        output=file_of("output", output),
        hash=word("hash", hash),
        rsa_padding=word("rsa_padding", rsa_padding),
        comment=comment_of(comment),
        passphrase=secret(passphrase),
        passphrase_file=file_of("passphrase_file", passphrase_file),
        progress=progress,
    )
    return path, Evidence.of(found)


def generate_key(
    kind: KeyKind = "p256",
    *,
    private_key: Name,
    public_key: Name,
    passphrase: bytearray | None = None,
    passphrase_file: Name | None = None,
) -> str:
    """Make a key pair and write both files, neither of which may exist; return the key's id.

    The private one is its owner's alone, and encrypted where a passphrase is given.

    Raises OptionError, OutputError, SourceError.
    """
    return _core.generate_key(
        kind=word("kind", kind) or "",
        private_key=required("private_key", private_key),
        public_key=required("public_key", public_key),
        passphrase=secret(passphrase),
        passphrase_file=file_of("passphrase_file", passphrase_file),
    )
