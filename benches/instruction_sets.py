"""`make bench-instruction-sets`: decoding by the AVX-512 worker against the AVX2 one, in alternating pairs.

Both have to be built: `STRONGROOM_INSTRUCTION_SETS="avx2 avx512" make bench-instruction-sets`; MODELS="…"
adds models to the demonstration's.

Both workers have the same one core, and their processor time is what counts: the work of a token is
compared, whoever else computes on the machine. A prompt is read, one stream is decoded, and several at once:
with more rows to a step there is more to compute for each weight that is read. Writes
`benches/out/instruction_sets.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from benches import pairs
from benches.pairs import Measurement, alternate
from benches.report import console_of, progress_on, show, write
from strongroom import Limits, Router, Settings, SettingsError
from strongroom.backends.dispatch import worker_for
from strongroom.backends.local import WORKERS
from strongroom.settings import InstructionSet

PROMPT = "The history of the lock begins with a bar of wood behind a door."
TOKENS = 64
CONTEXT = 512
OUT = Path("benches/out/instruction_sets.json")


class Decoder:
    """A model in a worker of one set."""

    def __init__(self, instruction_set: InstructionSet, path: Path) -> None:
        """Load it."""
        with path.open("rb") as file:
            checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        limits = Limits(instruction_set=instruction_set, context_length=CONTEXT)
        self.router = Router(Settings(limits=limits))
        self.info = self.router.load("bench", path, checksum=checksum)
        self.asked = 0
        self.wall: list[float] = []
        """Tokens by the second on the wall, of each run."""

    def processor_seconds(self) -> float:
        """Return what the worker has used of a processor (proc_pid_stat(5): utime and stime)."""
        fields = Path(f"/proc/{self.info.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read(self) -> float:
        """Read a long prompt, different at its start from those before; return its tokens by the second."""
        self.asked += 1
        start, before = time.perf_counter(), self.processor_seconds()
        prompt = f"{self.asked}. {PROMPT * 20}"
        tokens = self.router.complete(prompt, max_tokens=1, temperature=0).prompt_tokens
        self.wall.append(tokens / (time.perf_counter() - start))
        return tokens / (self.processor_seconds() - before)

    def decode(self, streams: int) -> float:
        """Decode greedy answers at once; return their tokens by the worker's second, prompts included."""

        def answer(number: int) -> int:
            options = {"max_tokens": TOKENS, "temperature": 0}
            return self.router.complete(f"{number}. {PROMPT}", **options).completion_tokens  # type: ignore[arg-type]

        start, before = time.perf_counter(), self.processor_seconds()
        with ThreadPoolExecutor(streams) as threads:
            tokens = sum(threads.map(answer, range(streams)))
        self.wall.append(tokens / (time.perf_counter() - start))
        return tokens / (self.processor_seconds() - before)


def measure(path: Path, streams: int, console: Console) -> tuple[Measurement, tuple[str, str]]:
    """Compare both workers of one model, reading for no streams; beside it what was seen on the wall."""
    progress = progress_on(console)
    name = f"{path.stem}, " + (f"decoding {streams} at once" if streams else "reading a prompt")
    wide, plain = Decoder("avx512", path), Decoder("avx2", path)
    with wide.router, plain.router:
        measured = alternate(
            name,
            lambda: wide.decode(streams) if streams else wide.read(),
            lambda: plain.decode(streams) if streams else plain.read(),
            unit="tokens/processor second",
            goal=None,
            progress=progress,
        )
    walls = [statistics.median(side.wall) for side in (wide, plain)]
    return measured, (f"{name}, on the wall", f"{walls[0]:.1f} against {walls[1]:.1f} tokens/s")


def main() -> int:
    """Measure each model, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--streams", type=int, nargs="+", default=[0, 1, 8], help="answers at once; 0 reads")
    parser.add_argument("--pairs", type=int, default=pairs.LEAST_PAIRS)
    arguments = parser.parse_args()
    try:
        worker_for(Limits(instruction_set="avx512"), WORKERS)
    except SettingsError as error:
        print(f'{error.message}; build with STRONGROOM_INSTRUCTION_SETS="avx2 avx512"', file=sys.stderr)
        return 1
    pairs.LEAST_PAIRS = arguments.pairs
    # Workers are spread over the cores that this process may use, which others leave unequally free.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    console = console_of()
    rows = [measure(model, streams, console) for model in arguments.models for streams in arguments.streams]
    show([row for row, _ in rows], [aside for _, aside in rows], console)
    write([row for row, _ in rows], OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
