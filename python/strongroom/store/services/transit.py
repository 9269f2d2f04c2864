"""The transit engine of OpenBao, and of Vault, which has the same interface.

A data key is wrapped by `encrypt`, with the encryption context as `associated_data`: what an AEAD such as
aes256-gcm96 authenticates. The engine's `context` wouldn't do, for it only derives keys, and a key that
isn't made for that ignores it without a word. `hvac` isn't used: two requests need no dependency, and it
would follow redirects and take addresses and authorities from the environment.
"""

import base64
import binascii
import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.errors import SettingsError, StoreError
from strongroom.options import Options, is_path, path_text, shown
from strongroom.quantities import invalid
from strongroom.store.services.address import address_of
from strongroom.store.services.token import token_in_file, token_in_variable

__all__ = ["VaultTransit"]

KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}", re.ASCII)
PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*", re.ASCII)
LONGEST_PATH = 256

TIMEOUT = 10
"""Seconds, of one step of a request."""
WHOLE = 30
"""Seconds, of a whole request, however slowly its answer drips."""
PAUSES = (0.2, 0.8)
"""Seconds before each repetition, of which there are no more."""
PASSING = frozenset({412, 429, 500, 502, 503, 504})
"""Statuses that may be others a moment later."""
MOST_ANSWER = 256 << 10

REASONS: Mapping[str, str] = {
    "message authentication failed": "the wrapped key was changed, or is another context's",
    "invalid ciphertext": "the wrapped key was changed, or is another context's",
    "too old": "the key's version that wrapped it is below its min_decryption_version",
    "encryption key not found": "there is no such key",
    "non-AEAD": "the key's type can't bind the context: make one of type aes256-gcm96",
    "key derivation": "the key is derived: make one that isn't, of type aes256-gcm96",
    "sealed": "it is sealed",
}
"""What its errors mean, by a part of their text. The text itself isn't repeated."""


@dataclass(frozen=True, kw_only=True)
class VaultTransit(Options):
    """A key of the transit engine of OpenBao or Vault, of a type that takes associated data: aes256-gcm96.

    The token needs `update` on `MOUNT/encrypt/KEY` and `MOUNT/decrypt/KEY`. With `create` as well a misspelt
    key would be made.
    """

    url: str
    """Its address: https://HOST:PORT, or http to a loopback address. No redirect or proxy is followed."""
    key: str
    """The key's name."""
    mount: str = "transit"
    """Where the engine is mounted."""
    token_file: str | os.PathLike[str] | None = None
    """A file with the token, which only its owner may read; read for every request."""
    token_variable: str | None = None
    """An environment variable with the token, instead; read for every request."""
    ca_file: str | os.PathLike[str] | None = None
    """PEM certificates of the authorities to trust, instead of the system's."""
    namespace: str | None = None
    """That the mount is in."""

    def __post_init__(self) -> None:
        """Check every option."""
        scheme, _, _ = address_of("url", self.url)
        matching("key", self.key, KEY, "the name of a key")
        matching("mount", self.mount, PATH, "the path of a mount")
        if self.namespace is not None:
            matching("namespace", self.namespace, PATH, "the path of a namespace")
        if (self.token_file is None) == (self.token_variable is None):
            raise SettingsError(
                "settings.invalid", f"the key {shown(self.key)} needs one of token_file and token_variable"
            )
        for option in ("token_file", "ca_file"):
            path: object = getattr(self, option)
            if path is not None:
                text = path_text(path)
                if not text or not is_path(text):
                    raise invalid(option, path, "a path")
                object.__setattr__(self, option, text)
        if self.ca_file is not None and scheme != "https":
            raise SettingsError("settings.conflict", "ca_file says nothing where url isn't https")
        variable: object = self.token_variable
        if variable is not None and not (isinstance(variable, str) and variable.isidentifier()):
            # Not shown: a token may have been put here.
            raise SettingsError(
                "settings.invalid", "token_variable must be the name of an environment variable"
            )

    @property
    def provider(self) -> str:
        """The format's name for the engine, whichever of the two programs it runs in."""
        return "vault-transit"

    @property
    def name(self) -> str:
        """The mount and the key: what a message says of it. The address may change."""
        return f"{self.mount}/{self.key}"

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Let the engine encrypt a data key. Raises StoreError."""
        wrapped = self.ask(
            "encrypt",
            {"plaintext": base64.b64encode(data_key).decode(), "associated_data": associated(context)},
            "ciphertext",
        )
        return self.name.encode(), wrapped.encode()

    def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:
        """Let the engine decrypt a data key, if it is this very key that wrapped it. Raises StoreError."""
        if info != self.name.encode():
            return None
        try:
            ciphertext = wrapped.decode("ascii")
        except UnicodeDecodeError:
            raise failed("the wrapped key was changed, or is another context's") from None
        plaintext = self.ask(
            "decrypt", {"ciphertext": ciphertext, "associated_data": associated(context)}, "plaintext"
        )
        try:
            return bytearray(base64.b64decode(plaintext, validate=True))
        except (binascii.Error, ValueError):
            raise failed("it answers something else than a key") from None

    def ask(self, operation: str, body: Mapping[str, str], wanted: str) -> str:
        """Ask once, and again where it may only be busy; return the text that is `wanted` of the answer."""
        request = json.dumps(body).encode()
        for pause in (*PAUSES, None):
            try:
                status, answer = self.post(f"/v1/{self.mount}/{operation}/{self.key}", request)
            except OSError as error:
                if pause is None or not isinstance(error, ConnectionError | TimeoutError):
                    raise failed(f"{self.url} can't be reached: {worded(error)}") from None
            else:
                if status == 200:
                    return text_of(answer, wanted)
                if pause is None or status not in PASSING:
                    raise failed(reason_of(status, answer, operation, self.name))
            time.sleep(pause)
        raise AssertionError  # the last one has no pause

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Make one request; return its status and what it answers.

        Raises OSError, StoreError.
        """
        from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: PLC0415 - for few

        scheme, host, port = address_of("url", self.url)
        if self.token_file is not None:
            token = token_in_file(os.fspath(self.token_file))
        else:
            token = token_in_variable(self.token_variable or "")
        headers: dict[str, str | bytes] = {
            "Content-Type": "application/json",
            "X-Vault-Request": "true",
            "X-Vault-Token": token,
        }
        if self.namespace is not None:
            headers["X-Vault-Namespace"] = self.namespace
        if scheme == "https":
            connection: HTTPConnection = HTTPSConnection(
                host, port, timeout=TIMEOUT, context=tls(self.ca_file)
            )
        else:
            connection = HTTPConnection(host, port, timeout=TIMEOUT)
        try:
            connection.connect()
            deadline = threading.Timer(WHOLE, shut, [connection.sock])
            deadline.daemon = True
            deadline.start()
        except BaseException:
            connection.close()
            raise
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read(MOST_ANSWER + 1)
        except ConnectionError:
            raise  # some of them are HTTPExceptions too
        except HTTPException as error:
            # Its text may hold what was answered.
            raise failed(f"{self.url} doesn't speak HTTP ({type(error).__name__})") from None
        finally:
            deadline.cancel()
            connection.close()
        if len(answer) > MOST_ANSWER:
            raise failed(f"it answers more than {MOST_ANSWER} bytes")
        return response.status, answer


def shut(connected: socket.socket) -> None:
    """End a connection under whoever reads from it."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def matching(option: str, value: object, pattern: re.Pattern[str], expected: str) -> None:
    """Check a name that becomes a part of an address."""
    if not isinstance(value, str) or len(value) > LONGEST_PATH or not pattern.fullmatch(value):
        raise invalid(option, value, f"{expected}: letters, digits and - _ .")


def tls(ca_file: str | os.PathLike[str] | None) -> Any:  # noqa: ANN401 - an SSLContext, of a module that few need
    """Return what verifies the other side's certificate and name. Raises StoreError."""
    import ssl  # noqa: PLC0415

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise failed(f"no authorities can be read from ca_file ({type(error).__name__})") from None


def associated(context: Mapping[str, str]) -> str:
    """Return the context in base64, as the format writes it: lengths first, keys sorted by bytes."""
    pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
    if not pairs:
        return ""
    parts = [len(pairs).to_bytes(2)]
    parts += [len(text).to_bytes(2) + text for pair in pairs for text in pair]
    return base64.b64encode(b"".join(parts)).decode()


def text_of(answer: bytes, wanted: str) -> str:
    """Find a text in an answer. Raises StoreError."""
    try:
        found = json.loads(answer)["data"][wanted]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, str) or not found:
        raise failed("it answers something else than a key")
    return found


def reason_of(status: int, answer: bytes, operation: str, name: str) -> str:
    """Say why a request failed."""
    if status == 403:
        return f"the token isn't valid there, or has no right to {operation} with {name}"
    if 300 <= status < 400:
        return "it redirects to another, as a standby does: name the active one as url"
    text = answer.decode("utf-8", "replace")
    for part, reason in REASONS.items():
        if part in text:
            return f"{reason} (status {status})"
    if status == 404:
        return "no transit engine is mounted there (status 404)"
    return f"it refuses it (status {status})"


def worded(error: OSError) -> str:
    """Say why there is no connection, in the system's words."""
    reason: object = getattr(error, "verify_message", None)  # of a certificate
    if isinstance(reason, str):
        return f"its certificate can't be verified: {reason}"
    return error.strerror if isinstance(error.strerror, str) else type(error).__name__


def failed(reason: str) -> StoreError:
    """Build the error for a service that gives no key."""
    return StoreError("store.service", f"the transit engine: {reason}")
