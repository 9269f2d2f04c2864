"""Memory for secrets: guarded, kept from swap, core dumps and forked children, and wiped after use.

    from strongroom import SecureArena

    arena = SecureArena(1 << 20, max_age=600)
    with arena.allocate(32, "session key") as key:
        with open("key", "rb", buffering=0) as file, memoryview(key) as view:
            file.readinto(view)

What Python copies out of a buffer, `bytes(key)` above all, is wiped by nobody.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from strongroom import _core
from strongroom._core import SecureBuffer, compare_digest
from strongroom.errors import OptionError
from strongroom.options import shown

__all__ = ["ArenaProtection", "BufferUsage", "SecureArena", "SecureBuffer", "compare_digest"]

Backing = Literal["secret", "locked", "swappable"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BufferUsage:
    """A buffer that is held."""

    id: int
    """Its number in the arena, from 0, never used again."""
    purpose: str
    """What it is for, as it was allocated."""
    bytes: int
    """As it was asked for."""
    age: timedelta
    """Since it was allocated."""
    idle: timedelta
    """Since it was last used; zero while it is viewed."""
    views: int
    """How many see its memory now."""
    backing: Backing
    """What holds its pages: see `SecureArena`."""


@dataclass(frozen=True, slots=True)
class ArenaProtection:
    """What an arena's memory is protected by, really.

    All of it lies between guard pages, and is absent from core dumps and from forked children: without that
    there is no arena.
    """

    secret: int
    """Bytes of `memfd_secret`, mapped, those included that wait for the next buffer."""
    locked: int
    """Bytes that `mlock` keeps from being swapped."""
    swappable: int
    """Bytes that may be swapped: the kernel locked no more."""
    fallbacks: tuple[str, ...]
    """What the kernel gave less than was asked for, and why; nothing where fallbacks are refused."""


class SecureArena:
    """Secure memory up to a limit. It lives until its last buffer is gone, and may be used by any thread."""

    __slots__ = ("_arena", "_max_bytes", "_warned")

    def __init__(
        self,
        max_bytes: int,
        *,
        max_age: float | timedelta | None = None,
        backing: Literal["secret", "locked"] = "secret",
        fallback: Literal["refuse", "report"] = "refuse",
    ) -> None:
        """Make an arena. It maps memory when the first buffer is allocated.

        Args:
            max_bytes: How many bytes may be held at once, as they are asked for. The kernel's limit
                (`ulimit -l`) counts whole pages.
            max_age: Seconds that a buffer may lie idle before it is wiped; `None` for ever. A view of it, by
                `memoryview` or NumPy, keeps it.
            backing: `secret` for `memfd_secret`, which no other process reads, nor this one's
                `/proc/self/mem`; `locked` for anonymous memory that isn't swapped.
            fallback: `refuse` to fail where the kernel doesn't give that, `report` to take what is next
                weaker: `secret`, `locked`, then `swappable`. It is logged, and in `protection()`.

        Raises:
            ArenaError: `arena.invalid`.
            OptionError: `option.wrong_type`.

        """
        if isinstance(max_age, timedelta):
            max_age = max_age.total_seconds()
        elif max_age is not None and (isinstance(max_age, bool) or not isinstance(max_age, int | float)):
            raise OptionError(
                "option.wrong_type", f"max_age must be seconds or a timedelta, not {shown(max_age)}"
            )
        try:
            max_age = None if max_age is None else float(max_age)
        except OverflowError:
            max_age = math.inf  # more than there can be: the core refuses both
        _integer("max_bytes", max_bytes)
        _word("backing", backing)
        _word("fallback", fallback)
        self._arena = _core.Arena(max_bytes, max_age, backing, fallback)
        self._max_bytes = max_bytes
        self._warned: Backing = backing

    def allocate(self, size: int, purpose: str) -> SecureBuffer:
        """Return a buffer of zeros.

        Args:
            size: Bytes.
            purpose: Shown by `usage()` and in errors: nothing secret belongs into it. Up to 128 bytes.

        Raises:
            ArenaError: `arena.over_limit`, `arena.invalid`, `arena.forked`.
            SecureMemoryError: `memory.not_secret`, `memory.not_locked` where the fallback is refused.
            OptionError: `option.wrong_type`.

        """
        _integer("size", size)
        _word("purpose", purpose)
        buffer = self._arena.allocate(size, purpose)
        if buffer.backing != self._warned:
            self._warned = buffer.backing
            for fallback in self.protection().fallbacks:
                _logger.warning("%s", fallback)
        return buffer

    def reclaim(self) -> int:
        """Wipe what has lain idle for longer than `max_age` and isn't viewed; return how many buffers.

        A thread does the same on its own, up to an eighth of `max_age` late.
        """
        return self._arena.reclaim()

    def usage(self) -> tuple[BufferUsage, ...]:
        """Return what is held, in the order of its allocation."""
        return tuple(
            BufferUsage(
                buffer.id,
                buffer.purpose,
                buffer.bytes,
                timedelta(seconds=buffer.age),
                timedelta(seconds=buffer.idle),
                buffer.views,
                buffer.backing,
            )
            for buffer in self._arena.usage().buffers
        )

    def protection(self) -> ArenaProtection:
        """Return what the arena's memory is protected by."""
        usage = self._arena.usage()
        return ArenaProtection(usage.secret, usage.locked, usage.swappable, tuple(usage.fallbacks))

    @property
    def bytes(self) -> int:
        """How many bytes are held."""
        return self._arena.usage().bytes

    @property
    def max_bytes(self) -> int:
        """How many may be."""
        return self._max_bytes

    def __repr__(self) -> str:
        """Show how much is held."""
        return f"<strongroom.SecureArena {self.bytes} of {self.max_bytes} bytes>"


def _integer(option: str, value: object) -> None:
    if type(value) is not int:
        raise OptionError("option.wrong_type", f"{option} must be an integer, not {shown(value)}")


def _word(option: str, value: object) -> None:
    if type(value) is not str:
        raise OptionError("option.wrong_type", f"{option} must be a string, not {shown(value)}")
