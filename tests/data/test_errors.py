"""Envelopes, keyrings, contexts and purposes that can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom import DataCipher, DataError, DataKey, KeyFile, OptionError, SealError, SettingsError
from tests.data.conftest import CONTEXT, key_file


def refusal(cipher: DataCipher, envelope: bytes) -> str:
    codes = set()
    for attempt in (
        lambda: cipher.decrypt(envelope, CONTEXT),
        lambda: cipher.reencrypt(envelope, CONTEXT),
        lambda: cipher.key_of(envelope),
    ):
        with pytest.raises(DataError) as raised:
            attempt()
        codes.add(raised.value.code)
    [code] = codes
    return code


def test_what_is_no_envelope(cipher: DataCipher) -> None:
    envelope = cipher.encrypt(b"x", CONTEXT)
    assert refusal(cipher, b"") == "data.not_envelope"
    assert refusal(cipher, b"something else") == "data.not_envelope"
    assert refusal(cipher, envelope[:4] + b"\x02" + envelope[5:]) == "data.unsupported"
    assert refusal(cipher, envelope[:5] + b"\x02" + envelope[6:]) == "data.unsupported"
    assert refusal(cipher, envelope[:6] + b"\x00" + envelope[7:]) == "data.malformed"
    assert refusal(cipher, envelope[:7] + b"\n" + envelope[8:]) == "data.malformed"
    for end in range(1, 75):
        assert refusal(cipher, envelope[:end]) == "data.truncated"
    assert refusal(cipher, b"SRDE" + bytes(68 << 20)) == "data.too_large"


def test_what_is_too_large(cipher: DataCipher) -> None:
    most = 64 << 20
    assert cipher.decrypt(cipher.encrypt(bytes(most), CONTEXT), CONTEXT) == bytes(most)
    for obj in (bytes(most + 1), "x" * (most + 1), ["x" * most]):
        with pytest.raises(DataError) as raised:
            cipher.encrypt(obj, CONTEXT)  # type: ignore[arg-type]
        assert raised.value.code == "data.too_large"


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"tenant": "t"},
        {"record": "r"},
        {"tenant": "", "record": "r"},
        {**CONTEXT, "": "x"},
        {**CONTEXT, "x": 1},
        {"tenant": "t", "record": "r", 1: "x"},
        {**CONTEXT, "x": "\ud800"},
        {**CONTEXT, "x": "y" * 65536},
        None,
        [("tenant", "t"), ("record", "r")],
    ],
    ids=lambda context: str(context)[:40].encode("ascii", "replace").decode(),
)
def test_contexts(cipher: DataCipher, context: Any) -> None:
    envelope = cipher.encrypt(b"x", CONTEXT)
    for attempt in (cipher.encrypt, cipher.decrypt, cipher.reencrypt):
        with pytest.raises(DataError) as raised:
            attempt(envelope, context)
        assert raised.value.code == "data.context"


def test_purposes(cipher: DataCipher) -> None:
    for purpose in ("", "p" * 256, "\ud800"):
        with pytest.raises(DataError) as raised:
            cipher.encrypt(b"x", CONTEXT, purpose)
        assert raised.value.code == "data.purpose"
    with pytest.raises(OptionError):
        cipher.encrypt(b"x", CONTEXT, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("envelope", ["text", None, 7, memoryview(b"abcd")[::2]])
def test_an_envelope_is_bytes(cipher: DataCipher, envelope: Any) -> None:
    for attempt in (cipher.decrypt, cipher.reencrypt):
        with pytest.raises(OptionError, match="bytes in a row"):
            attempt(envelope, CONTEXT)
    with pytest.raises(OptionError, match="bytes in a row"):
        cipher.key_of(envelope)


def test_keyrings(old: DataKey, new: DataKey) -> None:
    for ring in ([], [old, new, old]):
        with pytest.raises(DataError) as raised:
            DataCipher(ring)
        assert raised.value.code == "data.keyring"
    for wrong in (None, old, [old.key], "app"):
        with pytest.raises(OptionError):
            DataCipher(wrong)  # type: ignore[arg-type]


def test_keys(tmp_path: Path) -> None:
    key = key_file(tmp_path, "a.key", bytes(32))
    options: list[dict[str, Any]] = [
        {"id": 1},
        {"id": "ü"},
        {"version": -1},
        {"version": 1 << 32},
        {"version": True},
        {"key": "a.key"},
        {"key": KeyFile(file=key.file, name="other")},
    ]
    for option in options:
        with pytest.raises(SettingsError):
            DataKey(**{"id": "app", "version": 1, "key": key, **option})
    with pytest.raises(SettingsError, match="did you mean 'version'"):
        DataKey(id="app", versoin=1, key=key)  # type: ignore[call-arg]
    for identity in ("", "a b", "a" * 65):
        with pytest.raises(DataError) as raised:
            DataCipher([DataKey(id=identity, version=1, key=key)])
        assert raised.value.code == "data.keyring"
    short = key_file(tmp_path, "b.key", bytes(31))
    with pytest.raises(SealError) as refused:
        DataCipher([DataKey(id="app", version=1, key=short)])
    assert refused.value.code == "seal.key_malformed"
