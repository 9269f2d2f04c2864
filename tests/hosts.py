"""A host on the loopback interface that speaks TLS, with an authority of its own."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from strongroom import Settings, Sources


@dataclass
class Host:
    """What it serves, and how it is allowed."""

    folder: Path
    url: str
    ca_file: Path
    requests: list[str] = field(default_factory=list)

    def sources(self, **other: Any) -> Sources:
        options: dict[str, Any] = {
            "hosts": [self.url],
            "ca_file": self.ca_file,
            "danger_allow_addresses": {self.url: ["127.0.0.0/8"]},
        }
        return Sources(**(options | other))

    def settings(self, **other: Any) -> Settings:
        return Settings(sources=self.sources(**other))


@contextmanager
def serving(folder: Path) -> Iterator[Host]:
    """Serve `www` of a folder."""
    (served := folder / "www").mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test"
    extensions = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
    files = ("-keyout", key, "-out", certificate)
    subprocess.run([*command.split(), *extensions, *files], check=True, capture_output=True)
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=served))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on purpose
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Host(served, f"https://127.0.0.1:{server.server_port}", certificate, requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
