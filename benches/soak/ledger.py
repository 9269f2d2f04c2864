"""The account of every request: each is opened once, and ends once, in one of the ways that it may."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Ledger", "Ticket"]

MOST_TIES = 3
"""Prompts that may have a second answer: of which two tokens are as likely, but for the rounding."""
MOST_FAULTS = 50
"""That are kept in words; the rest is counted."""


@dataclass(eq=False)
class Ticket:
    """A request that is under way."""

    kind: str
    model: str
    began: float = field(default_factory=time.monotonic)
    ended: bool = False


class Ledger:
    """Counts what was asked and how it ended. Safe to use from many threads.

    While it is closed nothing new is admitted, so that there comes a moment without any request.
    """

    def __init__(self) -> None:
        """Start closed, with nothing asked."""
        self._lock = threading.Lock()
        self._admitting = False
        self._open: set[Ticket] = set()
        self._kills: dict[str, float] = {}
        self.over = threading.Event()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.asked = 0
        self.ties: dict[str, str] = {}
        self.faults: list[str] = []
        self.fault_count = 0

    def admit(self, open_for_new: bool) -> None:
        """Let new requests come, or no more of them."""
        with self._lock:
            self._admitting = open_for_new

    def enter(self, kind: str, model: str) -> Ticket | None:
        """Open a ticket for something new; None while nothing is admitted."""
        with self._lock:
            if not self._admitting:
                return None
            return self._opened(kind, model)

    def part(self, kind: str, model: str) -> Ticket:
        """Open a ticket for one of several requests of something that was admitted."""
        with self._lock:
            return self._opened(kind, model)

    def _opened(self, kind: str, model: str) -> Ticket:
        ticket = Ticket(kind, model)
        self._open.add(ticket)
        self.asked += 1
        return ticket

    def end(self, ticket: Ticket, outcome: str) -> None:
        """Note how it ended."""
        with self._lock:
            if ticket.ended:
                self._blame(f"{ticket.kind}: ended twice")
                return
            ticket.ended = True
            self._open.discard(ticket)
            self.outcomes[ticket.kind, outcome] += 1

    def dying(self, worker: str) -> None:
        """Note that a model's worker is being killed: until `killed`, whoever begins may be sent to it."""
        with self._lock:
            self._kills[worker] = math.inf

    def killed(self, worker: str) -> None:
        """Note that a model's worker was killed, and is gone since just now."""
        with self._lock:
            self._kills[worker] = time.monotonic()

    def killed_since(self, ticket: Ticket) -> bool:
        """Whether the worker of its model was killed while it was under way."""
        with self._lock:
            return self._kills.get(ticket.model, 0.0) >= ticket.began

    def tied(self, prompt: str, answer: str) -> bool:
        """Whether a prompt's other answer may be for a tie: always the same one, and of few prompts."""
        with self._lock:
            return self.ties.setdefault(prompt, answer) == answer and len(self.ties) <= MOST_TIES

    def fault(self, words: str) -> None:
        """Note what should not have happened."""
        with self._lock:
            self._blame(words)

    def _blame(self, words: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(words)

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return len(self._open)

    def overdue(self, seconds: float) -> list[str]:
        """Name what has been under way for longer than `seconds`."""
        now = time.monotonic()
        with self._lock:
            return [
                f"{ticket.kind} of {ticket.model}: under way for {now - ticket.began:.0f} s"
                for ticket in self._open
                if now - ticket.began > seconds
            ]

    def check(self) -> None:
        """Hold what was asked to what ended, at a moment when nothing is under way."""
        with self._lock:
            ended = sum(self.outcomes.values())
            if ended != self.asked:
                self._blame(f"{self.asked} were asked, and {ended} ended")
