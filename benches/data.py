"""`make bench-data`: what encrypting a record costs, as a ratio to pyca/cryptography's AESGCM alone.

Records of 256 bytes, one after the other, in one thread. Theirs is AES-256-GCM with a random nonce and the
same context as associated data, made ready beforehand; ours checks and encodes the context of each record,
counts, and writes the envelope. Prints a table and writes `benches/out/data.json`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rich.console import Console

from benches.pairs import Measurement, alternate
from benches.report import console_of, show, write
from strongroom import DataCipher, DataKey, KeyFile

SIZE = 256
RECORDS = 4000
CONTEXT = {"tenant": "acme", "record": "note/000001"}
OUT = Path("benches/out/data.json")


def rate(work: Callable[[], object]) -> float:
    """Work on all records; return records a second."""
    start = time.perf_counter()
    for _ in range(RECORDS):
        work()
    return RECORDS / (time.perf_counter() - start)


def measure(folder: Path, console: Console) -> list[Measurement]:
    """Measure encrypting and decrypting."""
    path = folder / "data.key"
    path.touch(mode=0o600)
    path.write_bytes(os.urandom(32))
    cipher = DataCipher([DataKey(id="bench", version=1, key=KeyFile(file=path))])
    theirs = AESGCM(path.read_bytes())
    record = os.urandom(SIZE)
    aad = "\0".join(text for pair in sorted(CONTEXT.items()) for text in pair).encode()
    envelope = cipher.encrypt(record, CONTEXT)
    nonce = os.urandom(12)
    sealed = theirs.encrypt(nonce, record, aad)

    def pair(name: str, ours: Callable[[], object], reference: Callable[[], object]) -> Measurement:
        with console.status("measuring") as status:
            return alternate(
                name,
                lambda: rate(ours),
                lambda: rate(reference),
                unit="records/s",
                goal=None,
                progress=status.update,
            )

    def encrypt() -> bytes:
        drawn = os.urandom(12)
        return drawn + theirs.encrypt(drawn, record, aad)

    return [
        pair(f"encrypting {SIZE} bytes", lambda: cipher.encrypt(record, CONTEXT), encrypt),
        pair(
            f"decrypting {SIZE} bytes",
            lambda: cipher.decrypt(envelope, CONTEXT),
            lambda: theirs.decrypt(nonce, sealed, aad),
        ),
    ]


def main() -> int:
    """Measure, print, write."""
    console = console_of()
    with tempfile.TemporaryDirectory() as folder:
        measurements = measure(Path(folder), console)
    show(measurements, [], console)
    write(measurements, OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
