"""What is refused, by its code; what is refused leaves no file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom import OutputError, SealError, SourceError, _core
from tests.seal.reference import Key, encrypt

FRAME = 64
KEY = Key("tests", "one", bytes(32))


def keyring(name: str = "one", byte: int = 0) -> _core.Keyring:
    digits = bytearray(bytes([byte] * 32).hex().encode())
    return _core.Keyring.from_hex(digits, namespace="tests", name=name, source="the test")


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(bytes(200))
    context = {"model": "a"}
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring()], context=context, frame_length=FRAME)
    return sealed


def refusal(sealed: Path, keyrings: list[_core.Keyring], expected: dict[str, str] | None = None) -> SealError:
    output = sealed.with_name("opened")
    with pytest.raises(SealError) as raised:
        _core.open_sealed(str(sealed), str(output), keyrings=keyrings, expected=expected)
    assert [path.name for path in sealed.parent.iterdir() if "opened" in path.name] == []
    assert str(sealed) in raised.value.message
    return raised.value


def test_keys_that_do_not_open_it(sealed: Path) -> None:
    assert refusal(sealed, [keyring(byte=1)]).code == "seal.authentication"
    error = refusal(sealed, [keyring("two"), keyring("three")])
    assert error.code == "seal.no_key"
    assert error.message.endswith("it was sealed for tests/one; given was tests/two, tests/three")
    assert refusal(sealed, []).message.endswith("it was sealed for tests/one; no key was given")
    error = refusal(sealed, [keyring()], expected={"model": "b"})
    assert error.code == "seal.context"
    assert error.message.endswith("it was sealed with model=a in its context, not model=b")


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "seal.authentication"),
        (lambda whole: whole[:-40], "seal.malformed"),
        (lambda whole: whole[:60], "seal.truncated"),
        (lambda _: b"GGUF" + bytes(100), "seal.not_sealed"),
        (lambda whole: whole[:1] + b"\x05\x78" + whole[3:], "seal.unsupported"),
        (lambda whole: whole.replace(struct.pack(">BI", 2, FRAME), b"\x02" + b"\xff" * 4), "seal.limit"),
    ],
    ids=["bit", "tail", "header", "plain", "suite", "frame"],
)
def test_files_that_are_not_what_was_sealed(change: Change, code: str, sealed: Path) -> None:
    sealed.write_bytes(change(sealed.read_bytes()))
    assert refusal(sealed, [keyring()]).code == code


def test_a_signed_message_of_the_reference_is_not_read(tmp_path: Path) -> None:
    from aws_encryption_sdk.identifiers import Algorithm  # type: ignore[import-untyped]

    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"x")
    signed = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    encrypt(plain, sealed, [KEY], context={}, frame_length=128, suite=signed)
    error = refusal(sealed, [keyring()])
    assert error.code == "seal.unsupported"
    assert "algorithm suite 0x0578" in error.message


def test_contexts_that_cannot_be_written(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x")
    for context in ({"aws-crypto-x": ""}, {"a": "x" * 65_535}):
        with pytest.raises(SealError) as raised:
            _core.seal_file(str(plain), str(tmp_path / "s"), keyrings=[keyring()], context=context)
        assert raised.value.code == "seal.context_invalid"


def test_files_that_are_in_the_way_or_missing(sealed: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    with pytest.raises(OutputError) as output:
        _core.seal_file(str(plain), str(sealed), keyrings=[keyring()], context={})
    assert output.value.code == "output.exists"
    with pytest.raises(OutputError) as output:
        _core.open_sealed(str(sealed), str(tmp_path / "no" / "where"), keyrings=[keyring()])
    assert output.value.code == "output.unwritable"
    for call in (
        lambda: _core.seal_file(str(tmp_path / "no"), str(tmp_path / "s"), keyrings=[keyring()], context={}),
        lambda: _core.open_sealed(str(tmp_path / "no"), str(tmp_path / "s"), keyrings=[keyring()]),
    ):
        with pytest.raises(SourceError) as source:
            call()
        assert source.value.code == "source.missing"


def test_what_a_callback_raises_ends_it(tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def enough(_done: int, _total: int) -> None:
        raise EnoughError

    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(bytes(20 << 20))
    with pytest.raises(EnoughError):
        _core.seal_file(str(plain), str(sealed), keyrings=[keyring()], context={}, progress=enough)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring()], context={})
    with pytest.raises(EnoughError):
        _core.open_sealed(str(sealed), str(tmp_path / "opened"), keyrings=[keyring()], progress=enough)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sealed"]
