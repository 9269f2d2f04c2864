"""JSON documents that decide what is trusted: read strictly, and written whole or not at all."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from strongroom.errors import StrongroomError
from strongroom.keeping import Refusals, read_kept, replace
from strongroom.text import printable

__all__ = ["members", "read_document", "write_document"]

T = TypeVar("T")


def read_document(path: str, most: int, refusals: Refusals, parse: Callable[[object], T]) -> T:
    """Read a file of at most `most` bytes, and return what `parse` makes of the document in it.

    Whatever `parse` refuses, by ValueError or an error of its own, is damage. Raises the refusals' error
    where the file is not there or damaged, or others can write to it.
    """
    kept = read_kept(path, most, refusals)
    try:
        return parse(json.loads(kept.data.decode(), object_pairs_hook=distinct))
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, StrongroomError) as error:
        reason = error.message if isinstance(error, StrongroomError) else printable(str(error), keep="")
    raise refusals.refusal("malformed", path, f"is damaged: {reason}")


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, of which no key may be there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def members(value: object, names: set[str], what: str) -> dict[str, Any]:
    """Check that a value is an object of exactly those names; `what` is it in the message."""
    if not isinstance(value, dict) or value.keys() != names:
        raise ValueError(f"{what} is no object of {', '.join(sorted(names))}")
    return value


def write_document(path: str, document: Mapping[str, Any], most: int, refusals: Refusals) -> None:
    """Replace the file: whole, and on the disk, or not at all. Whoever calls it holds the guard."""
    data = (json.dumps(document, indent=2) + "\n").encode()
    if len(data) > most:
        raise refusals.refusal("unwritable", path, f"can't be written: it would have {len(data)} bytes")
    replace(path, data, refusals)
