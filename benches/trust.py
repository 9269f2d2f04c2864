"""`make bench-trust`: what verifying a signed directory costs, as ratios to the hash functions alone.

Four files of 256 MiB, in the page cache, on the cores that this process may use. Prints a table and
writes `benches/out/trust.json`.
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
from typing import Literal

from rich.console import Console
from tests.models.signing import Key, key, reference_verify

import strongroom
from benches.pairs import Goal, Measurement, alternate
from benches.report import console_of, judge, show, write

FILES = 4
SIZE = 256 << 20
EXAMPLE = Path("target/release/examples/hashes")
OUT = Path("benches/out/trust.json")

Hash = Literal["sha256", "blake3"]


@dataclass(slots=True)
class Hashes:
    """A process that hashes the same bytes in its memory on request."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, example: Path, files: list[Path]) -> Hashes:
        """Start it; it reads the files once."""
        command = [str(example), *map(str, files)]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1))

    def rate(self, name: Hash) -> float:
        """Hash everything; return GB a second."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name}\n")
        return gigabytes(float(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)


def gigabytes(seconds: float) -> float:
    """Return the rate of one pass over the tree."""
    return FILES * SIZE / seconds / 1e9


def rate(verify: Callable[[], object]) -> float:
    """Verify once; return GB a second."""
    start = time.perf_counter()
    verify()
    return gigabytes(time.perf_counter() - start)


def tree(folder: Path) -> Path:
    """Write the model; random bytes, so that no page is shared or sparse."""
    model = folder / "model"
    model.mkdir()
    for number in range(FILES):
        with (model / f"part-{number}.bin").open("wb") as file:
            for _ in range(SIZE >> 20):
                file.write(os.urandom(1 << 20))
    return model


def measure(folder: Path, example: Path, console: Console) -> list[Measurement]:
    """Measure the three goals."""
    console.print(f"writing {FILES} files of {SIZE >> 20} MiB to {folder}")
    model, signer = tree(folder), key(folder)
    signatures: dict[Hash, Path] = {}
    for name in ("sha256", "blake3"):
        signatures[name] = folder / f"{name}.sig"
        strongroom.sign_manifest(
            model, private_key=signer.private, output=signatures[name], algorithm=name, ignore_paths=()
        )
    hashes = Hashes.start(example, sorted(model.iterdir()))

    def ours(name: Hash) -> float:
        return rate(lambda: strongroom.verify_manifest(model, signatures[name], public_key=signer.public))

    def pair(title: str, name: Hash, reference: Callable[[], float], bound: float) -> Measurement:
        with console.status("measuring") as status:
            return alternate(
                title,
                lambda: ours(name),
                reference,
                unit="GB/s",
                goal=Goal(bound, at_least=True),
                progress=status.update,
            )

    try:
        return [
            pair("sha256, against ring's alone", "sha256", lambda: hashes.rate("sha256"), 0.95),
            pair(
                "sha256, against model-signing",
                "sha256",
                lambda: theirs(model, signatures["sha256"], signer),
                1.15,
            ),
            pair("blake3, against the crate alone", "blake3", lambda: hashes.rate("blake3"), 0.85),
        ]
    finally:
        hashes.close()


def theirs(model: Path, signature: Path, signer: Key) -> float:
    """Verify with model-signing; return GB a second."""
    return rate(lambda: reference_verify(model, signature, signer))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLE)
    parser.add_argument("--folder", type=Path, help="where the files are written (1 GiB)")
    arguments = parser.parse_args()
    console = console_of()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measurements = measure(Path(folder), arguments.example, console)
    show(measurements, [("cores", str(len(os.sched_getaffinity(0))))], console)
    write(measurements, OUT)
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
