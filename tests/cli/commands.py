"""Running `strongroom` as a process of its own, with pipes or at a terminal."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pexpect

from tests.codes import RAISED

COMMAND = [sys.executable, "-m", "strongroom"]


def strongroom(
    *arguments: str | bytes | Path,
    stdin: bytes = b"",
    timeout: float = 120,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command with pipes; the codes of its errors count as raised."""
    run = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
        env=None if environment is None else os.environ | environment,
    )
    stdout, stderr = run.stdout.decode(), run.stderr.decode()
    RAISED.update(re.findall(r"^error: .* \[([a-z_]+\.[a-z_]+)\]$", stderr, re.MULTILINE))
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)


def at_a_terminal(*arguments: str | Path, timeout: float = 120) -> "pexpect.spawn[str]":
    """Run a command at a terminal of its own."""
    rest: Sequence[str] = [str(argument) for argument in (*COMMAND[1:], *arguments)]
    return pexpect.spawn(
        COMMAND[0],
        list(rest),
        encoding="utf-8",
        codec_errors="replace",
        timeout=timeout,
        dimensions=(40, 160),
    )
