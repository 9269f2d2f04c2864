"""What the contenders are asked: the same prompts for all of them, new ones each round.

Prompts are common English words in a drawn order: as many tokens as words, nearly, for any vocabulary, and
nothing that an engine could have met before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt").read_text().split()
SHARED_PART = 0.8
"""Of a prompt's words, where the beginning is shared."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of prompt."""

    name: str
    words: int
    shared: bool

    def prompts(self, streams: int, number: int) -> list[str]:
        """Return the prompts of round `number`; where they share a beginning, it is that of every round."""
        beginning = round(self.words * SHARED_PART) if self.shared else 0
        common = sentence(beginning, f"{self.name} beginning")
        return [
            " ".join(common + sentence(self.words - beginning, f"{self.name} {number} {stream}"))
            for stream in range(streams)
        ]


CASES = {
    case.name: case
    for case in (
        Case("short-distinct", 40, shared=False),
        Case("short-shared", 40, shared=True),
        Case("long-distinct", 400, shared=False),
        Case("long-shared", 400, shared=True),
    )
}


def sentence(words: int, seed: str) -> list[str]:
    """Draw words."""
    source = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return source.choices(WORDS, k=words)
