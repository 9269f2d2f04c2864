"""What goes wrong on purpose, each in a thread of its own."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benches.soak.asking import BUSY, GUEST, MORTAL, Asking, Draw
from benches.soak.book import Book
from benches.soak.judging import failed
from benches.soak.ledger import Ledger
from benches.soak.side import ForThreads, Side
from benches.soak.threads import flood
from strongroom import LoadError, StrongroomError

__all__ = ["Kills", "Trouble", "troubles"]

RECOVERY_SECONDS = 2.0
"""From a worker's death to the next answer."""
PATIENCE_SECONDS = 30.0


class Trouble:
    """Does something again and again, with a ticket, until the ledger is over."""

    def __init__(self, ledger: Ledger, kind: str, every: float, what: Callable[[], None]) -> None:
        """Do `what` every so many seconds."""
        self._ledger = ledger
        self._kind = kind
        self._every = every
        self._what = what
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ledger.over.wait(self._every):
            ticket = self._ledger.enter(self._kind, "")
            while ticket is None and not self._ledger.over.wait(0.05):
                ticket = self._ledger.enter(self._kind, "")
            if ticket is None:
                return
            outcome = "done"
            try:
                self._what()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
                outcome = failed(self._ledger, ticket, Asking(self._kind, "", "", allowed=frozenset()), error)
            finally:
                self._ledger.end(ticket, outcome)


class Kills:
    """Kills the mortal model's worker, and waits for the next answer."""

    def __init__(self, ledger: Ledger, sides: list[Side]) -> None:
        """Kill on each side in turn."""
        self._ledger = ledger
        self._sides = sides
        self.recoveries: list[float] = []

    def once(self) -> None:
        """Kill one and measure."""
        side = self._sides[len(self.recoveries) % len(self._sides)]
        pid = next(info.pid for info in side.models() if info.name == MORTAL)
        self._ledger.dying(MORTAL)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        # Until it is reaped, requests that begin are sent to it.
        while Path(f"/proc/{pid}").exists() and time.monotonic() - began < PATIENCE_SECONDS:
            time.sleep(0.0005)
        self._ledger.killed(MORTAL)
        while True:
            try:
                side.complete(MORTAL, tenant="probe", priority="high")
                break
            except StrongroomError as error:
                # Others may have taken every place: that is no death.
                if error.code not in BUSY or time.monotonic() - began > PATIENCE_SECONDS:
                    raise
                time.sleep(0.002)
        seconds = time.monotonic() - began
        self.recoveries.append(seconds)
        if seconds > RECOVERY_SECONDS:
            self._ledger.fault(f"{MORTAL}: the next answer came {seconds:.1f} s after its worker's death")


def visit(side: Side, source: random.Random) -> None:
    """Load the guest, let it be asked, unload it."""
    try:
        side.load(GUEST)
    except LoadError as error:
        if error.code != "load.no_room":  # the others are in use
            raise
        return
    time.sleep(source.uniform(0.1, 1.0))
    side.unload(GUEST)


def troubles(
    ledger: Ledger,
    sides: list[Side],
    book: Book,
    kills: Kills,
    *,
    seed: int,
    every: float,
    slots: int,
    most: int,
) -> list[Trouble]:
    """Start all of it."""
    started = [Trouble(ledger, "kill", every, kills.once)]
    for number, side in enumerate(sides):
        source = random.Random(f"{seed} trouble {number}")  # noqa: S311 - reproducible, not secret
        draw = Draw(f"{seed} draw {number}", book)
        started += [
            Trouble(ledger, "visit", 0.5, partial(visit, side, source)),
            Trouble(ledger, "cancel all", 3.0, partial(side.cancel_all, ledger, draw, slots)),
        ]
        if isinstance(side, ForThreads):
            started.append(
                Trouble(ledger, "flood", 2.0, partial(flood, side.router, ledger, draw, source, most))
            )
    return started
