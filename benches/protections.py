"""`make bench-protections`: what each protection costs: everything on, against one of them off.

Prints a table and writes `benches/out/protections.json`: seconds of a load, and seconds of requests that
come at once, of many tenants, with everything on over the same with one protection off (1 is free).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
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

from rich.console import Console

from benches.core import show, write
from benches.pairs import Measurement, alternate
from benches.peers.workload import sentence
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
        limits=Limits(context_length=CONTEXT),
        store=store,
    )
    return Way(settings, None, None)


def with_security(way: Way, **options: Any) -> Way:  # noqa: ANN401 - some are younger than this module
    """Return the way with other options of `Security`."""
    return replace(way, settings=replace(way.settings, security=replace(way.settings.security, **options)))


def plain_ways(secure: Way, model: Path, checksum: str) -> dict[str, Callable[[], Way]]:
    """Return, by the protection that is off, what makes the way without it."""

    def none() -> Way:
        way = with_security(secure, isolation="danger-none", separation="danger-none", erasure="danger-none")
        return replace(with_security(way, verification="danger-none"), path=model)

    return {
        "sealing": lambda: replace(secure, path=model, checksum=checksum),
        "verification, and so sealing": lambda: replace(
            with_security(secure, verification="danger-none"), path=model
        ),
        "isolation": lambda: with_security(secure, isolation="danger-none"),
        "separation": lambda: with_security(secure, separation="danger-none"),
        "erasure": lambda: with_security(secure, erasure="danger-none"),
        "all of them": none,
    }


def load_seconds(way: Way) -> float:
    """Load once."""
    with Router(way.settings) as router:
        began = time.perf_counter()
        way.load(router)
        return time.perf_counter() - began


@contextmanager
def served(way: Way) -> Iterator[Callable[[], float]]:
    """Serve the model; give what measures the seconds of requests that come at once."""
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
            began = time.perf_counter()
            for waiting in [threads.submit(ask, place, number) for place in range(STREAMS)]:
                waiting.result()
            return time.perf_counter() - began

        yield seconds


def measure(
    secure: Way, plain: dict[str, Callable[[], Way]], progress: Callable[[str], None]
) -> tuple[list[Measurement], list[tuple[str, str]]]:
    """Measure the secure way against each other one; what can't be switched off here is told aside."""
    measurements: list[Measurement] = []
    asides: list[tuple[str, str]] = []
    with ExitStack() as stack:
        secure_seconds = stack.enter_context(served(secure))
        for name, way_without in plain.items():
            try:
                way = way_without()
            except SettingsError as error:
                asides.append((f"without {name}", f"not measured: {error}"))
                continue
            measurements.append(
                alternate(
                    f"load, against without {name}",
                    lambda: load_seconds(secure),
                    lambda way=way: load_seconds(way),  # type: ignore[misc]
                    unit="s",
                    goal=None,
                    progress=progress,
                )
            )
            with served(way) as plain_seconds:
                measurements.append(
                    alternate(
                        f"{STREAMS} requests, against without {name}",
                        secure_seconds,
                        plain_seconds,
                        unit="s",
                        goal=None,
                        progress=progress,
                    )
                )
    return measurements, asides


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    with arguments.model.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def progress(text: str) -> None:
        if console.is_terminal:
            console.print(f"\r{text}\x1b[K", end="", highlight=False)

    with tempfile.TemporaryDirectory() as folder:
        secure = secure_way(Path(folder), arguments.model, checksum, arguments.threads)
        measurements, asides = measure(secure, plain_ways(secure, arguments.model, checksum), progress)
    show(measurements, [*asides, ("threads", str(arguments.threads))], console)
    write(measurements, OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
