"""`make bench-protections`: what each protection costs: everything on, against one of them off.

Prints a table, writes `benches/out/protections.json`, and with `PUBLISH=1` the README's table: seconds of a
load, and the processor time, of this process and the worker's, of requests that come at once, of many
tenants, with everything on over the same with one protection off (1 is free). Each is measured where it acts.

One thread decodes: it never waits for another by spinning, so that processor time is work, and the same on a
machine that others use.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benches.pairs import Goal, Measurement, alternate
from benches.peers.processor import tree_seconds
from benches.peers.workload import sentence
from benches.report import checksum_of, console_of, judge, progress_on, publish, show, write
from strongroom import (
    KeyFile,
    Limits,
    Router,
    Sandboxing,
    Security,
    Settings,
    SettingsError,
    Store,
    StoreSettings,
    add_to_store,
)

MODEL = "bench"
OUT = Path("benches/out/protections.json")
STREAMS = 8
COMMON_WORDS = 96
OWN_WORDS = 8
TOKENS = 16
CONTEXT = 256
PREFIX_CACHE = "16MB"
"""Of each tenant: what an operator gives who has this many."""
GOAL = Goal(1.02, at_least=False)
"""Of what protects while requests are answered: 2 % of throughput."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to load and serve the model."""

    settings: Settings
    path: Path | None
    """None is the encrypted store."""
    checksum: str | None

    def load(self, router: Router) -> None:
        """Load it."""
        if self.path is None:
            router.load(MODEL)
        else:
            router.load(MODEL, self.path, checksum=self.checksum)


def secure_way(folder: Path, model: Path, checksum: str, threads: int) -> Way:
    """Seal the model into a store; everything is on."""
    key = folder / "key"
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(32))
    store = StoreSettings(directory=folder / "store", keys=[KeyFile(file=key)])
    add_to_store(Store(store.place, store.keys), MODEL, model, checksum=checksum)
    settings = Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=threads)),
        limits=Limits(context_length=CONTEXT, prefix_cache=PREFIX_CACHE, prefix_tenants=STREAMS),
        store=store,
    )
    return Way(settings, None, None)


def with_security(way: Way, **options: Any) -> Way:  # noqa: ANN401 - some are younger than this module
    """Return the way with other options of `Security`."""
    return replace(way, settings=replace(way.settings, security=replace(way.settings.security, **options)))


@dataclass(frozen=True, slots=True)
class Plain:
    """A way without one of the protections."""

    without: str
    way: Callable[[], Way]
    at_load: bool = False
    """Whether it acts when a model is loaded."""
    at_requests: bool = False
    """Whether it acts when requests are answered."""
    goal: Goal | None = None


def plain_ways(secure: Way, model: Path, checksum: str) -> list[Plain]:
    """Return the ways without each protection, and without any."""

    def none() -> Way:
        way = with_security(secure, isolation="danger-none", separation="danger-none", erasure="danger-none")
        return replace(with_security(way, verification="danger-none"), path=model)

    def without(**options: str) -> Callable[[], Way]:
        return lambda: with_security(secure, **options)

    return [
        Plain("sealing", lambda: replace(secure, path=model, checksum=checksum), at_load=True),
        Plain(
            "verification, and so sealing",
            lambda: replace(with_security(secure, verification="danger-none"), path=model),
            at_load=True,
        ),
        Plain("the sandbox", without(isolation="danger-none"), at_load=True, at_requests=True, goal=GOAL),
        Plain("separation", without(separation="danger-none"), at_requests=True, goal=GOAL),
        Plain("erasure", without(erasure="danger-none"), at_requests=True, goal=GOAL),
        Plain("all of them", none, at_load=True, at_requests=True),
    ]


def load_seconds(way: Way) -> float:
    """Load once."""
    with Router(way.settings) as router:
        began = time.perf_counter()
        way.load(router)
        return time.perf_counter() - began


@contextmanager
def served(way: Way) -> Iterator[Callable[[], float]]:
    """Serve the model; give what measures the processor time of requests that come at once."""
    with Router(way.settings) as router, ThreadPoolExecutor(STREAMS) as threads:
        way.load(router)
        common = " ".join(sentence(COMMON_WORDS, "common"))
        numbers = itertools.count()

        def ask(place: int, number: int) -> None:
            own = " ".join(sentence(OWN_WORDS, f"own {place} {number}"))
            tenant = f"tenant {place}"
            router.complete(f"{common} {own}", model=MODEL, tenant=tenant, max_tokens=TOKENS, temperature=0)

        def seconds() -> float:
            number = next(numbers)
            before = tree_seconds(os.getpid())
            for waiting in [threads.submit(ask, place, number) for place in range(STREAMS)]:
                waiting.result()
            return tree_seconds(os.getpid()) - before

        yield seconds


def measure(
    secure: Way, plain: list[Plain], progress: Callable[[str], None]
) -> tuple[list[Measurement], list[tuple[str, str]]]:
    """Measure the secure way against each other one; what can't be switched off here is told aside."""
    measurements: list[Measurement] = []
    asides: list[tuple[str, str]] = []
    with ExitStack() as stack:
        secure_seconds = stack.enter_context(served(secure))
        for protection in plain:
            try:
                way = protection.way()
            except SettingsError as error:
                asides.append((f"without {protection.without}", f"not measured: {error}"))
                continue
            if protection.at_load:
                measurements.append(
                    alternate(
                        f"load, against without {protection.without}",
                        lambda: load_seconds(secure),
                        lambda way=way: load_seconds(way),  # type: ignore[misc]
                        unit="s",
                        goal=None,
                        progress=progress,
                    )
                )
            if protection.at_requests:
                with served(way) as plain_seconds:
                    measurements.append(
                        alternate(
                            f"{STREAMS} requests' processor time, against without {protection.without}",
                            secure_seconds,
                            plain_seconds,
                            unit="s",
                            goal=protection.goal,
                            progress=progress,
                        )
                    )
    return measurements, asides


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--readme", type=Path, help="write the table into this file, between its marks")
    arguments = parser.parse_args()
    console = console_of()
    # Each load would say that a protection is off, which is what is measured.
    logging.getLogger("strongroom").setLevel(logging.ERROR)
    checksum = checksum_of(arguments.model)
    progress = progress_on(console)
    with tempfile.TemporaryDirectory() as folder:
        secure = secure_way(Path(folder), arguments.model, checksum, arguments.threads)
        measurements, asides = measure(secure, plain_ways(secure, arguments.model, checksum), progress)
    show(measurements, [*asides, ("threads", str(arguments.threads))], console)
    write(measurements, OUT)
    if arguments.readme:
        publish(measurements, arguments.readme, "bench-protections")
    return judge(measurements)


if __name__ == "__main__":
    sys.exit(main())
