"""Which stable codes were raised while the tests ran."""

from collections.abc import Callable
from typing import Any

from strongroom.errors import StrongroomError

RAISED: set[str] = set()


def record(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of every error so that it leaves its code here."""

    def __init__(self: StrongroomError, code: str, *rest: Any) -> None:  # noqa: N807
        RAISED.add(code)
        original(self, code, *rest)

    return __init__


def watch() -> None:
    """Begin to record."""
    StrongroomError.__init__ = record(StrongroomError.__init__)  # type: ignore[method-assign]
