"""Memory of a process, from the kernel's own account."""

from __future__ import annotations

from pathlib import Path


def anonymous_bytes(pid: int) -> int:
    """Memory that is the process's own: not the weights, which are pages of a file or an image."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    message = f"no account of the memory of process {pid}"
    raise RuntimeError(message)


def image_pages(pid: int) -> tuple[int, int]:
    """Bytes of the sealed image mapped into a process: resident, and its proportional share."""
    resident = proportional = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = line.split()
        if "-" in fields[0] and ":" not in fields[0]:
            inside = "memfd:" in line
        elif inside and fields[0] == "Rss:":
            resident += int(fields[1]) * 1024
        elif inside and fields[0] == "Pss:":
            proportional += int(fields[1]) * 1024
    return resident, proportional
