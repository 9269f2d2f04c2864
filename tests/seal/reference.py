"""The AWS Encryption SDK for Python, as the other side of the format."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag

with warnings.catch_warnings():
    # Its dependencies' business.
    warnings.simplefilter("ignore")
    import aws_encryption_sdk  # type: ignore[import-untyped]
    from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError  # type: ignore[import-untyped]
    from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm  # type: ignore[import-untyped]
    from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey  # type: ignore[import-untyped]
    from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider  # type: ignore[import-untyped]

__all__ = ["REFUSALS", "Key", "decrypt", "encrypt"]

REFUSALS = (AWSEncryptionSDKClientError, InvalidTag, UnicodeDecodeError)
"""What it raises for a message that isn't right."""

SUITE = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY


@dataclass(frozen=True)
class Key:
    """A raw AES key."""

    namespace: str
    name: str
    key: bytes


class Keys(RawMasterKeyProvider):  # type: ignore[misc]
    """Keys of one namespace, as the reference has them."""

    provider_id = ""
    keys: dict[bytes, bytes]

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Keys:
        """Return a provider that encrypts for all of `keys`."""
        keys = list(keys)
        provider = type(cls.__name__, (cls,), {"provider_id": keys[0].namespace})()
        provider.keys = {key.name.encode(): key.key for key in keys}
        for name in provider.keys:
            provider.add_master_key(name)
        assert isinstance(provider, cls)
        return provider

    def _get_raw_key(self, key_id: bytes) -> WrappingKey:
        return WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=self.keys[key_id],
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )


def encrypt(
    path: Path,
    output: Path,
    keys: Iterable[Key],
    *,
    context: Mapping[str, str],
    frame_length: int,
    suite: Algorithm = SUITE,
) -> None:
    """Encrypt a file, in the suite that is read here unless another is given."""
    client = aws_encryption_sdk.EncryptionSDKClient()
    with (
        path.open("rb") as plaintext,
        output.open("wb") as sealed,
        client.stream(
            mode="e",
            source=plaintext,
            key_provider=Keys.of(keys),
            algorithm=suite,
            encryption_context=dict(context),
            frame_length=frame_length,
        ) as encryptor,
    ):
        while chunk := encryptor.read(1 << 20):
            sealed.write(chunk)


def decrypt(path: Path, key: Key) -> tuple[bytes, dict[str, str]]:
    """Decrypt a file; return the plaintext and the context."""
    client = aws_encryption_sdk.EncryptionSDKClient()
    plaintext, header = client.decrypt(source=path.read_bytes(), key_provider=Keys.of([key]))
    return plaintext, header.encryption_context
