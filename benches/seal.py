"""`make bench-seal`: what sealing and opening cost, as ratios to ring's AES-256-GCM alone and to the AWS SDK.

Everything is in memory, on the cores that this process may use. Prints a table and writes
`benches/out/seal.json`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tests.seal.reference import Key, decrypt, encrypt

from benches.pairs import Goal, Measurement, alternate
from benches.report import console_of, judge, show, write

SIZE = 256 << 20
SMALL = 32 << 20
"""What the SDK is given: it takes seconds for the rest."""
FRAME = 1 << 20
EXAMPLE = Path("target/release/examples/rates")
OUT = Path("benches/out/seal.json")


@dataclass(slots=True)
class Rates:
    """A process that seals and opens what it has in memory, on request."""

    process: subprocess.Popen[str]
    threads: int
    size: int

    @classmethod
    def start(cls, example: Path, size: int, threads: int) -> Rates:
        """Start it."""
        pipe = subprocess.PIPE
        command = [str(example), str(size >> 20)]
        return cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1), threads, size)

    def rate(self, what: str) -> float:
        """Do it once; return GB a second."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what} {self.threads}\n")
        return self.size / float(self.process.stdout.readline()) / 1e9

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)


def timed(work: Callable[[], object]) -> float:
    """Work through `SMALL` bytes once; return GB a second."""
    start = time.perf_counter()
    work()
    return SMALL / (time.perf_counter() - start) / 1e9


def measure(folder: Path, example: Path, console: Console) -> list[Measurement]:
    """Measure the goals."""
    key = Key("bench", "key", bytes(32))
    plain, sealed = folder / "plain", folder / "sealed"
    plain.write_bytes(os.urandom(SMALL))
    encrypt(plain, sealed, [key], context={}, frame_length=FRAME)
    threads = len(os.sched_getaffinity(0))
    rates = Rates.start(example, SIZE, threads)

    def pair(title: str, what: str, reference: Callable[[], float], bound: float) -> Measurement:
        with console.status("measuring") as status:
            return alternate(
                title,
                lambda: rates.rate(what),
                reference,
                unit="GB/s",
                goal=Goal(bound, at_least=True),
                progress=status.update,
            )

    def theirs_encrypt() -> float:
        return timed(lambda: encrypt(plain, folder / "again", [key], context={}, frame_length=FRAME))

    def theirs_decrypt() -> float:
        return timed(lambda: decrypt(sealed, key))

    try:
        return [
            pair("seal, against ring's alone in place", "seal", lambda: rates.rate("ring-seal"), 0.85),
            pair("open, against ring's alone in place", "open", lambda: rates.rate("ring-open"), 0.85),
            pair("seal what is in its frame, against ring's", "fill", lambda: rates.rate("ring-seal"), 0.85),
            pair("seal, against ring's and one copy", "seal", lambda: rates.rate("copy-seal"), 0.85),
            pair("open, against ring's and one copy", "open", lambda: rates.rate("copy-open"), 0.85),
            pair("seal, against aws-encryption-sdk", "seal", theirs_encrypt, 8),
            pair("open, against aws-encryption-sdk", "open", theirs_decrypt, 8),
        ]
    finally:
        rates.close()


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLE)
    parser.add_argument("--folder", type=Path, help="where the files are written (100 MiB)")
    arguments = parser.parse_args()
    console = console_of()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measurements = measure(Path(folder), arguments.example, console)
    show(measurements, [("cores", str(len(os.sched_getaffinity(0))))], console)
    write(measurements, OUT)
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
