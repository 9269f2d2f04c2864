"""What is sealed here the AWS Encryption SDK opens, and what it encrypts is opened here."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from strongroom import SealError, _core
from tests.seal.reference import REFUSALS, Key, decrypt, encrypt

FRAME = 4096
LENGTHS = [0, 1, FRAME - 1, FRAME, FRAME + 1, 7 * FRAME - 1, 7 * FRAME, 7 * FRAME + 1]
CONTEXT = {"model": "smol", "digest": "sha256:00", "ü": "", "a": "ß" * 300}
KEY = Key("tests", "one", bytes(range(32)))
OTHER = Key("tests", "two", bytes(32))


def keyring(key: Key) -> _core.Keyring:
    digits = bytearray(key.key.hex().encode())
    return _core.Keyring.from_hex(digits, namespace=key.namespace, name=key.name, source="the test")


def write(path: Path, length: int) -> bytes:
    content = os.urandom(length)
    path.write_bytes(content)
    return content


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return tmp_path / "model.sealed"


@pytest.mark.parametrize("length", LENGTHS)
def test_the_reference_opens_what_is_sealed_here(length: int, plain: Path, sealed: Path) -> None:
    content = write(plain, length)
    size = _core.seal_file(
        str(plain),
        str(sealed),
        keyrings=[keyring(OTHER), keyring(KEY)],
        context=CONTEXT,
        frame_length=FRAME,
    )
    assert size == sealed.stat().st_size
    for key in (KEY, OTHER):
        assert decrypt(sealed, key) == (content, CONTEXT)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_the_reference_encrypts_is_opened_here(
    length: int, plain: Path, sealed: Path, tmp_path: Path
) -> None:
    content = write(plain, length)
    encrypt(plain, sealed, [KEY, OTHER], context=CONTEXT, frame_length=FRAME)
    for key in (KEY, OTHER):
        opened = tmp_path / key.name
        context = _core.open_sealed(
            str(sealed), str(opened), keyrings=[keyring(key)], expected={"model": "smol"}
        )
        assert context == CONTEXT
        assert opened.read_bytes() == content
        assert opened.stat().st_mode & 0o777 == 0o600


def test_no_context_at_all(plain: Path, sealed: Path, tmp_path: Path) -> None:
    content = write(plain, 100)
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring(KEY)], context={})
    assert decrypt(sealed, KEY) == (content, {})
    sealed.unlink()
    encrypt(plain, sealed, [KEY], context={}, frame_length=FRAME)
    opened = tmp_path / "opened"
    assert _core.open_sealed(str(sealed), str(opened), keyrings=[keyring(KEY)]) == {}
    assert opened.read_bytes() == content


def test_a_large_file_in_both_directions(plain: Path, sealed: Path, tmp_path: Path) -> None:
    length = (64 << 20) + 12_345
    plain.write_bytes(os.urandom(length))
    digest = hashlib.sha256(plain.read_bytes()).digest()
    told: list[tuple[int, int]] = []
    _core.seal_file(
        str(plain),
        str(sealed),
        keyrings=[keyring(KEY)],
        context=CONTEXT,
        progress=lambda done, total: told.append((done, total)),
    )
    # How often depends on when this thread gets the processor.
    assert told == sorted(told)
    assert told[-1] == (length, length)
    assert {total for _, total in told} == {length}
    content, _ = decrypt(sealed, KEY)
    assert hashlib.sha256(content).digest() == digest
    encrypt(plain, tmp_path / "theirs", [KEY], context=CONTEXT, frame_length=1 << 20)
    for path in (sealed, tmp_path / "theirs"):
        opened = path.with_suffix(".opened")
        _core.open_sealed(str(path), str(opened), keyrings=[keyring(KEY)])
        assert hashlib.sha256(opened.read_bytes()).digest() == digest


def test_what_either_refuses_the_other_refuses(plain: Path, sealed: Path, tmp_path: Path) -> None:
    write(plain, 3 * FRAME)
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring(KEY)], context=CONTEXT, frame_length=FRAME)
    whole = sealed.read_bytes()
    for position in range(0, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        sealed.write_bytes(changed)
        with pytest.raises(REFUSALS):
            decrypt(sealed, KEY)
        with pytest.raises(SealError):
            _core.open_sealed(str(sealed), str(tmp_path / "opened"), keyrings=[keyring(KEY)])
    assert not (tmp_path / "opened").exists()


def test_a_key_that_argon2_derives_opens_it_in_the_reference(plain: Path, sealed: Path) -> None:
    content = write(plain, 10_000)
    ours = _core.Keyring.from_passphrase(bytearray(b"correct horse"), memory=8192, passes=2, lanes=2)
    _core.seal_file(str(plain), str(sealed), keyrings=[ours], context=CONTEXT)
    whole = sealed.read_bytes()
    start = whole.index(b"$argon2id$v=19$m=8192,t=2,p=2$")
    name = whole[start : start + 30 + 22].decode()
    salt = name.rpartition("$")[2]
    derivation = Argon2id(
        salt=base64.b64decode(salt + "=="), length=32, iterations=2, lanes=2, memory_cost=8192
    )
    key = Key("strongroom-passphrase", name, derivation.derive(b"correct horse"))
    assert decrypt(sealed, key) == (content, CONTEXT)
    # And the other way round: with a key that was derived elsewhere.
    encrypt(plain, sealed, [key], context=CONTEXT, frame_length=FRAME)
    opened = sealed.with_suffix(".opened")
    _core.open_sealed(str(sealed), str(opened), keyrings=[ours])
    assert opened.read_bytes() == content
