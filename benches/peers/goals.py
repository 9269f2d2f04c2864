"""How fast Strongroom has to be, as ratios to each contender."""

from __future__ import annotations

from benches.pairs import Goal

OURS = "strongroom"
BARE = "bare loop"
XLLAMACPP = "xllamacpp"
LLAMA_CPP_PYTHON = "llama-cpp-python"
CONTENDERS = (OURS, BARE, XLLAMACPP, LLAMA_CPP_PYTHON)

BOUNDS = {
    BARE: {1: 0.97, 8: 0.95, 16: 0.95},
    XLLAMACPP: {1: 1.15, 4: 1.15, 8: 1.10, 16: 1.0, 32: 1.0},
    LLAMA_CPP_PYTHON: {1: 1.0, 8: 1.5},
}
"""Of new tokens per second of whole requests, by the number of streams."""


def goal(contender: str, streams: int) -> Goal | None:
    """Return the bound of Strongroom's throughput over the contender's."""
    bound = BOUNDS.get(contender, {}).get(streams)
    return None if bound is None else Goal(bound, at_least=True)
