"""What became of processes. Waiting is bounded, and no test depends on how long it takes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0


def state(pid: int) -> str | None:
    """The letter of a process's state; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()[0]


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    return state(pid) in {None, "Z", "X"}


def eventually(what: Callable[[], bool]) -> bool:
    """Whether something becomes true before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def on_one_core() -> None:
    """In a child: let it compute with one thread; several wait for each other on a busy machine."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
