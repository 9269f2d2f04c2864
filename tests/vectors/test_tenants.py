"""The keys that stand for tenants, computed a second time."""

import hashlib
import hmac

from tests.conftest import ROOT

VECTORS = ROOT / "rust/host/vectors/tenants.txt"


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def field(value: bytes) -> bytes:
    return number(len(value)) + value


def test_they_are_hmacs_over_fields_with_their_lengths() -> None:
    lines = [line for line in VECTORS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) >= 6
    for line in lines:
        secret, tenant, digest, template, key = line.split("|")
        message = field(b"strongroom tenant 1") + field(bytes.fromhex(tenant)) + field(digest.encode())
        message += number(0) if template == "none" else number(1) + field(bytes.fromhex(template))
        message += number(0)  # adapters
        assert hmac.digest(bytes.fromhex(secret), message, hashlib.sha256).hex() == key
