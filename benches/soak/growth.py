"""What this process and a worker have taken, looked at while no request is under way."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MIB", "Size", "all_started", "children", "grown"]

MIB = 2**20
HOST_SLACK = 16 * MIB
"""That the allocator may keep: no more than that, however long it goes on."""
WORKER_SLACK = 8 * MIB


@dataclass(frozen=True)
class Size:
    """At one moment."""

    seconds: float
    descriptors: int
    threads: int
    host: int
    """Bytes resident of this process."""
    workers: tuple[int, ...]
    """Of the workers that nobody kills."""

    @classmethod
    def now(cls, seconds: float, workers: list[int]) -> Size:
        """Look, after everything was dropped that nobody holds."""
        gc.collect()
        return cls(
            seconds,
            sum(1 for _ in Path("/proc/self/fd").iterdir()),
            status(os.getpid(), "Threads"),
            status(os.getpid(), "VmRSS") * 1024,
            tuple(status(pid, "VmRSS") * 1024 for pid in workers),
        )


def status(pid: int, field: str) -> int:
    """Read a number of a process's status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def grown(before: Size, after: Size) -> list[str]:
    """Name what has grown."""
    found = []
    if after.descriptors > before.descriptors:
        found.append(f"{before.descriptors} descriptors have become {after.descriptors}")
    if after.threads > before.threads:
        found.append(f"{before.threads} threads have become {after.threads}")
    if after.host > before.host + HOST_SLACK:
        found.append(f"this process has grown from {before.host / MIB:.1f} MiB to {after.host / MIB:.1f} MiB")
    found += [
        f"a worker has grown from {old / MIB:.1f} MiB to {new / MIB:.1f} MiB"
        for old, new in zip(before.workers, after.workers, strict=True)
        if new > old + WORKER_SLACK
    ]
    return found


def children() -> list[int]:
    """List the processes that this one started and that haven't ended, or were not waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            if int(text.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(folder.name))
    return found


def all_started(count: int) -> ThreadPoolExecutor:
    """Make an executor that has all its threads: one more later would look like one that is lost."""
    executor, together = ThreadPoolExecutor(count), threading.Barrier(count)
    list(executor.map(lambda _: together.wait(), range(count)))
    return executor
