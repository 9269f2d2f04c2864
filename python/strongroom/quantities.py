"""Sizes, durations and cores as people write them."""

import math
import os
import re

from strongroom.errors import SettingsError, StrongroomError
from strongroom.options import described, shown

__all__ = ["MIN_SECONDS", "bytes_of", "cores_of", "mib", "seconds_of"]

SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]i?)?B", re.ASCII)
FACTORS = {None: 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s|m|h)", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
CORES = re.compile(r"(\d{1,6}) ?cores?", re.ASCII)
PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%", re.ASCII)

MAX_BYTES = 2**63 - 1
MIN_SECONDS = 0.001
"""The shortest duration that is one."""
MAX_SECONDS = 86_400.0


def mib(size: int) -> str:
    """Show a number of bytes."""
    return f"{size / 2**20:,.1f} MiB"


def invalid(option: str, value: object, expected: str) -> SettingsError:
    """Build the error for a value that can't be read."""
    return SettingsError("settings.invalid", f"{option} must be {expected}, not {shown(value)}")


def bytes_of(option: str, value: str | int) -> int:
    """Read a size: a number of bytes, or "4GB" (10⁹), "4GiB" (2³⁰), "512 MiB"."""
    expected = 'a size such as "4GB" (10⁹ bytes) or "4GiB" (2³⁰), above zero'
    if isinstance(value, str) and (match := SIZE.fullmatch(value)):
        size = (
            int(float(match[1]) * FACTORS[match[2]]) if "." in match[1] else int(match[1]) * FACTORS[match[2]]
        )
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise invalid(option, value, expected)
    if not 0 < size <= MAX_BYTES:
        raise invalid(option, value, expected)
    return size


def seconds_of(
    option: str,
    value: str | float,
    error: type[StrongroomError] = SettingsError,
    code: str = "settings.invalid",
) -> float:
    """Read a duration in seconds: a number, or "30s", "500ms", "2m", "1h"; at most a day."""
    expected = 'a duration such as "30s", "500ms" or "2m", from 1ms to 24h'
    seconds = math.nan
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        seconds = float(match[1]) * SECONDS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and value <= MAX_SECONDS:
        seconds = float(value)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:  # NaN compares false
        found = shown(value) if error is SettingsError else described(value)
        raise error(code, f"{option} must be {expected}, not {found}")
    return seconds


def cores_of(option: str, value: str | int | None) -> int:
    """Read a number of cores: 2, "2 cores", "80%" of those this process may use, or None for all.

    A percentage rounds down to whole cores, but not below one.
    """
    expected = 'a number of cores such as 2, "2 cores" or "80%", above zero and at most 100%'
    allowed = len(os.sched_getaffinity(0))
    if value is None:
        return allowed
    if isinstance(value, str) and (match := PERCENT.fullmatch(value)):
        percent = float(match[1])
        if not 0 < percent <= 100:
            raise invalid(option, value, expected)
        return max(1, math.floor(allowed * percent / 100))
    if isinstance(value, str) and (match := CORES.fullmatch(value)):
        cores = int(match[1])
    elif isinstance(value, int) and not isinstance(value, bool):
        cores = value
    else:
        raise invalid(option, value, expected)
    if cores < 1:
        raise invalid(option, value, expected)
    if cores > allowed:
        raise SettingsError(
            "settings.machine", f"{option} asks for {shown(value)}, but this process may use {allowed}"
        )
    return cores
