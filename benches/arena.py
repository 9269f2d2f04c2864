"""`make bench-arena`: what a buffer of secure memory costs, in the core against 2 µs, and in Python.

A buffer of 64 bytes is allocated from a warm arena, wiped and freed. Prints a table and writes
`benches/out/arena.json`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from benches.pairs import Goal, Measurement, alternate
from benches.report import console_of, judge, show, write
from strongroom import SecureArena

MOST = 2.0
"""Microseconds that one may take."""
TIMES = 20_000
SIZE = 64
EXAMPLE = Path("target/release/examples/allocate")
OUT = Path("benches/out/arena.json")

Backing = Literal["secret", "locked"]


@dataclass(slots=True)
class Allocations:
    """A process that allocates and frees, on request."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, example: Path, backing: Backing) -> Allocations:
        """Start it; its arena is warm then."""
        pipe = subprocess.PIPE
        return cls(subprocess.Popen([str(example), backing], stdin=pipe, stdout=pipe, text=True, bufsize=1))

    def microseconds(self) -> float:
        """Allocate and free `TIMES` times; return what one took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{TIMES}\n")
        return float(self.process.stdout.readline()) / 1e3

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)


def each(work: Callable[[], object]) -> float:
    """Do something `TIMES` times; return what one took, in microseconds."""
    start = time.perf_counter()
    for _ in range(TIMES):
        work()
    return (time.perf_counter() - start) / TIMES * 1e6


def measure(example: Path, console: Console) -> list[Measurement]:
    """Measure the core's goal for either backing, and Python's side without one."""

    def pair(
        title: str, ours: Callable[[], float], reference: Callable[[], float], goal: Goal | None
    ) -> Measurement:
        with console.status("measuring") as status:
            return alternate(title, ours, reference, unit="µs", goal=goal, progress=status.update)

    measurements = []
    backings: tuple[tuple[Backing, str], ...] = (("secret", "memfd_secret"), ("locked", "locked memory"))
    for backing, title in backings:
        allocations = Allocations.start(example, backing)
        try:
            measurements.append(
                pair(
                    f"allocate and free {SIZE} bytes of {title}, against {MOST:g} µs",
                    allocations.microseconds,
                    lambda: MOST,
                    Goal(1, at_least=False),
                )
            )
        finally:
            allocations.close()
    arena = SecureArena(1 << 20)
    measurements.append(
        pair(
            "the same in Python, against a bytearray",
            lambda: each(lambda: arena.allocate(SIZE, "benchmark").close()),
            lambda: each(lambda: bytearray(SIZE)),
            None,
        )
    )
    return measurements


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLE)
    arguments = parser.parse_args()
    console = console_of()
    measurements = measure(arguments.example, console)
    show(measurements, [("at a time", f"{TIMES} allocations")], console)
    write(measurements, OUT)
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
