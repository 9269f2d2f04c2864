"""Where a value of the settings came from."""

from dataclasses import dataclass
from typing import Literal

from strongroom.text import printable

__all__ = ["CODE", "COMMAND_LINE", "DEFAULT", "Given", "Kind", "Origin"]

Kind = Literal["default", "file", "variable", "command line", "code"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A place, in words that lead there."""

    kind: Kind
    where: str = ""
    """Of a file its path and, where it is known, the line; of a variable its name."""

    def __str__(self) -> str:
        """Name the place on one line."""
        return printable(self.where, keep="") if self.where else self.kind


DEFAULT = Origin("default")
COMMAND_LINE = Origin("command line")
CODE = Origin("code")


@dataclass(frozen=True, slots=True)
class Given:
    """A value, not yet checked, and its origin."""

    value: object
    origin: Origin
