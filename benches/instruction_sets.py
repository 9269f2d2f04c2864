"""`make bench-instruction-sets`: decoding by the AVX-512 worker against the AVX2 one, in alternating pairs.

Both have to be built: `STRONGROOM_INSTRUCTION_SETS="avx2 avx512" make bench-instruction-sets`; MODELS="…"
adds models to the demonstration's.

One stream is decoded, and several at once: with more rows to a step there is more to compute for each
weight that is read. Writes `benches/out/instruction_sets.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

import strongroom
from benches.core import show, write
from benches.pairs import Measurement, alternate
from strongroom.backends.dispatch import worker_for
from strongroom.backends.local import WORKERS
from strongroom.settings import InstructionSet

PROMPT = "The history of the lock begins with a bar of wood behind a door. Tell it as a story, slowly."
TOKENS = 32
CONTEXT = 512
AT_ONCE = (1, 8)
OUT = Path("benches/out/instruction_sets.json")


def router_of(instruction_set: InstructionSet, path: Path) -> strongroom.Router:
    """Load a model in a worker of that set."""
    with path.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    limits = strongroom.Limits(instruction_set=instruction_set, context_length=CONTEXT)
    router = strongroom.Router(strongroom.Settings(limits=limits))
    info = router.load("bench", path, checksum=checksum)
    assert info.instruction_set == instruction_set
    return router


def rate(router: strongroom.Router, streams: int) -> float:
    """Decode greedy answers at once; return the tokens of all by the second, the prompts' time included."""

    def answer(number: int) -> int:
        prompt = f"{number}. {PROMPT}"
        return router.complete(prompt, max_tokens=TOKENS, temperature=0).completion_tokens

    start = time.perf_counter()
    with ThreadPoolExecutor(streams) as threads:
        tokens = sum(threads.map(answer, range(streams)))
    return tokens / (time.perf_counter() - start)


def measure(path: Path, console: Console) -> list[Measurement]:
    """Compare both workers of one model."""

    def progress(text: str) -> None:
        if console.is_terminal:
            console.print(f"\r{text}\x1b[K", end="", highlight=False)

    with router_of("avx512", path) as wide, router_of("avx2", path) as plain:
        return [
            alternate(
                f"{path.stem}, {streams} at once",
                lambda streams=streams: rate(wide, streams),  # type: ignore[misc]
                lambda streams=streams: rate(plain, streams),  # type: ignore[misc]
                unit="tokens/s",
                goal=None,
                progress=progress,
            )
            for streams in AT_ONCE
        ]


def main() -> int:
    """Measure each model, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        worker_for(strongroom.Limits(instruction_set="avx512"), WORKERS)
    except strongroom.SettingsError as error:
        print(f'{error.message}; build with STRONGROOM_INSTRUCTION_SETS="avx2 avx512"', file=sys.stderr)
        return 1
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    measurements = [row for model in arguments.models for row in measure(model, console)]
    show(measurements, [], console)
    write(measurements, OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
