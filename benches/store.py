"""`make bench-store`: loading an encrypted model, as ratios to reading and to hashing the plain one.

Files of 1 GiB, in the page cache, on the cores that this process may use; at last from the disk. Prints a
table and writes `benches/out/store.json`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benches.pairs import Goal, Measurement, alternate
from benches.report import console_of, judge, show, write

MEBIBYTES = 1024
EXAMPLE = Path("target/release/examples/load_sealed")
OUT = Path("benches/out/store.json")


@dataclass(slots=True)
class Loads:
    """A process that loads the same model in one way or another, on request."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, example: Path, folder: Path) -> Loads:
        """Start it; it writes the files first."""
        command = [str(example), str(folder / "plain"), str(folder / "sealed"), str(MEBIBYTES)]
        pipe = subprocess.PIPE
        loads = cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1))
        assert loads.line() == "ready"
        return loads

    def line(self) -> str:
        """Read a line of it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self, what: str) -> float:
        """Load once."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        return float(self.line())

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)


def measure(loads: Loads, console: Console) -> list[Measurement]:
    """Measure the goals."""

    def pair(title: str, ours: str, theirs: str, bound: float) -> Measurement:
        with console.status("measuring") as status:
            return alternate(
                title,
                lambda: loads.seconds(ours),
                lambda: loads.seconds(theirs),
                unit="s",
                goal=Goal(bound, at_least=False),
                progress=status.update,
            )

    return [
        pair("open, against reading the plain file into a memfd", "open", "read", 1.35),
        pair("open, against the same into huge pages", "open", "draft", 1.35),
        pair("open, against the plain checked load", "open", "checked", 1 / 1.3),
        pair("open from the disk, against reading the same file", "open cold", "read-sealed cold", 1.1),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLE)
    parser.add_argument("--folder", type=Path, help="where the files are written (2 GiB)")
    arguments = parser.parse_args()
    console = console_of()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        loads = Loads.start(arguments.example, Path(folder))
        try:
            measurements = measure(loads, console)
        finally:
            loads.close()
    show(measurements, [("cores", str(len(os.sched_getaffinity(0))))], console)
    write(measurements, OUT)
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
