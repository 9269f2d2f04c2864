"""Where a reference points."""

import os
import re
from collections.abc import Sequence

from strongroom.errors import OptionError, SourceError
from strongroom.options import shown

__all__ = ["Checksum", "Reference", "path_of"]

Reference = str | os.PathLike[str]
"""A path with a `/` in it or that ends in .gguf, a source with a scheme, or a name in the store."""

Checksum = str | Sequence[str]
"""The digest of a model, `sha256:` and hexadecimal digits; or one of each part, in their order."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def path_of(reference: object) -> str:
    """Return the path that a reference names; what isn't a path has no source yet."""
    if isinstance(reference, os.PathLike):
        path = os.fspath(reference)
        if not isinstance(path, str):
            raise OptionError("option.wrong_type", "reference must be a path of str, not of bytes")
    elif isinstance(reference, str):
        path = reference
        if match := SCHEME.match(path):
            raise SourceError(
                "source.unavailable",
                f"{shown(path)} names the source {match[1]!r}: only files are available yet",
            )
        if "/" not in path and not path.endswith(".gguf"):
            if not path:
                raise SourceError("source.invalid", "the reference is empty")
            raise SourceError(
                "source.no_store", f"{shown(path)} would be a name in a store, and there is no store yet"
            )
    else:
        raise OptionError(
            "option.wrong_type", f"reference must be a string or a path, not {shown(reference)}"
        )
    if "\0" in path:
        raise SourceError("source.invalid", f"{shown(path)} is no path: it holds a NUL")
    return path
