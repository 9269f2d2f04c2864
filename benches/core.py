"""`make bench`: what the sandbox, the checks and the boundary cost, as ratios to bare llama.cpp.

Prints a table and writes `benches/out/core.json`.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import strongroom
from benches.bare import Bare
from benches.footprint import anonymous_bytes, image_pages
from benches.loading import image_seconds, sequential_seconds
from benches.pairs import Goal, Measurement, alternate, interval
from benches.report import checksum_of, console_of, judge, progress_on, publish, show, write
from strongroom import _core

PROMPT = "The history of the lock begins with a bar of wood behind a door. Tell it as a story, slowly."
TOKENS = 64
CONTEXT = 2048
MODEL = "bench"
OUT = Path("benches/out/core.json")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's times, seen from the caller."""

    tokens_per_second: float
    first_token_seconds: float
    parent_cpu: float
    tokens: int
    pieces: int


def stream(router: strongroom.Router) -> Answer:
    """Stream one greedy answer of `TOKENS` tokens."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    first = 0.0
    counted = at_first = pieces = 0
    for piece in router.stream(PROMPT, raw=True, model=MODEL, max_tokens=TOKENS, temperature=0):
        if not first:
            first = time.perf_counter()
            at_first = piece.tokens
        counted += piece.tokens
        pieces += 1
    end = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Answer((counted - at_first) / (end - first), first - start, cpu, counted, pieces)


def measure(path: Path, console: Console) -> tuple[list[Measurement], list[tuple[str, str]]]:
    """Run every measure, the quick ones first."""
    checksum, progress = checksum_of(path), progress_on(console)
    measurements = [
        alternate(
            "open to sealed, preflighted image",
            lambda: image_seconds(path, checksum),
            lambda: sequential_seconds(path, checksum),
            unit="s",
            goal=Goal(0.8, at_least=False),
            progress=progress,
        )
    ]
    # One stream, in a context of the bare loop's size.
    settings = strongroom.Settings(limits=strongroom.Limits(max_concurrent=1))
    with strongroom.Router(settings) as router:
        start = time.perf_counter()
        info = router.load(MODEL, path, checksum=checksum, context_length=CONTEXT)
        loaded = time.perf_counter() - start
        cold = stream(router)
        bare = Bare.start(path, threads=info.threads, context_length=CONTEXT)
        try:
            answers: list[Answer] = []

            def ours() -> float:
                answers.append(stream(router))
                return answers[-1].tokens_per_second

            def reference() -> float:
                return float(bare.run(PROMPT, TOKENS)["tokens_per_second"])

            measurements.append(
                alternate(
                    "decoding one stream",
                    ours,
                    reference,
                    unit="tokens/s",
                    goal=Goal(0.97, at_least=True),
                    progress=progress,
                )
            )
            costs = [answer.parent_cpu / answer.tokens * 1e6 for answer in answers]
            measurements.append(fixed("parent's CPU per streamed token", costs, 50.0, "µs", 1.0))
            private, bare_private = anonymous_bytes(info.pid), anonymous_bytes(bare.process.pid)
            measurements.append(
                fixed("worker's private memory", [private / 2**20], bare_private / 2**20, "MiB", 1.1)
            )
        finally:
            bare.close()
        measurements.append(shared_pages(path, checksum, info))
        asides = [
            ("threads", str(info.threads)),
            ("load: all of it", f"{loaded * 1e3:.0f} ms"),
            ("load: open to image", f"{info.image_seconds * 1e3:.0f} ms"),
            ("load: worker started and locked in", f"{info.lock_seconds * 1e3:.1f} ms"),
            ("load: llama.cpp's parsing and context", f"{info.load_seconds * 1e3:.0f} ms"),
            ("tokens a piece", f"{statistics.median(a.tokens / a.pieces for a in answers):.1f}"),
            (
                "parent's CPU a piece",
                f"{statistics.median(a.parent_cpu / a.pieces for a in answers) * 1e6:.0f} µs",
            ),
            ("first token of the first request", f"{cold.first_token_seconds * 1e3:.0f} ms"),
            ("first token after the worker was killed", f"{replaced(router, info) * 1e3:.0f} ms"),
        ]
    return measurements, asides


def replaced(router: strongroom.Router, info: strongroom.ModelInfo) -> float:
    """Kill the worker; return the seconds until its replacement's first token."""
    killed = time.perf_counter()
    os.kill(info.pid, signal.SIGKILL)
    while True:
        asked = time.perf_counter()
        try:
            return asked - killed + stream(router).first_token_seconds
        except strongroom.WorkerError:
            # The request was given to the worker that was killed.
            continue


def fixed(name: str, ours: list[float], reference: float, unit: str, bound: float) -> Measurement:
    """Hold figures to a reference that is no time."""
    ratios = [value / reference for value in ours]
    return Measurement(
        name,
        statistics.median(ratios),
        *(interval(ratios) if len(ratios) > 1 else (ratios[0], ratios[0])),
        statistics.median(ours),
        reference,
        unit,
        len(ours),
        Goal(bound, at_least=False),
    )


def shared_pages(path: Path, checksum: str, info: strongroom.ModelInfo) -> Measurement:
    """Give one image to two workers: the physical pages that both hold, over the image's size."""
    image = _core.Image.load(str(path), checksum=checksum)
    models = [
        _core.Model.start(
            image,
            executable=_core.choose_worker(Path(_core.__file__).parent).executable,
            isolation="process",
            address_space=4_000_000_000,
            cores=info.threads,
            load_timeout=60,
            request_timeout=60,
            concurrent_requests=1,
            tenant_requests=None,
            max_concurrent=1,
            batch_tokens=64,
            threads=None,
            prefix_quota=0,
            prefix_tenants=0,
            prefix_idle=0,
            erase=True,
            separate=True,
            embeddings=None,
            context_length=512,
            chat_template=None,
        )
        for _ in range(2)
    ]
    try:
        shares = [image_pages(model.pid)[1] for model in models]
    finally:
        for model in models:
            model.close()
    return fixed("weights of two workers in memory", [sum(shares) / 2**20], image.size / 2**20, "MiB", 1.0)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--readme", type=Path, help="write the table into this file, between its marks")
    arguments = parser.parse_args()
    model: Path = arguments.model
    console = console_of()
    measurements, asides = measure(model, console)
    show(measurements, asides, console)
    write(measurements, OUT)
    if arguments.readme:
        publish(measurements, arguments.readme, "bench")
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
