"""The reference: a bare llama.cpp loop from the same build, kept running so that pairs can alternate."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXECUTABLE = Path("target/worker/avx2/x86_64-unknown-linux-gnu/worker/examples/bare")


@dataclass(slots=True)
class Bare:
    """A process that decodes on request."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, model: Path, *, threads: int, context_length: int) -> Bare:
        """Start the loop; it loads its model by path, as everyone does."""
        process = subprocess.Popen(
            [str(EXECUTABLE), str(model), str(threads), str(context_length)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return cls(process)

    def ask(self, line: str) -> dict[str, Any]:
        """Write one line, and read the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        line = self.process.stdout.readline()
        if not line:
            message = f"the bare loop ended with {self.process.wait()}"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, prompt: str, tokens: int) -> dict[str, Any]:
        """Decode the `tokens` likeliest tokens after `prompt`, one at a time."""
        return self.ask(f"run {tokens} greedy {prompt}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
