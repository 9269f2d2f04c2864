"""Where a reference points."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from strongroom import _core
from strongroom.errors import OptionError, SourceError
from strongroom.options import is_path, path_text, shown
from strongroom.text import utf8_size

__all__ = ["Checksum", "Reference", "Remote", "Stored", "path_of", "source_of"]

Reference = str | os.PathLike[str]
"""A path with a `/` in it or that ends in .gguf, a source with a scheme, or a name in the store."""

Checksum = str | Sequence[str]
"""The digest of a model, `sha256:` and hexadecimal digits; or one of each part, in their order."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class Remote:
    """A source on a host: `https://…` or `hf://…`."""

    url: str

    def __repr__(self) -> str:
        """Show it without its query, which may hold a token."""
        return f"Remote({self.url.partition('?')[0]!r})"


@dataclass(frozen=True, slots=True)
class Stored:
    """A model in the store."""

    name: str


def path_of(reference: object) -> str:
    """Return the path that a reference names; a source on a host has none before it is fetched."""
    source = source_of(reference)
    if isinstance(source, Remote):
        raise SourceError("source.unavailable", f"{source!r} is on a host, not in a file")
    if isinstance(source, Stored):
        raise SourceError("source.stored", f"{shown(source.name)} is a name in a store, not a path")
    return source


def source_of(reference: object) -> str | Remote | Stored:
    """Return the path that a reference names, the source on a host, or the name in the store."""
    if isinstance(reference, os.PathLike):
        path = path_text(reference)
        if path is None:
            raise OptionError("option.wrong_type", "reference must be a path of str, not of bytes")
    elif isinstance(reference, str):
        path = reference
        if SCHEME.match(path):
            if not path.isascii() and utf8_size(path) is None:
                raise SourceError("source.invalid", "the reference holds a lone surrogate")
            local = _core.local_path(path)
            return Remote(path) if local is None else local
        if "/" not in path and not path.endswith(".gguf"):
            if not path:
                raise SourceError("source.invalid", "the reference is empty")
            return Stored(path)
    else:
        raise OptionError(
            "option.wrong_type", f"reference must be a string or a path, not {shown(reference)}"
        )
    if not is_path(path):
        problem = "it holds a NUL" if "\0" in path else "the system takes none such"
        raise SourceError("source.invalid", f"{shown(path)} is no path: {problem}")
    return path
