"""`make bench-embeddings`: a thousand short texts to vectors, against xllamacpp and llama-cpp-python.

Prints a table and writes `benches/out/embeddings.json`. Means over a text's tokens, normalized, in one call.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benches.pairs import Goal, Measurement, interval
from benches.peers.contender import Contender, ContenderError
from benches.peers.goals import LLAMA_CPP_PYTHON, OURS, XLLAMACPP
from benches.peers.workload import sentence
from benches.report import console_of, progress_on, publish, show, write

OUT = Path("benches/out/embeddings.json")
WORDS = 12
ALIKE = 0.99
"""The least cosine between two engines' vectors of a text: they round differently."""
GOAL = Goal(1.0, at_least=False)


def start(model: Path, threads: int, peers: str) -> tuple[list[Contender], list[tuple[str, str]]]:
    """Start every embedder; return those that run, and why others don't."""
    modules = {OURS: "strongroom", XLLAMACPP: "xllamacpp", LLAMA_CPP_PYTHON: "llama_cpp_python"}
    running: list[Contender] = []
    failures: list[tuple[str, str]] = []
    for name, module in modules.items():
        python = sys.executable if name == OURS else peers
        command = [python, "-m", f"benches.peers.embedders.{module}", str(model), str(threads)]
        try:
            running.append(Contender.start(name, command, OUT.parent / "embedders" / f"{name}.log"))
        except (ContenderError, OSError) as error:
            failures.append((name, str(error)))
    return running, failures


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors."""
    product = sum(a * b for a, b in zip(left, right, strict=True))
    return product / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))


def embed(embedder: Contender, texts: list[str]) -> dict[str, Any]:
    """Embed once."""
    answer = embedder.tell("\t".join(texts))
    if answer["count"] != len(texts):
        raise ContenderError(f"{embedder.name} made {answer['count']} vectors of {len(texts)} texts")
    return answer


def rounds_of(
    embedders: list[Contender], count: int, rounds: int, progress: Callable[[str], None]
) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    """Run alternating rounds, the first of which warms up; return the seconds, and what failed."""
    seconds: dict[str, list[float]] = {embedder.name: [] for embedder in embedders}
    failures: list[tuple[str, str]] = []
    for number in range(rounds + 1):
        texts = [" ".join(sentence(WORDS, f"text {number} {place}")) for place in range(count)]
        vectors: dict[str, list[list[float]]] = {}
        place = number % len(embedders)
        for embedder in embedders[place:] + embedders[:place]:
            if embedder.name not in seconds:
                continue
            progress(f"round {number} of {rounds}: {embedder.name}")
            try:
                answer = embed(embedder, texts)
            except ContenderError as error:
                failures.append((embedder.name, str(error)))
                del seconds[embedder.name]
                continue
            vectors[embedder.name] = answer["vectors"]
            if number:
                seconds[embedder.name].append(answer["seconds"])
        first = next(iter(vectors.values()), [])
        least = min(
            (cosine(a, b) for other in vectors.values() for a, b in zip(first, other, strict=True)),
            default=1.0,
        )
        if least < ALIKE:
            failures.append((f"round {number}", f"vectors of a text differ: a cosine of {least:.4f}"))
    return seconds, failures


def compare(seconds: dict[str, list[float]], count: int) -> list[Measurement]:
    """Hold Strongroom to each peer that embedded; the goal is for the quickest of them."""
    ours = seconds.get(OURS)
    peers = {name: times for name, times in seconds.items() if name != OURS}
    if not ours or not peers:
        return []
    quickest = min(peers, key=lambda name: statistics.median(peers[name]))
    found = []
    for name, theirs in peers.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        found.append(
            Measurement(
                f"{count} texts of {WORDS} words, against {name}",
                statistics.median(ratios),
                *interval(ratios),
                statistics.median(ours),
                statistics.median(theirs),
                "s",
                len(ratios),
                GOAL if name == quickest else None,
            )
        )
    return found


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--peers", required=True, help="Python of the environment that has the peers")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readme", type=Path, help="write the table into this file, between its marks")
    arguments = parser.parse_args()
    console = console_of()
    progress = progress_on(console)
    embedders, failures = start(arguments.model, arguments.threads, arguments.peers)
    try:
        seconds, later = rounds_of(embedders, arguments.texts, arguments.rounds, progress)
    finally:
        for embedder in embedders:
            embedder.close()
    failures += later
    measurements = compare(seconds, arguments.texts)
    rates = [
        (name, f"{arguments.texts / statistics.median(times):.1f} texts/s, {arguments.threads} threads")
        for name, times in seconds.items()
    ]
    show(measurements, rates + [(name, f"failed: {why}") for name, why in failures], console)
    write(measurements, OUT)
    if arguments.readme:
        publish(measurements, arguments.readme, "bench-embeddings")
    return int(bool(failures) or any(m.verdict == "missed" for m in measurements))


if __name__ == "__main__":
    sys.exit(main())
