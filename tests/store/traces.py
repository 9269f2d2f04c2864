"""Reading all memory of a process, and what keys look like in it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["found", "looks", "message_key"]

BLOCK = 8 << 20


def message_key(data_key: bytes, message_id: bytes) -> bytes:
    """Derive the key of a message's frames, as the AWS Encryption SDK's suite 0x0478 has it."""
    return HKDF(SHA512(), 32, message_id, b"\x04\x78DERIVEKEY").derive(data_key)


def looks(key: bytes) -> set[bytes]:
    """Return what betrays an AES-256 key: both halves of it, its digits, and each later round key."""
    rounds = schedule(key)
    assert rounds[0] + rounds[1] == key
    return {key[:16], key[16:], key.hex().encode()[:32], key.hex().encode()[32:], *rounds[2:]}


def found(pid: int, wanted: Mapping[str, Iterable[bytes]]) -> dict[str, int]:
    """Count how often each of some bytes is in what a process could write, as far as it can be read."""
    counts = dict.fromkeys(wanted, 0)
    longest = max(len(what) for group in wanted.values() for what in group)
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, access = line.split()[:2]
            if not access.startswith("rw"):  # nothing was written to the others
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            before = b""
            while start < end:
                try:
                    some = os.pread(memory, min(BLOCK, end - start), start)
                except OSError:  # what the kernel itself can't read
                    break
                if not some:
                    break
                window = before + some
                for name, group in wanted.items():
                    counts[name] += sum(window.count(what) for what in group)
                before = window[len(window) - (longest - 1) :]
                start += len(some)
    finally:
        os.close(memory)
    return counts


def schedule(key: bytes) -> list[bytes]:
    """Expand an AES-256 key into its fifteen round keys (FIPS 197, section 5.2)."""
    box = substitutions()
    words = [key[place : place + 4] for place in range(0, 32, 4)]
    constant = 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(box[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = times(constant, 2)
        elif len(words) % 8 == 4:
            word = bytes(box[byte] for byte in word)
        words.append(bytes(one ^ other for one, other in zip(words[-8], word, strict=True)))
    return [b"".join(words[place : place + 4]) for place in range(0, 60, 4)]


def times(one: int, other: int) -> int:
    """Multiply in the field of AES."""
    product = 0
    while other:
        if other & 1:
            product ^= one
        one = (one << 1) ^ (0x11B if one & 0x80 else 0)
        other >>= 1
    return product


def substitutions() -> list[int]:
    """Make the S-box of AES (FIPS 197, section 5.1.1)."""
    inverse = {0: 0} | {
        one: other for one in range(1, 256) for other in range(1, 256) if times(one, other) == 1
    }
    box = []
    for value in range(256):
        some = inverse[value]
        turned = [(some << shift | some >> (8 - shift)) & 0xFF for shift in range(5)]
        box.append(turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63)
    return box
