"""The side of the bench: a contender's process, which stays loaded through the rounds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benches.peers.outcome import Outcome
from benches.peers.processor import busy_seconds, tree_seconds
from benches.peers.serving import Stream

PATIENCE_SECONDS = 900.0
CORES = os.cpu_count() or 1


class ContenderError(Exception):
    """A contender couldn't do what was asked."""


@dataclass(slots=True)
class Contender:
    """One process, or why there is none any more."""

    name: str
    process: subprocess.Popen[str]
    log: TextIO
    ready: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, name: str, command: Sequence[str], log: Path) -> Contender:
        """Start it, and wait until it is loaded; what it prints on standard error goes to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        errors = log.open("w")
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, bufsize=1, start_new_session=True
        )
        contender = cls(name, process, errors)
        try:
            contender.ready = contender.line()
        except ContenderError:
            contender.close()
            raise
        return contender

    def line(self) -> dict[str, Any]:
        """Read a line of it."""
        assert self.process.stdout is not None
        impatience = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        impatience.start()
        try:
            line = self.process.stdout.readline()
        finally:
            impatience.cancel()
        if not line:
            code = self.process.wait()
            lines = Path(self.log.name).read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise ContenderError(f"{self.name} ended with {code}: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, order: str) -> dict[str, Any]:
        """Write a line, and read the answer."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reading tells why
            self.process.stdin.write(order + "\n")
        return self.line()

    def ask(self, prompts: Sequence[str], *, tokens: int, shared: bool) -> Outcome:
        """Let it continue all prompts at once, for so many tokens each."""
        texts = [prompt.replace("\n", "\\n") for prompt in prompts]
        order = "\t".join([str(tokens), "shared" if shared else "distinct", *texts])
        began, busy, spent = time.perf_counter(), busy_seconds(), self.cpu_seconds()
        answer = self.tell(order)
        seconds = time.perf_counter() - began
        spent = self.cpu_seconds() - spent
        foreign = max(0.0, busy_seconds() - busy - spent) / (seconds * CORES)
        streams = [Stream(**stream) for stream in answer["streams"]]
        silent = [stream for stream in streams if not stream.times]
        if silent:
            raise ContenderError(f"{self.name} answered {len(silent)} of {len(prompts)} prompts with nothing")
        return Outcome(answer["seconds"], streams, spent, answer.get("host_cpu_seconds"), foreign)

    def cpu_seconds(self) -> float:
        """Return the processor time of its processes."""
        return tree_seconds(self.process.pid)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
