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

WITH_FASTER_KERNELS = {"gemma3": {XLLAMACPP: {8: 1.25, 16: 1.3}}}
"""The same where Strongroom's worker has instructions that the peers' wheels don't use, by the model."""


def goal(contender: str, streams: int, model: str, *, faster_kernels: bool) -> Goal | None:
    """Return the bound of Strongroom's throughput over the contender's."""
    bound = BOUNDS.get(contender, {}).get(streams)
    if faster_kernels:
        bound = WITH_FASTER_KERNELS.get(model, {}).get(contender, {}).get(streams, bound)
    return None if bound is None else Goal(bound, at_least=True)
