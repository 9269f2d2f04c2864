"""`make bench-streaming`: what a streamed token costs the process that holds the Router.

The worker computes nothing: it is the one of the tests, which says its words step by step, a piece for every
stream in each. What is measured is processor time of this process, all its threads together, the one that
reads the worker's socket included. Prints a table and writes `benches/out/streaming.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import resource
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from strongroom import AsyncRouter, Limits, Router, Sandboxing, Security, Settings
from strongroom.backends import local

STREAMS = 16
STEPS = 200
STEP_MICROSECONDS = 5000
ROUNDS = 7
GOAL = 50.0
"""Microseconds for each token, of streams in an event loop."""
OUT = Path("benches/out/streaming.json")
PROMPT = f"steps {STEPS} {STREAMS} {STEP_MICROSECONDS}"


def settings(piece_interval: float | str) -> Settings:
    """No sandbox, which the worker doesn't make."""
    return Settings(
        security=Security(isolation="danger-none", sandboxing=Sandboxing(cpu_limit=1)),
        limits=Limits(piece_interval=piece_interval, concurrent_requests=STREAMS),
    )


def seconds() -> float:
    """Processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def per_token(measured: Callable[[], int]) -> float:
    """Microseconds that a token costs."""
    gc.collect()
    before = seconds()
    tokens = measured()
    return (seconds() - before) / tokens * 1e6


def in_a_loop(model: Path, checksum: str, piece_interval: float | str) -> list[float]:
    """Streams as tasks of one event loop."""

    async def read(router: AsyncRouter) -> int:
        return sum([piece.tokens async for piece in router.stream(PROMPT, raw=True)])

    async def all_rounds() -> list[float]:
        async with AsyncRouter(settings(piece_interval)) as router:
            await router.load("steps", model, checksum=checksum)
            costs = []
            for _ in range(ROUNDS):
                gc.collect()
                before = seconds()
                tokens = sum(await asyncio.gather(*(read(router) for _ in range(STREAMS))))
                costs.append((seconds() - before) / tokens * 1e6)
        return costs

    return asyncio.run(all_rounds())


def in_threads(model: Path, checksum: str, piece_interval: float | str) -> list[float]:
    """Streams of one thread each."""
    with Router(settings(piece_interval)) as router:
        router.load("steps", model, checksum=checksum)

        def read() -> None:
            for _ in router.stream(PROMPT, raw=True):
                pass

        def one_round() -> int:
            threads = [threading.Thread(target=read) for _ in range(STREAMS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return STREAMS * STEPS

        return [per_token(one_round) for _ in range(ROUNDS)]


def main() -> int:
    """Measure and report; fails where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worker", type=Path, help="strongroom-worker-fake, built with --release")
    parser.add_argument("model", type=Path, help="what `specimen tiny` writes")
    options = parser.parse_args()
    checksum = f"sha256:{hashlib.sha256(options.model.read_bytes()).hexdigest()}"
    rows: list[dict[str, str | float]] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "strongroom-worker-avx2").symlink_to(options.worker.resolve())
        local.WORKERS = Path(folder)
        for name, measure in (("event loop", in_a_loop), ("threads", in_threads)):
            for interval in (0, "40ms"):
                costs = measure(options.model, checksum, interval)
                rows.append(
                    {
                        "readers": name,
                        "piece_interval": str(interval),
                        "median": statistics.median(costs),
                        "lowest": min(costs),
                        "highest": max(costs),
                    }
                )
    table = Table(title=f"Processor time per token at {STREAMS} streams, in µs", title_justify="left")
    for column in ("readers", "piece_interval", "median", "lowest", "highest"):
        table.add_column(column, justify="left" if column == "readers" else "right")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.1f}" for value in row.values()))
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2) + "\n")
    missed = [row for row in rows if row["readers"] == "event loop" and float(row["median"]) > GOAL]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
