"""On which line of a TOML file each key is written; tomllib doesn't tell."""

import tomllib
from collections.abc import Mapping
from typing import Any

__all__ = ["lines_of"]

BUDGET = 4 << 20
"""Characters that are parsed before the rest goes without line numbers."""


def lines_of(text: str) -> Mapping[tuple[str, ...], int]:
    """Return the line on which each key and table of a sound TOML text begins, as far as it can be told.

    A header and a key with its value are TOML by themselves: lines are gathered until tomllib takes
    them, so that no second grammar can be wrong about where a key stands. A value that spans many
    lines may use up the budget; what comes after it then has no line.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    budget, gathered, start = BUDGET, "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not gathered:
            start = number
        gathered = f"{gathered}\n{line}" if gathered else line
        if line.rstrip().endswith(","):  # inside of an array
            continue
        budget -= len(gathered)
        if budget < 0:
            break
        try:
            statement = tomllib.loads(gathered)
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
        header = gathered.lstrip().startswith("[")
        keys = keys_of(statement, deep=header)
        if header and keys:
            table = keys[-1]
            found.setdefault(table, start)
        else:
            for key in keys:
                found.setdefault((*table, *key), start)
        gathered = ""
    return found


def keys_of(statement: Mapping[str, Any], *, deep: bool) -> list[tuple[str, ...]]:
    """Return the keys of one statement from the outermost on; of a header also through its array."""
    keys: list[tuple[str, ...]] = []
    here: Any = statement
    path: tuple[str, ...] = ()
    while isinstance(here, dict) and len(here) == 1:
        [(key, here)] = here.items()
        path = (*path, key)
        keys.append(path)
        if deep and isinstance(here, list) and here:
            here = here[0]
    return keys
