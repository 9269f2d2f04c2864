"""The memory that this machine has and offers, as the kernel says; within the process's control groups."""

from pathlib import Path
from typing import NamedTuple

from strongroom.errors import SettingsError

__all__ = ["Offer", "offered", "reserve_of"]

LEAST_RESERVE = 64 << 20
MOST_RESERVE = 1 << 30


class Offer(NamedTuple):
    """Bytes."""

    total: int
    """Of the machine, or of the smallest control group around this process."""
    available: int
    """That can be had now without swapping, in all of them."""


def reserve_of(total: int) -> int:
    """Return what models leave to everything else: a sixteenth, from 64 MiB to 1 GiB."""
    return min(max(total // 16, LEAST_RESERVE), MOST_RESERVE)


def offered(root: Path = Path("/")) -> Offer:
    """Return what there is now.

    Raises SettingsError where the kernel doesn't say: then only a `total_memory` that is given bounds models.
    """
    try:
        rows = (line.split() for line in (root / "proc/meminfo").read_text().splitlines())
        kibibytes = {row[0]: int(row[1]) for row in rows}
        total, available = kibibytes["MemTotal:"] * 1024, kibibytes["MemAvailable:"] * 1024
    except (OSError, LookupError, ValueError):
        raise SettingsError(
            "settings.machine",
            "/proc/meminfo doesn't say how much memory there is",
            "say in total_memory how much all models together may take",
        ) from None
    for group in groups(root):
        if (bounds := bounds_of(group)) is not None:
            limit, used = bounds
            total = min(total, limit)
            available = min(available, max(0, limit - used))
    return Offer(total, available)


def groups(root: Path) -> list[Path]:
    """Return the directories of the control groups that bound this process's memory, inside out."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounted = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            mounted = root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the path may be one that only its host sees; the mount's root is then its own.
        inside = mounted / path.lstrip("/")
        steps = [inside, *inside.parents]
        found += steps[: steps.index(mounted) + 1] if mounted in steps else [mounted]
    return found


def bounds_of(group: Path) -> tuple[int, int] | None:
    """Return a control group's limit and what is used of it, without the files that can be forgotten."""
    for limit_file, usage_file, forgettable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (group / limit_file).read_text().strip()
            used = int((group / usage_file).read_text())
            rows = (line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = {row[0]: int(row[1]) for row in rows if len(row) == 2}
        except (OSError, ValueError):
            continue
        if limit == "max":
            return None
        return int(limit), max(0, used - cached.get(forgettable, 0))
    return None
