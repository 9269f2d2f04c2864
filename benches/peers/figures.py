"""From rounds to figures: medians over the rounds, and ratios round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benches.pairs import Goal, interval
from benches.peers.goals import CONTENDERS, OURS, goal
from benches.peers.outcome import Outcome, percentile
from benches.peers.rounds import Results
from benches.peers.workload import Case

LEAST_ROUNDS = 6
"""With fewer, all of them lie on one side of the true median more often than in one case of twenty."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Strongroom over a contender: the median of the rounds' ratios, with its interval."""

    median: float
    low: float
    high: float
    goal: Goal | None
    rounds: int

    @classmethod
    def of(cls, ours: list[float], theirs: list[float], bound: Goal | None) -> Ratio:
        """Compare round by round."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(statistics.median(ratios), *interval(ratios), bound, len(ratios))

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty where there is none, `undecided` after too few rounds."""
        if self.goal is None:
            return ""
        return self.goal.verdict(self.low, self.high) if self.rounds >= LEAST_ROUNDS else "undecided"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "median": self.median,
            "interval": [self.low, self.high],
            "goal": str(self.goal or ""),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one contender in one case. Seconds, and tokens per second."""

    request_rate: float
    request_interval: tuple[float, float]
    decode_rate: float | None
    first_token_seconds: float
    gap_median: float | None
    gap_99: float | None
    cpu_per_token: float
    host_cpu_per_token: float | None
    prompt_tokens: int
    """Of all prompts of the last round."""
    tokens: float
    """New ones of a round, its median: fewer than asked for where the model ended an answer."""
    foreign_share: float
    """Of the machine, used by others; the median."""

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> Figures:
        """Draw them from the rounds."""
        rates = [outcome.request_rate for outcome in outcomes]
        gaps = [gap for outcome in outcomes for gap in outcome.gaps]
        return cls(
            request_rate=statistics.median(rates),
            request_interval=interval(rates),
            decode_rate=median_of(outcomes, lambda outcome: outcome.decode_rate),
            first_token_seconds=statistics.median(outcome.first_token_seconds for outcome in outcomes),
            gap_median=statistics.median(gaps) if gaps else None,
            gap_99=percentile(gaps, 0.99) if gaps else None,
            cpu_per_token=statistics.median(outcome.cpu_per_token for outcome in outcomes),
            host_cpu_per_token=median_of(outcomes, lambda outcome: outcome.host_cpu_per_token),
            prompt_tokens=outcomes[-1].prompt_tokens,
            tokens=statistics.median(outcome.tokens for outcome in outcomes),
            foreign_share=statistics.median(outcome.foreign_share for outcome in outcomes),
        )


def median_of(outcomes: list[Outcome], figure: Callable[[Outcome], float | None]) -> float | None:
    """Return the median of a figure that not every outcome has; None where none has it."""
    found = [value for outcome in outcomes if (value := figure(outcome)) is not None]
    return statistics.median(found) if found else None


@dataclass(frozen=True, slots=True)
class Row:
    """A contender in a case: its figures, or why it has none."""

    model: str
    case: str
    streams: int
    contender: str
    rounds: int
    idle_share: float
    figures: Figures | None
    requests: Ratio | None
    decoding: Ratio | None
    cpu: Ratio | None
    """Of processor time per new token: it holds on a busy machine too, as long as no thread spins."""
    failure: str | None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "case": self.case,
            "streams": self.streams,
            "contender": self.contender,
            "rounds": self.rounds,
            "idle_share": self.idle_share,
            "figures": asdict(self.figures) if self.figures else None,
            "requests": self.requests.plain() if self.requests else None,
            "decoding": self.decoding.plain() if self.decoding else None,
            "cpu": self.cpu.plain() if self.cpu else None,
            "failure": self.failure,
        }


def rows(model: str, case: Case, streams: int, results: Results, *, faster_kernels: bool) -> list[Row]:
    """Return a row for each contender."""
    ours = results.outcomes.get(OURS)
    found = []
    for name in CONTENDERS:
        theirs = results.outcomes.get(name)
        requests = decoding = cpu = None
        if ours and theirs and name != OURS:
            requests = Ratio.of(
                [outcome.request_rate for outcome in ours],
                [outcome.request_rate for outcome in theirs],
                goal(name, streams, model, faster_kernels=faster_kernels),
            )
            cpu = Ratio.of(
                [outcome.cpu_per_token for outcome in ours],
                [outcome.cpu_per_token for outcome in theirs],
                None,
            )
            pairs = [(a.decode_rate, b.decode_rate) for a, b in zip(ours, theirs, strict=True)]
            decoded = [(a, b) for a, b in pairs if a is not None and b is not None]
            if decoded:
                decoding = Ratio.of([a for a, _ in decoded], [b for _, b in decoded], None)
        found.append(
            Row(
                model=model,
                case=case.name,
                streams=streams,
                contender=name,
                rounds=len(theirs or ()),
                idle_share=results.idle_share,
                figures=Figures.of(theirs) if theirs else None,
                requests=requests,
                decoding=decoding,
                cpu=cpu,
                failure=results.failures.get(name),
            )
        )
    return found
