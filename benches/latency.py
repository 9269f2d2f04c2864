"""`make bench-latency`: what a request waits for: longer ones before it, and a prompt that is known already.

Prints a table and writes `benches/out/latency.json`. At last whether the time of an answer tells a tenant
what another one asked.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benches.pairs import RESAMPLES, Goal, Measurement, alternate
from benches.peers.workload import sentence
from benches.report import checksum_of, console_of, judge, progress_on, publish, show, write
from strongroom import Limits, Router, Sandboxing, Security, Settings

MODEL = "bench"
OUT = Path("benches/out/latency.json")
LONG_WORDS = 4096
KNOWN_WORDS = 1024
SHORT_WORDS = 24
PROBE_WORDS = 128
CONTEXT = LONG_WORDS + 512
HEAD_START_SECONDS = 0.3
TRIALS = 150
"""Of the experiment with time; the interval of its result is then about 0.13 wide."""


def router_for(threads: int) -> Router:
    """Make one whose sequences hold the long prompt."""
    return Router(
        Settings(
            security=Security(sandboxing=Sandboxing(cpu_limit=threads, memory_limit="16GB")),
            limits=Limits(context_length=CONTEXT),
        )
    )


def first_token_seconds(router: Router, prompt: str, tenant: str | None = None) -> float:
    """Ask; return the seconds until the first piece."""
    began = time.perf_counter()
    with router.stream(prompt, raw=True, model=MODEL, tenant=tenant, max_tokens=2, temperature=0) as stream:
        for _ in stream:
            return time.perf_counter() - began
    message = "an answer without a piece"
    raise RuntimeError(message)


@contextmanager
def being_answered(router: Router, prompt: str) -> Iterator[None]:
    """Have a request on its way, and stop it in the end."""
    stream = router.stream(prompt, raw=True, model=MODEL, max_tokens=1, temperature=0)
    reader = threading.Thread(target=stream.read)
    reader.start()
    time.sleep(HEAD_START_SECONDS)
    try:
        yield
    finally:
        stream.cancel()
        reader.join()


def behind_a_long_one(router: Router, progress: Callable[[str], None]) -> Measurement:
    """Measure a short request that comes while a prompt of thousands of tokens is being read."""
    numbers = itertools.count()

    def alone() -> float:
        return first_token_seconds(router, " ".join(sentence(SHORT_WORDS, f"short {next(numbers)}")))

    def behind() -> float:
        with being_answered(router, " ".join(sentence(LONG_WORDS, f"long {next(numbers)}"))):
            return alone()

    title = f"first token of a short request behind a prompt of {LONG_WORDS} tokens, against alone"
    return alternate(title, behind, alone, unit="s", goal=Goal(3.0, at_least=False), progress=progress)


def known_prompt(router: Router, progress: Callable[[str], None]) -> Measurement:
    """Measure a prompt that its tenant has asked before, against one that nobody has."""
    numbers = itertools.count()
    asked = " ".join(sentence(KNOWN_WORDS, "known"))
    first_token_seconds(router, asked, "first")

    def unknown() -> float:
        prompt = " ".join(sentence(KNOWN_WORDS, f"unknown {next(numbers)}"))
        return first_token_seconds(router, prompt, "second")

    def known() -> float:
        return first_token_seconds(router, asked, "first")

    title = f"first token of a new prompt of {KNOWN_WORDS} tokens, against a known one"
    return alternate(title, unknown, known, unit="s", goal=Goal(10.0, at_least=True), progress=progress)


def guessing(slow: list[float], fast: list[float]) -> float:
    """Return how often the slower of two times is the one of `slow`: 0.5 where they tell nothing.

    The area under the curve of the receiver (Hanley and McNeil 1982).
    """
    wins = sum((a > b) + (a == b) / 2 for a in slow for b in fast)
    return wins / (len(slow) * len(fast))


def best_guess(title: str, new: list[float], known: list[float], goal: Goal) -> Measurement:
    """Hold how well the best guess does to a goal; with a percentile interval."""
    source = random.Random(20_261_124)  # noqa: S311 - reproducible, not secret
    found = guessing(new, known)
    sign = 1 if found >= 0.5 else -1
    resampled = sorted(
        0.5 + sign * (guessing(source.choices(new, k=len(new)), source.choices(known, k=len(known))) - 0.5)
        for _ in range(RESAMPLES // 4)
    )
    edge = round(len(resampled) * 0.025)
    return Measurement(
        title,
        0.5 + sign * (found - 0.5),
        resampled[edge],
        resampled[-edge - 1],
        statistics.median(new),
        statistics.median(known),
        "s",
        len(new),
        goal,
    )


def what_time_tells(router: Router, progress: Callable[[str], None]) -> list[Measurement]:
    """Let one tenant ask a prompt, then time it and a new one: for that tenant, and for another."""
    source = random.Random(20_261_125)  # noqa: S311 - reproducible, not secret
    times: dict[str, list[float]] = {"own known": [], "other's known": [], "own new": [], "other's new": []}
    for trial in range(TRIALS):
        progress(f"what time tells: {trial} of {TRIALS}")
        asked = " ".join(sentence(PROBE_WORDS, f"asked {trial}"))
        first_token_seconds(router, asked, "asking")
        probes = [
            ("own known", asked, "asking"),
            ("other's known", asked, "curious"),
            ("own new", " ".join(sentence(PROBE_WORDS, f"own new {trial}")), "asking"),
            ("other's new", " ".join(sentence(PROBE_WORDS, f"other's new {trial}")), "curious"),
        ]
        source.shuffle(probes)
        for name, prompt, tenant in probes:
            times[name].append(first_token_seconds(router, prompt, tenant))
    return [
        best_guess(
            "guessing by time whether one asked a prompt oneself",
            times["own new"],
            times["own known"],
            Goal(0.95, at_least=True),
        ),
        best_guess(
            "guessing by time whether another tenant asked it",
            times["other's new"],
            times["other's known"],
            Goal(0.6, at_least=False),
        ),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readme", type=Path, help="write the table into this file, between its marks")
    arguments = parser.parse_args()
    console = console_of(170)
    checksum = checksum_of(arguments.model)
    progress = progress_on(console)
    with router_for(arguments.threads) as router:
        router.load(MODEL, arguments.model, checksum=checksum)
        measurements = [
            behind_a_long_one(router, progress),
            known_prompt(router, progress),
            *what_time_tells(router, progress),
        ]
    show(measurements, [("threads", str(arguments.threads))], console)
    write(measurements, OUT)
    if arguments.readme:
        publish(measurements, arguments.readme, "bench-latency")
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
