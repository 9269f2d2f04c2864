"""An implementation of rust/seal/ENVELOPE.md by pyca/cryptography opens ours, and ours opens its."""

from __future__ import annotations

import os
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from strongroom import DataCipher, DataError
from tests.conftest import ROOT
from tests.data import envelope as reference
from tests.data.conftest import CONTEXT

KEY = reference.Key("app", 2, b"\x02" * 32)
OLD = reference.Key("app", 1, b"\x01" * 32)


def sealed(plaintext: bytes, key: reference.Key = KEY) -> bytes:
    return reference.seal(key, plaintext, CONTEXT, "data", salt=os.urandom(32), nonce=os.urandom(12))


@pytest.mark.parametrize(("obj", "context", "purpose"), [case[1:] for case in reference.VECTORS])
def test_both_ways(cipher: DataCipher, obj: Any, context: dict[str, str], purpose: str) -> None:
    envelope = cipher.encrypt(obj, context, purpose)
    assert reference.unseal(KEY, envelope, context, purpose) == reference.plaintext_of(obj)
    with pytest.raises(InvalidTag):
        reference.unseal(KEY, envelope, {**context, "tenant": "other"}, purpose)
    for key in (KEY, OLD):
        salt, nonce = os.urandom(32), os.urandom(12)
        theirs = reference.seal(key, reference.plaintext_of(obj), context, purpose, salt=salt, nonce=nonce)
        assert cipher.key_of(theirs) == (key.id, key.version)
        assert cipher.decrypt(theirs, context, purpose) == obj
        again = cipher.reencrypt(theirs, context, purpose)
        assert reference.unseal(KEY, again, context, purpose) == reference.plaintext_of(obj)


@pytest.mark.parametrize(
    ("plaintext", "code"),
    [
        (b"\x04x", "data.unsupported"),
        (b"\xff", "data.unsupported"),
        (b"\x02\xff", "data.malformed"),
        (b"\x03", "data.malformed"),
        (b"\x03\xf6\xf6", "data.malformed"),
        (b"\x03\xf7", "data.malformed"),
        (b"\x03\xa1\x01\x01", "data.malformed"),
        (b"\x03\xa2\x61a\x01\x61a\x02", "data.malformed"),
        (b"\x03" + b"\x81" * 65 + b"\xf6", "data.malformed"),
        (b"\x03\x9a\xff\xff\xff\xff", "data.malformed"),
        (b"\x03\x18\x17", "data.malformed"),
    ],
)
def test_what_is_authentic_and_no_content_is_refused(cipher: DataCipher, plaintext: bytes, code: str) -> None:
    with pytest.raises(DataError) as raised:
        cipher.decrypt(sealed(plaintext), CONTEXT)
    assert raised.value.code == code


def test_the_vectors_are_what_the_reference_writes(capsys: pytest.CaptureFixture[str]) -> None:
    reference.main()
    assert capsys.readouterr().out == (ROOT / "rust/seal/tests/vectors/records.txt").read_text()
