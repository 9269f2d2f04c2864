"""Alternating pairs, and what may be concluded from them.

The machines that run this are shared and swing by a third; the two sides of a pair run one right after
the other, so that the ratio of a pair holds where neither of its times does.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

LEAST_PAIRS = 21
MOST_PAIRS = 84
RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Goal:
    """The bound that a ratio has to keep."""

    bound: float
    at_least: bool

    def __str__(self) -> str:
        """Write the bound as people do."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"

    def verdict(self, low: float, high: float) -> str:
        """Judge an interval: `met`, `missed`, or `undecided` when it straddles the bound."""
        if low >= self.bound if self.at_least else high <= self.bound:
            return "met"
        if high < self.bound if self.at_least else low > self.bound:
            return "missed"
        return "undecided"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A median ratio with its interval, and the medians of its two sides."""

    name: str
    ratio: float
    low: float
    high: float
    ours: float
    reference: float
    unit: str
    rounds: int
    goal: Goal | None

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty where there is none."""
        return self.goal.verdict(self.low, self.high) if self.goal else ""


def interval(ratios: list[float]) -> tuple[float, float]:
    """Bootstrap the median: percentile interval (Efron and Tibshirani 1993, chapter 13)."""
    source = random.Random(20_261_123)  # noqa: S311 - reproducible, not secret
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    edge = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[edge], medians[-edge - 1]


def alternate(
    name: str,
    ours: Callable[[], float],
    reference: Callable[[], float],
    *,
    unit: str,
    goal: Goal | None,
    progress: Callable[[str], None],
) -> Measurement:
    """Measure pairs, in changing order, until the interval decides or `MOST_PAIRS` are reached."""
    ours()
    reference()
    left: list[float] = []
    right: list[float] = []
    while True:
        if len(left) % 2:
            right.append(reference())
            left.append(ours())
        else:
            left.append(ours())
            right.append(reference())
        rounds = len(left)
        progress(f"{name}: {rounds} pairs")
        if rounds < LEAST_PAIRS:
            continue
        ratios = [a / b for a, b in zip(left, right, strict=True)]
        measurement = Measurement(
            name,
            statistics.median(ratios),
            *interval(ratios),
            statistics.median(left),
            statistics.median(right),
            unit,
            rounds,
            goal,
        )
        if measurement.verdict != "undecided" or rounds >= MOST_PAIRS:
            return measurement
