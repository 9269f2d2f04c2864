"""Processor time, from the kernel's own account."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants that live."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name, in parentheses, may hold anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(entry.name)] = int(fields[1])
        spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return sum(seconds for other, seconds in spent.items() if descends(other, pid, parents))


def descends(pid: int | None, ancestor: int, parents: dict[int, int]) -> bool:
    """Whether a process is the other one, or below it."""
    while pid:
        if pid == ancestor:
            return True
        pid = parents.get(pid)
    return False


def busy_seconds() -> float:
    """Return the processor time of everything on this machine, and of others on its host: stolen time."""
    user, nice, system, _, _, interrupts, soft, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + interrupts + soft + steal) / TICKS
