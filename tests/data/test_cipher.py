"""What is encrypted comes back as what it was, in its place alone."""

from __future__ import annotations

import array
import math
import os
import pickle
import random
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    DataCipher,
    DataError,
    DataKey,
    EnvironmentKey,
    SealError,
    SecureArena,
)
from tests.conftest import ROOT
from tests.data.conftest import CONTEXT, key_file
from tests.data.envelope import VALUE


def same(one: Any, other: Any) -> bool:
    """Whether they are the same, in types, signs of zeros and the order of pairs too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    return bool(one == other)


def text(source: random.Random) -> str:
    return "".join(chr(source.choice((0, 65, 233, 0x20AC, 0x1F512))) for _ in range(source.randrange(9)))


def value(source: random.Random, depth: int = 0) -> Any:
    leaves: list[Callable[[], Any]] = [
        lambda: None,
        lambda: source.random() < 0.5,
        lambda: source.randrange(-(1 << source.randrange(1, 200)), 1 << source.randrange(1, 200)),
        lambda: source.choice(
            (source.uniform(-1e9, 1e9), source.random() * 10.0 ** source.randrange(-300, 300))
        ),
        lambda: text(source),
    ]
    nodes: list[Callable[[], Any]] = [
        lambda: [value(source, depth + 1) for _ in range(source.randrange(5))],
        lambda: {text(source): value(source, depth + 1) for _ in range(source.randrange(5))},
    ]
    return source.choice(leaves + nodes * 2 if depth < 5 else leaves)()


def test_values_come_back(cipher: DataCipher) -> None:
    source = random.Random(20261124)  # noqa: S311 - reproducible, not secret
    for number in range(400):
        obj = value(source)
        back = cipher.decrypt(cipher.encrypt(obj, CONTEXT), CONTEXT)
        assert same(back, obj), number
    assert same(cipher.decrypt(cipher.encrypt(VALUE, CONTEXT), CONTEXT), VALUE)


@pytest.mark.parametrize("length", [0, 1, 16, 17, 255, 20_000, 300_000])
def test_bytes_come_back(cipher: DataCipher, length: int) -> None:
    content = random.Random(length).randbytes(length)  # noqa: S311 - as above
    back = cipher.decrypt(cipher.encrypt(content, CONTEXT), CONTEXT)
    assert type(back) is bytes
    assert back == content
    for buffer in (bytearray(content), memoryview(content), array.array("B", content)):
        envelope = cipher.encrypt(buffer, CONTEXT)
        back = cipher.decrypt(memoryview(envelope), CONTEXT)
        assert type(back) is bytearray
        assert back == content


def test_a_secure_buffer_is_read_where_it_is(cipher: DataCipher) -> None:
    with SecureArena(4096, fallback="report").allocate(4, "test") as buffer:
        buffer.write(b"word")
        assert cipher.decrypt(cipher.encrypt(buffer, CONTEXT), CONTEXT) == bytearray(b"word")


class Whole(int):
    """An int that isn't one alone."""


def cyclic() -> list[object]:
    whole: list[object] = []
    whole.append(whole)
    return whole


@pytest.mark.parametrize(
    "obj",
    [
        math.nan,
        [math.inf],
        {1: "a"},
        {"a": {None: 1}},
        (1, 2),
        {1, 2},
        object(),
        Whole(1),
        [b"bytes"],
        [Whole(1)],
        1j,
        "\ud800",
        ["\udfff"],
        {"\ud800": 1},
        cyclic(),
        memoryview(b"abcd")[::2],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_come_back_as_something_else_is_refused(cipher: DataCipher, obj: Any) -> None:
    with pytest.raises(DataError) as raised:
        cipher.encrypt(obj, CONTEXT)
    assert raised.value.code == "data.value"


def test_nesting_is_bounded(cipher: DataCipher) -> None:
    deep: list[Any] = []
    for _ in range(63):
        deep = [deep]
    assert cipher.decrypt(cipher.encrypt(deep, CONTEXT), CONTEXT) == deep
    with pytest.raises(DataError, match="more than 64 lists"):
        cipher.encrypt([deep], CONTEXT)


def test_every_change_of_an_envelope_is_refused(cipher: DataCipher) -> None:
    envelope = cipher.encrypt("text", CONTEXT)
    for at in range(len(envelope)):
        changed = bytearray(envelope)
        changed[at] ^= 1 << at % 8
        with pytest.raises(DataError):
            cipher.decrypt(changed, CONTEXT)
        with pytest.raises(DataError):
            cipher.decrypt(envelope[:at], CONTEXT)


def test_every_change_of_the_context_is_refused(cipher: DataCipher) -> None:
    context = {**CONTEXT, "column": "ü"}
    envelope = cipher.encrypt("text", context)
    assert cipher.decrypt(envelope, dict(reversed(context.items()))) == "text"
    others: list[dict[str, str]] = [CONTEXT, {**context, "": "x"}, {**context, "more": ""}]
    for key, text in context.items():
        for at in range(len(text)):
            others += [
                {**context, key: text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]}
                for bit in range(7)
            ]
        renamed = {name + "x" * (name == key): value for name, value in context.items()}
        others += [renamed, {**context, key: text + "\0"}, {**context, key: ""}]
    for other in others:
        with pytest.raises(DataError) as raised:
            cipher.decrypt(envelope, other)
        assert raised.value.code in {"data.authentication", "data.context"}
    with pytest.raises(DataError) as raised:
        cipher.decrypt(envelope, context, "other")
    assert raised.value.code == "data.authentication"


def test_all_failures_of_opening_say_the_same(cipher: DataCipher, tmp_path: Path) -> None:
    envelope = cipher.encrypt("text", CONTEXT)
    key = key_file(tmp_path, "3.key", b"\x03" * 32)
    stranger = DataCipher([DataKey(id="app", version=2, key=key)])
    changed = envelope[:-1] + bytes([envelope[-1] ^ 1])
    told = set()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: stranger.decrypt(envelope, CONTEXT),
        lambda: cipher.decrypt(envelope, {**CONTEXT, "tenant": "other"}),
        lambda: cipher.decrypt(envelope, CONTEXT, "other"),
        lambda: cipher.decrypt(changed, CONTEXT),
        lambda: cipher.reencrypt(changed, CONTEXT),
    )
    for attempt in attempts:
        with pytest.raises(DataError) as raised:
            attempt()
        told.add(str(raised.value))
    assert len(told) == 1
    assert "data.authentication" in told.pop()


def test_nothing_of_the_context_or_the_content_is_in_an_envelope_or_an_error(cipher: DataCipher) -> None:
    context = {"tenant": "tenant-name", "record": "record-name", "column": "secret-column"}
    envelope = cipher.encrypt("secret content", context)
    for word in (b"tenant-name", b"record-name", b"secret", b"content"):
        assert word not in envelope
    with pytest.raises(DataError) as raised:
        cipher.decrypt(envelope, {**context, "tenant": "someone"})
    shown = "".join(traceback.format_exception_only(raised.value))
    assert not any(word in shown for word in ("someone", "record-name", "secret"))
    for obj in ({"secret content": object()}, ["secret content", math.nan]):
        with pytest.raises(DataError) as raised:
            cipher.encrypt(obj, context)
        assert "secret" not in str(raised.value)


def test_old_keys_stay_readable_and_what_is_under_them_is_found(
    cipher: DataCipher, old: DataKey, new: DataKey
) -> None:
    envelope = DataCipher([old]).encrypt({"a": 1}, CONTEXT, "notes")
    assert cipher.key_of(envelope) == ("app", 1)
    assert cipher.decrypt(envelope, CONTEXT, "notes") == {"a": 1}
    assert cipher.key_of(cipher.encrypt(1, CONTEXT)) == ("app", 2)
    again = cipher.reencrypt(envelope, CONTEXT, "notes")
    assert cipher.key_of(again) == ("app", 2)
    retired = DataCipher([new])
    assert retired.decrypt(again, CONTEXT, "notes") == {"a": 1}
    with pytest.raises(DataError, match="app version 1; the keyring has app version 2") as raised:
        retired.decrypt(envelope, CONTEXT, "notes")
    assert raised.value.code == "data.unknown_key"


def test_a_repr_shows_names_alone(cipher: DataCipher, new: DataKey) -> None:
    assert repr(cipher) == "<strongroom.DataCipher app version 2, app version 1>"
    assert cipher.keys == (("app", 2), ("app", 1))
    assert "\x02" not in repr(new)


def test_a_key_in_a_variable_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DATA_KEY", "02" * 32)
    cipher = DataCipher([DataKey(id="app", version=2, key=EnvironmentKey(variable="APP_DATA_KEY"))])
    assert "APP_DATA_KEY" not in os.environ
    assert cipher.decrypt(cipher.encrypt(None, CONTEXT), CONTEXT) is None
    with pytest.raises(SealError) as raised:
        DataCipher([DataKey(id="app", version=2, key=EnvironmentKey(variable="APP_DATA_KEY"))])
    assert raised.value.code == "seal.no_variable"


def test_threads_share_a_cipher(cipher: DataCipher) -> None:
    envelopes: list[bytes] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for at in range(100):
                obj = bytes([number]) * (20_000 if at % 10 == 0 else at)
                envelope = cipher.encrypt(obj, CONTEXT, f"purpose {at % 3}")
                assert cipher.decrypt(envelope, CONTEXT, f"purpose {at % 3}") == obj
                envelopes.append(envelope)
        except BaseException as failure:  # noqa: BLE001 - told by the test
            failures.append(failure)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    assert len({salt_and_nonce(envelope) for envelope in envelopes}) == 600
    assert len({salt_and_nonce(envelope)[:32] for envelope in envelopes}) == 3


def salt_and_nonce(envelope: bytes) -> bytes:
    return envelope[14:58]


def test_a_forked_child_is_refused_and_its_own_cipher_takes_another_salt(tmp_path: Path) -> None:
    key = key_file(tmp_path, "a.key", bytes(32))
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.forking", os.fspath(key.file)],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    before, (*errors, envelope), after = pickle.loads(done.stdout)  # noqa: S301 - our child's
    assert [error.code for error in errors] == ["data.forked"] * 3
    # The parent goes on under its own salt, the child under another.
    assert salt_and_nonce(before)[:32] == salt_and_nonce(after)[:32]
    assert salt_and_nonce(before) != salt_and_nonce(after)
    assert salt_and_nonce(envelope)[:32] != salt_and_nonce(before)[:32]
