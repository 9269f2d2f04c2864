"""Looking at a model's file without loading it."""

from collections.abc import Sequence

from strongroom import _core
from strongroom.models.parts import parts_of
from strongroom.models.progress import Progress
from strongroom.models.source import Reference, path_of
from strongroom.models.trust import architectures

__all__ = ["inspect"]


def inspect(
    reference: Reference,
    *,
    allow_architectures: Sequence[str] = (),
    progress: Progress | None = None,
) -> _core.Inspection:
    """Return the digest of a file and what preflight sees, without handing one byte to C++.

    Of a model in parts, named by its first, preflight is of the file that they make. One that preflight
    refuses is no error here: `Inspection.refusal` says why. `progress(done, total)` is called with bytes;
    what it raises ends the inspection.

    Raises SourceError.
    """
    path = path_of(reference)
    return _core.inspect(
        path,
        parts=parts_of(path),
        allow_architectures=architectures(allow_architectures),
        progress=progress,
    )
