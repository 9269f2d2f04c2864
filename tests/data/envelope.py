"""Envelopes as rust/seal/ENVELOPE.md describes them, by pyca/cryptography and nothing of Strongroom's.

`python -m tests.data.envelope > rust/seal/tests/vectors/records.txt` writes the vectors.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@dataclass(frozen=True)
class Key:
    """A data key."""

    id: str
    version: int
    secret: bytes


def subkey(key: Key, salt: bytes, purpose: str) -> AESGCM:
    text = purpose.encode()
    info = b"strongroom record v1" + bytes([len(text)]) + text
    return AESGCM(HKDF(SHA512(), 32, salt, info).derive(key.secret))


def counted(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


def encoded(context: Mapping[str, str]) -> bytes:
    pairs = sorted(context.items(), key=lambda pair: pair[0].encode())
    return struct.pack(">I", len(pairs)) + b"".join(counted(k) + counted(v) for k, v in pairs)


def seal(
    key: Key, plaintext: bytes, context: Mapping[str, str], purpose: str, *, salt: bytes, nonce: bytes
) -> bytes:
    header = b"SRDE\x01\x01" + bytes([len(key.id)]) + key.id.encode() + struct.pack(">I", key.version)
    header += salt + nonce
    return header + subkey(key, salt, purpose).encrypt(nonce, plaintext, header + encoded(context))


def unseal(key: Key, envelope: bytes, context: Mapping[str, str], purpose: str) -> bytes:
    assert envelope[:6] == b"SRDE\x01\x01"
    behind = 7 + envelope[6]
    assert envelope[7:behind].decode() == key.id
    assert struct.unpack_from(">I", envelope, behind) == (key.version,)
    salt, nonce = envelope[behind + 4 : behind + 36], envelope[behind + 36 : behind + 48]
    header, sealed = envelope[: behind + 48], envelope[behind + 48 :]
    return subkey(key, salt, purpose).decrypt(nonce, sealed, header + encoded(context))


def head(major: int, argument: int) -> bytes:
    """Head of an item of CBOR."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * size:
            return bytes([major << 5 | code]) + argument.to_bytes(size, "big")
    raise ValueError


def dumped(value: Any) -> bytes:
    """Encode a value."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        major, number = (0, value) if value >= 0 else (1, -1 - value)
        if number < 1 << 64:
            return head(major, number)
        length = (number.bit_length() + 7) // 8
        return head(6, 2 + major) + head(2, length) + number.to_bytes(length, "big")
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    items = value if isinstance(value, list) else [part for pair in value.items() for part in pair]
    return head(4 if items is value else 5, len(value)) + b"".join(map(dumped, items))


def plaintext_of(obj: Any) -> bytes:
    """Encode what is encrypted."""
    if type(obj) is bytes:
        return b"\x00" + obj
    if isinstance(obj, bytearray | memoryview):
        return b"\x01" + bytes(obj)
    if isinstance(obj, str):
        return b"\x02" + obj.encode()
    return b"\x03" + dumped(obj)


VALUE: dict[str, Any] = {
    "none": None,
    "truth": [True, False],
    "integers": [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, 2**64, 2**127 + 1],
    "negative": [-1, -24, -25, -256, -257, -(2**63), -(2**63) - 1, -(2**64), -(2**64) - 1, -(2**200)],
    "floats": [0.0, -0.0, 1.0, 0.1, 1e308, 5e-324, -1.5],
    "Zoë": {"": "é\u20ac\U0001f512", "list": [[], {}, [[1]]]},
}

VECTORS: list[tuple[str, Any, dict[str, str], str]] = [
    ("bytes", bytes(range(40)), {"tenant": "acme", "record": "1"}, "data"),
    ("empty", b"", {"record": "r", "tenant": "t"}, "data"),
    ("buffer", bytearray(b"\xff" * 17), {"tenant": "acme", "record": "2", "column": "Straße"}, "keys"),
    ("text", "Zoë \U0001f512", {"tenant": "acme", "record": "3", "empty": "", "\u20ac": "x"}, "p" * 255),
    ("value", VALUE, {"tenant": "acme", "record": "4"}, "data"),
]


def drawn(name: str, length: int) -> bytes:
    """Return bytes that anybody can make."""
    return hashlib.sha512(name.encode()).digest()[:length]


def main() -> None:
    for number, (name, obj, context, purpose) in enumerate(VECTORS):
        key = Key("k" * (1 + 63 * (number % 2)), number * 0x01010101, drawn(f"{name} key", 32))
        plaintext = plaintext_of(obj)
        envelope = seal(
            key, plaintext, context, purpose, salt=drawn(f"{name} salt", 32), nonce=drawn(f"{name} nonce", 12)
        )
        print(f"name {name}\nid {key.id}\nversion {key.version}\nkey {key.secret.hex()}\npurpose {purpose}")
        for pair in context.items():
            print("context", *(text.encode().hex() or "-" for text in pair))
        print(f"plaintext {plaintext.hex()}\nenvelope {envelope.hex()}\n")


if __name__ == "__main__":
    main()
