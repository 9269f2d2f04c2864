"""Options whose misspelling is an error of Strongroom, with the nearest spelling that exists."""

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import ClassVar, Self

from strongroom.errors import SettingsError, StrongroomError

__all__ = ["Options", "misspelt", "shown"]


def misspelt(name: str, known: Iterable[str], owner: str) -> str:
    """Say that `owner` has no option `name`, and which one was probably meant."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return f"{owner} has no option {name!r}: {hint}"


def shown(value: object) -> str:
    """Show a rejected value, cut short; of what isn't a plain value only the type."""
    if value is None or isinstance(value, bool | int | float | str):
        try:
            text = repr(value)
        except ValueError:  # an int of more digits than Python prints
            return "a huge int"
        return text if len(text) <= 60 else f"{text[:57]}…"
    return f"a {type(value).__name__}"


class Options:
    """A frozen dataclass of options that refuses a misspelt one by name."""

    unknown: ClassVar[tuple[type[StrongroomError], str]] = (SettingsError, "settings.unknown_option")
    """Class and code of the error."""

    # Beside the generated `__init__`, so that its signature stays the one that type checkers see.
    def __new__(cls, *_args: object, **options: object) -> Self:
        """Refuse the names that are no field."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses
        for name in options:
            if name not in known:
                error, code = cls.unknown
                raise error(code, misspelt(name, known, cls.__name__))
        return super().__new__(cls)
