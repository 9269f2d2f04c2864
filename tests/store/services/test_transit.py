"""The transit engine of a real OpenBao, over TLS; and of addresses that answer what it never would."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from strongroom import SealError, SettingsError, _core
from strongroom.errors import StoreError
from strongroom.store.keys import VaultTransit, keyring_of
from strongroom.store.services import transit
from tests.store.services.conftest import Bao

CONTEXT = {"strongroom-name": "smol", "strongroom-version": "", "ü": "ß"}
CONTENT = os.urandom(10_000)
URL = "https://127.0.0.1:8200"


@pytest.fixture
def name(bao: Bao) -> str:
    name = f"key-{os.urandom(4).hex()}"
    bao.ask(f"transit/keys/{name}", {"type": "aes256-gcm96"})
    return name


@pytest.fixture
def token_file(bao: Bao, name: str, tmp_path: Path) -> Path:
    return write(tmp_path / "token", bao.token(f"transit/encrypt/{name}", f"transit/decrypt/{name}"))


def write(path: Path, token: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(token + "\n")
    return path


@pytest.fixture
def key(bao: Bao, name: str, token_file: Path) -> VaultTransit:
    return VaultTransit(url=bao.url, key=name, token_file=token_file, ca_file=bao.ca_file)


def seal(key: VaultTransit, folder: Path, name: str = "model") -> Path:
    plain, sealed = folder / "model.gguf", folder / f"{name}.sealed"
    plain.write_bytes(CONTENT)
    _core.seal_file(str(plain), str(sealed), keyrings=[keyring_of(key)], context=CONTEXT)
    return sealed


def open_with(key: VaultTransit, sealed: Path) -> bytes:
    opened = sealed.with_suffix(".opened")
    assert _core.open_sealed(str(sealed), str(opened), keyrings=[keyring_of(key)]) == CONTEXT
    content = opened.read_bytes()
    opened.unlink()
    return content


def test_old_messages_open_after_a_rotation(bao: Bao, key: VaultTransit, tmp_path: Path) -> None:
    old = seal(key, tmp_path, "old")
    bao.ask(f"transit/keys/{key.key}/rotate", {})
    new = seal(key, tmp_path, "new")
    assert b"vault:v1:" in old.read_bytes()
    assert b"vault:v2:" in new.read_bytes()
    assert open_with(key, old) == open_with(key, new) == CONTENT
    bao.ask(f"transit/keys/{key.key}/config", {"min_decryption_version": 2})
    with pytest.raises(SealError, match="is below its min_decryption_version"):
        open_with(key, old)
    assert open_with(key, new) == CONTENT


def test_the_context_is_bound(key: VaultTransit) -> None:
    data_key = bytearray(os.urandom(32))
    info, wrapped = key.wrap(data_key, CONTEXT)
    assert info == f"transit/{key.key}".encode()
    assert key.unwrap(info, wrapped, CONTEXT) == data_key
    for context in ({}, CONTEXT | {"strongroom-name": "other"}):
        with pytest.raises(StoreError, match="was changed, or is another context's"):
            key.unwrap(info, wrapped, context)
    with pytest.raises(StoreError, match="was changed"):
        key.unwrap(info, wrapped[:-6] + b"AAAAAA", CONTEXT)
    with pytest.raises(StoreError, match="was changed"):
        key.unwrap(info, b"\xff", CONTEXT)
    assert key.unwrap(b"transit/another", wrapped, CONTEXT) is None


def test_the_engine_authenticates_what_the_format_has_for_a_raw_key(bao: Bao, key: VaultTransit) -> None:
    # By another road: what is bound is the format's own encoding of the context.
    data_key = bytearray(range(32))
    _, wrapped = key.wrap(data_key, {"b": "2", "a": ""})
    encoded = bytes.fromhex("0002 0001 61 0000 0001 62 0001 32")
    answer = bao.ask(
        f"transit/decrypt/{key.key}",
        {"ciphertext": wrapped.decode(), "associated_data": base64.b64encode(encoded).decode()},
    )
    assert base64.b64decode(answer["data"]["plaintext"]) == data_key


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"type": "rsa-2048"}, "can't bind the context"),
        ({"type": "aes256-gcm96", "derived": True}, "the key is derived"),
    ],
)
def test_keys_that_can_not_bind_are_refused(bao: Bao, options: dict[str, Any], reason: str) -> None:
    name = f"key-{os.urandom(4).hex()}"
    bao.ask(f"transit/keys/{name}", options)
    os.environ["STRONGROOM_TESTS_TOKEN"] = bao.root
    try:
        key = VaultTransit(
            url=bao.url, key=name, token_variable="STRONGROOM_TESTS_TOKEN", ca_file=bao.ca_file
        )
        with pytest.raises(StoreError, match=reason):
            key.wrap(bytearray(32), CONTEXT)
    finally:
        del os.environ["STRONGROOM_TESTS_TOKEN"]


def test_a_right_to_update_makes_no_key(bao: Bao, tmp_path: Path) -> None:
    token = write(tmp_path / "token", bao.token("transit/encrypt/*", "transit/decrypt/*"))
    key = VaultTransit(url=bao.url, key="misspelt", token_file=token, ca_file=bao.ca_file)
    with pytest.raises(SealError, match=r"transit/misspelt failed: .*has no right to encrypt") as refused:
        seal(key, tmp_path)
    assert refused.value.code == "seal.service"


def test_a_mount_and_a_namespace_of_its_own(bao: Bao, tmp_path: Path) -> None:
    bao.ask("sys/namespaces/models", {})
    bao.ask("sys/mounts/keys/transit", {"type": "transit"}, namespace="models")
    bao.ask("keys/transit/keys/one", {"type": "aes256-gcm96"}, namespace="models")
    token = write(tmp_path / "token", bao.root)
    key = VaultTransit(
        url=bao.url,
        key="one",
        mount="keys/transit",
        namespace="models",
        token_file=token,
        ca_file=bao.ca_file,
    )
    assert open_with(key, seal(key, tmp_path)) == CONTENT
    assert key.name == "keys/transit/one"


def test_a_token_is_in_nothing_that_is_shown(
    bao: Bao, key: VaultTransit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = f"s.secret{os.urandom(8).hex()}"
    wrong = VaultTransit(
        url=bao.url, key=key.key, token_file=write(tmp_path / "wrong", token), ca_file=bao.ca_file
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(SealError, match="the token isn't valid") as refused:
        seal(wrong, tmp_path)
    shown = f"{refused.value!r} {refused.value} {wrong!r} {keyring_of(wrong)!r} {caplog.text}"
    assert token not in shown
    assert "secret" not in shown


def test_a_certificate_of_somebody_else(key: VaultTransit, bao: Bao) -> None:
    assert key.token_file is not None
    stranger = VaultTransit(url=bao.url, key=key.key, token_file=key.token_file)
    with pytest.raises(StoreError, match="its certificate can't be verified"):
        stranger.wrap(bytearray(32), CONTEXT)
    no_authority = VaultTransit(url=bao.url, key=key.key, token_file=key.token_file, ca_file="/nonexistent")
    with pytest.raises(StoreError, match="no authorities can be read"):
        no_authority.wrap(bytearray(32), CONTEXT)


class Answers(ThreadingHTTPServer):
    """A server that gives the same answer to every request, and counts them."""

    answer: tuple[int, bytes] = (200, b"{}")
    seen = 0


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        self.server.seen += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "http://192.0.2.1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def asking(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VaultTransit:
    monkeypatch.setattr(transit, "PAUSES", (0.0, 0.0))
    token = write(tmp_path / "token", "token")
    return VaultTransit(url=f"http://127.0.0.1:{answers.server_port}", key="one", token_file=token)


@pytest.mark.parametrize(
    ("answer", "reason", "times"),
    [
        ((503, b'{"errors": ["Vault is sealed"]}'), "it is sealed", 3),
        ((429, b"hunter2"), r"it refuses it \(status 429\)", 3),
        ((400, b"hunter2"), r"it refuses it \(status 400\)", 1),
        ((404, b'{"errors": []}'), "no transit engine is mounted there", 1),
        ((307, b""), "it redirects to another", 1),
        ((200, b"hunter2"), "something else than a key", 1),
        ((200, b'{"data": {"plaintext": "hunter2!!"}}'), "something else than a key", 1),
        ((200, b"[" * 100_000), "something else than a key", 1),
        ((200, b" " * (transit.MOST_ANSWER + 1)), "more than", 1),
    ],
)
def test_other_answers(
    answers: Answers, asking: VaultTransit, answer: tuple[int, bytes], reason: str, times: int
) -> None:
    answers.answer = answer
    with pytest.raises(StoreError, match=reason) as refused:
        asking.unwrap(b"transit/one", b"vault:v1:AAAA", CONTEXT)
    assert answers.seen == times
    assert "hunter2" not in str(refused.value)
    assert refused.value.code == "store.service"


def test_a_server_that_is_not_there(asking: VaultTransit, answers: Answers) -> None:
    answers.socket.close()
    with pytest.raises(StoreError, match=r"http://127.0.0.1:\d+ can't be reached: Connection refused"):
        asking.wrap(bytearray(32), CONTEXT)


def test_tokens_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(**options: Any) -> str:
        with pytest.raises(StoreError) as refused:
            VaultTransit(url=URL, key="one", **options).wrap(bytearray(32), CONTEXT)
        return refused.value.message

    assert "can't be read: No such file" in ask(token_file=tmp_path / "none")
    assert "no regular file" in ask(token_file=tmp_path)
    path = write(tmp_path / "token", "secret")
    path.chmod(0o640)
    assert "open to others" in ask(token_file=path)
    path.chmod(0o600)
    path.write_bytes(b"sec\r\nret: x")
    assert ask(token_file=path) == "the token's file holds no token"
    monkeypatch.delenv("NO_TOKEN", raising=False)
    assert "the environment has no NO_TOKEN" in ask(token_variable="NO_TOKEN")
    monkeypatch.setenv("NO_TOKEN", "")
    assert ask(token_variable="NO_TOKEN") == "the variable NO_TOKEN holds no token"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://keys.example.org:8200"},
        {"url": "http://localhost:8200"},
        {"url": "http://127.0.0.1.example.org"},
        {"url": "https://user:secret@127.0.0.1"},
        {"url": "https://127.0.0.1/v1"},
        {"url": "https://127.0.0.1:0"},
        {"url": "https://127.0.0.1:x"},
        {"url": "ftp://127.0.0.1"},
        {"url": 1},
        {"key": "a/b"},
        {"key": "a b"},
        {"key": ".."},
        {"mount": "/transit"},
        {"mount": "transit/../sys"},
        {"namespace": "a\r\nX: y"},
        {"token_variable": "ALSO"},
        {"token_file": None},
        {"token_file": None, "token_variable": "s.secret"},
        {"token_file": ""},
        {"ca_file": "\0"},
    ],
)
def test_options_that_can_not_be(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        VaultTransit(**{"url": URL, "key": "one", "token_file": "token"} | options)
    assert refused.value.code == "settings.invalid"
    assert "secret" not in str(refused.value)


def test_authorities_say_nothing_without_tls() -> None:
    with pytest.raises(SettingsError, match="ca_file says nothing"):
        VaultTransit(url="http://127.0.0.1:8200", key="one", token_file="token", ca_file="ca.pem")


def test_a_service_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def drip(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        with connected:
            connected.recv(1 << 16)
            connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while not ended.wait(0.02):
                    connected.sendall(b" ")

    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("s.token")
    monkeypatch.setattr(transit, "WHOLE", 0.3)
    monkeypatch.setattr(transit, "PAUSES", ())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener], daemon=True)
        thread.start()
        service = VaultTransit(url=f"http://127.0.0.1:{listener.getsockname()[1]}", key="k", token_file=token)
        began = time.monotonic()
        try:
            with pytest.raises(StoreError) as caught:
                service.wrap(bytearray(32), {})
        finally:
            ended.set()
            thread.join(10)
    assert time.monotonic() - began < 10
    assert caught.value.code == "store.service"
