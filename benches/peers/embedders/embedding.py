"""The side of an embedder: texts with tabs between them in, seconds and the first vectors out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benches.peers.serving import answer_lines

SHOWN = 4
"""Vectors that are shown, by which one sees that all compute the same."""


def embed_lines(
    embed: Callable[[list[str]], Sequence[Sequence[float]]], *, version: str, threads: int
) -> None:
    """Answer lines until there are no more."""

    def answer(line: str) -> dict[str, object]:
        texts = line.rstrip("\n").split("\t")
        began = time.perf_counter()
        vectors = embed(texts)
        seconds = time.perf_counter() - began
        shown = [[float(number) for number in vector] for vector in vectors[:SHOWN]]
        return {"seconds": seconds, "count": len(vectors), "vectors": shown}

    answer_lines(answer, {"version": version, "threads": threads})
