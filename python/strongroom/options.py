"""Options whose misspelling is an error of Strongroom, with the nearest spelling that exists."""

import os
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import ClassVar, Self

from strongroom.errors import SettingsError, StrongroomError

__all__ = ["LONGEST_PATH", "Options", "described", "is_path", "misspelt", "path_text", "shown"]

LONGEST_PATH = 4096
"""Bytes, with the NUL at its end: Linux's PATH_MAX."""


def misspelt(name: object, known: Iterable[str], owner: str) -> str:
    """Say that `owner` has no option `name`, and which one was probably meant."""
    known = sorted(known)
    # It may be the caller's content gone astray: it is shown only where it looks like a word.
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 32:
        return f"{owner} has an unknown option: it has {', '.join(known)}"
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return f"{owner} has no option {name!r}: {hint}"


def described(value: object) -> str:
    """Show a rejected value of a request: of text, which may be a prompt gone astray, only its length."""
    return f"a string of {len(value)} characters" if isinstance(value, str) else shown(value)


def path_text(value: object) -> str | None:
    """Return the text of a path; None for what is none, or one of bytes."""
    if isinstance(value, os.PathLike):
        try:
            value = os.fspath(value)
        except TypeError:  # a `__fspath__` that returns neither text nor bytes
            return None
    return value if isinstance(value, str) else None


def is_path(text: str) -> bool:
    """Whether the system has bytes for a path, and takes as many; a longer one would fill every message."""
    try:
        return "\0" not in text and len(os.fsencode(text)) < LONGEST_PATH
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return False


def shown(value: object) -> str:
    """Show a rejected value that an operator wrote, cut short; of what isn't a plain one only the type."""
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
