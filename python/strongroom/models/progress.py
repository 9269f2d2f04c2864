"""How far reading is, as callers are told."""

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[int, int], None]
"""Called with the bytes done and in total; what it raises ends the reading."""
