r"""The side of a contender: lines in, lines out.

A contender prints one line of JSON when it is ready: `version`, `system` (what its llama.cpp was compiled
with) and `threads`. Then it reads lines: the number of new tokens, `shared` or `distinct`, and the prompts
of streams that begin at once, with tabs between all of these; a line break in a prompt is written `\n`. To
each it answers with a line of JSON: `streams`, with `prompt_tokens`, `tokens` (new ones), `times` (of each
piece, in seconds since the line was read) and `text`; `seconds` for all of it; and what else it measured.
`rust/engine/examples/batch_loop.rs` does the same.

This module imports nothing of Strongroom: peers run it in an environment of their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Order:
    """What a line asks for."""

    tokens: int
    shared: bool
    prompts: list[str]
    began: float
    """When it was read, of `time.perf_counter`."""

    @classmethod
    def parse(cls, line: str) -> Order:
        """Read a line."""
        began = time.perf_counter()
        tokens, sharing, *prompts = line.rstrip("\n").split("\t")
        texts = [prompt.replace("\\n", "\n") for prompt in prompts]
        return cls(int(tokens), sharing == "shared", texts, began)

    def now(self) -> float:
        """Return the seconds since it was read."""
        return time.perf_counter() - self.began


@dataclass(slots=True)
class Stream:
    """One answer, as its caller saw it."""

    prompt_tokens: int = 0
    tokens: int = 0
    times: list[float] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True)
class Served:
    """All answers to an order."""

    streams: list[Stream]
    seconds: float
    host_cpu_seconds: float | None = None
    """Processor time of the process that asks, where another one computes."""


def serve(answer: Callable[[Order], Served], *, version: str, system: str, threads: int) -> None:
    """Answer lines until there are no more."""
    answer_lines(
        lambda line: asdict(answer(Order.parse(line))),
        {"version": version, "system": system, "threads": threads},
    )


def answer_lines(answer: Callable[[str], object], ready: object) -> None:
    """Say that all is ready, and answer lines until there are no more.

    What a library prints goes to standard error.
    """
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps(ready), file=out)
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=out)
