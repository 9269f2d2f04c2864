"""Keys from files, from digits and from passphrases, and what is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from strongroom import OptionError, SealError, _core

DIGITS = "0123456789abcdefABCDEF" + "0" * 42


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "model.key"


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def read(path: Path) -> _core.Keyring:
    return _core.Keyring.from_key_file(str(path), namespace="tests", name="one")


def from_hex(digits: bytes) -> _core.Keyring:
    return _core.Keyring.from_hex(bytearray(digits), namespace="tests", name="one", source="$KEY")


def opens(one: _core.Keyring, other: _core.Keyring, folder: Path) -> None:
    plain, sealed, opened = (folder / name for name in ("plain", "sealed", "opened"))
    plain.write_bytes(b"weights")
    _core.seal_file(str(plain), str(sealed), keyrings=[one], context={})
    _core.open_sealed(str(sealed), str(opened), keyrings=[other])
    assert opened.read_bytes() == b"weights"


@pytest.mark.parametrize(
    "content",
    [bytes.fromhex(DIGITS), DIGITS.encode(), DIGITS.encode() + b"\n", DIGITS.upper().encode()],
    ids=["bytes", "digits", "line", "upper"],
)
def test_a_key_in_a_file(content: bytes, key: Path, tmp_path: Path) -> None:
    write(key, content)
    keyring = read(key)
    assert keyring.id == "tests/one"
    assert repr(keyring) == "<strongroom._core.Keyring tests/one>"
    opens(from_hex(DIGITS.encode()), keyring, tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (bytes(31), "neither 32 bytes nor 64"),
        (bytes(33), "neither 32 bytes nor 64"),
        (DIGITS.encode()[:63], "neither 32 bytes nor 64"),
        (DIGITS.encode()[:63] + b"\n", "neither 32 bytes nor 64"),
        (DIGITS.encode()[:63] + b"g", "not every digit of it is hexadecimal"),
        (DIGITS.encode() + b"0", "longer than 64"),
        (DIGITS.encode() + b"\r\n", "longer than 64"),
        (DIGITS.encode() + b"\n\n", "longer than 64"),
        (bytes(100_000), "longer than 64"),
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI", "it is PEM"),
    ],
)
def test_what_is_no_key(content: bytes, reason: str, key: Path) -> None:
    write(key, content)
    with pytest.raises(SealError, match=reason) as raised:
        read(key)
    assert raised.value.code == "seal.key_malformed"
    assert str(key) in raised.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o777])
def test_a_key_that_others_may_read_or_write(mode: int, key: Path) -> None:
    write(key, bytes(32), mode)
    with pytest.raises(SealError, match=f"its mode is {mode:04o}") as raised:
        read(key)
    assert raised.value.code == "seal.key_permissions"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_somebody_else(key: Path) -> None:
    write(key, bytes(32))
    os.chown(key, 12345, -1)
    with pytest.raises(SealError, match="it belongs to the user 12345") as raised:
        read(key)
    assert raised.value.code == "seal.key_permissions"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path, reason in [
        (tmp_path, "it is a directory"),
        (tmp_path / "fifo", "it is not a regular file"),
        (tmp_path / "missing", "it does not exist"),
        (Path("/dev/zero"), "it is not a regular file"),
    ]:
        with pytest.raises(SealError, match=reason) as raised:
            read(path)
        assert raised.value.code == "seal.key_file"


def test_digits_are_wiped() -> None:
    digits = bytearray(DIGITS.encode())
    _core.Keyring.from_hex(digits, namespace="tests", name="one", source="$KEY")
    assert digits == bytearray(64)


@pytest.mark.parametrize(
    "digits", [DIGITS.encode()[:-1], b"x" * 64, "ß".encode() * 32, DIGITS.encode() + b"\n"]
)
def test_digits_that_are_none_are_wiped_and_not_shown(digits: bytes) -> None:
    given = bytearray(digits)
    with pytest.raises(SealError, match=r"^\$KEY is not a key: ") as raised:
        _core.Keyring.from_hex(given, namespace="tests", name="one", source="$KEY")
    assert raised.value.code == "seal.key_malformed"
    assert digits.decode().strip() not in str(raised.value)
    assert given == bytearray(len(digits))


@pytest.mark.parametrize(
    ("namespace", "name"), [("", "a"), ("a", ""), ("aws-kms", "a"), ("a\n", "a"), ("a", "a" * 1025)]
)
def test_names_that_cannot_be_used(namespace: str, name: str) -> None:
    with pytest.raises(SealError) as raised:
        _core.Keyring.from_hex(bytearray(DIGITS.encode()), namespace=namespace, name=name, source="x")
    assert raised.value.code == "seal.key_name"


def test_passphrases(tmp_path: Path) -> None:
    line = tmp_path / "passphrase"
    write(line, b"correct horse\n")
    word = bytearray(b"correct horse")
    ours = _core.Keyring.from_passphrase(word, memory=8192, passes=1)
    assert word == bytearray(len(word))
    assert "horse" not in repr(ours)
    opens(ours, _core.Keyring.from_passphrase(passphrase_file=str(line)), tmp_path)
    with pytest.raises(SealError, match="passphrase") as raised:
        _core.Keyring.from_passphrase()
    assert raised.value.code == "seal.passphrase"
    with pytest.raises(OptionError):
        _core.Keyring.from_passphrase(bytearray())
    costs: tuple[dict[str, int], ...] = (
        {"memory": 8191},
        {"memory": 1 << 21},
        {"passes": 0},
        {"passes": 17},
        {"lanes": 17},
    )
    for cost in costs:
        with pytest.raises(SealError) as raised:
            _core.Keyring.from_passphrase(bytearray(b"x"), passphrase_file=None, **cost)
        assert raised.value.code == "seal.cost"
