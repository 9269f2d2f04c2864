"""Alternating rounds: each contender once in a round, in an order that moves on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benches.peers.contender import Contender, ContenderError
from benches.peers.outcome import Outcome
from benches.peers.workload import Case

REST_SECONDS = 0.1
"""After a contender's turn: threads that wait for the next step by spinning have stopped by then."""


@dataclass(slots=True)
class Results:
    """What the contenders did in a case; round by round, in step with each other."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    idle_share: float = 0.0
    """Processor time that contenders used while it wasn't their turn, over that of the one whose turn it
    was: the largest of any round."""


def measure(
    contenders: list[Contender],
    case: Case,
    *,
    streams: int,
    tokens: int,
    rounds: int,
    progress: Callable[[str], None],
) -> Results:
    """Run the rounds, the first of which warms up and isn't counted."""
    results = Results(outcomes={contender.name: [] for contender in contenders})
    for number in range(rounds + 1):
        place = number % len(contenders)
        for contender in contenders[place:] + contenders[:place]:
            if contender.name in results.failures:
                continue
            progress(f"{case.name}, {streams} streams, round {number} of {rounds}: {contender.name}")
            others = [other for other in contenders if other is not contender]
            time.sleep(REST_SECONDS)
            idle = sum(other.cpu_seconds() for other in others)
            try:
                outcome = contender.ask(case.prompts(streams, number), tokens=tokens, shared=case.shared)
            except ContenderError as error:
                results.failures[contender.name] = str(error)
                del results.outcomes[contender.name]
                continue
            idle = sum(other.cpu_seconds() for other in others) - idle
            results.idle_share = max(results.idle_share, idle / max(outcome.cpu_seconds, 0.01))
            if number:
                results.outcomes[contender.name].append(outcome)
    return results
