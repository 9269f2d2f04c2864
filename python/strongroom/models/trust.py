"""What proves that a file is the one that was meant."""

import logging
from collections.abc import Callable, Sequence

from strongroom import _core
from strongroom.arguments import file_of, word
from strongroom.errors import OptionError
from strongroom.models.source import Reference
from strongroom.options import shown
from strongroom.settings import Security

__all__ = ["Progress", "admit"]

logger = logging.getLogger("strongroom.models")

Progress = Callable[[int, int], None]
"""Called with the bytes done and in total; what it raises ends the loading."""


def architectures(value: object) -> tuple[str, ...]:
    """Check the names of architectures that the caller allows beyond those checked in depth."""
    expected = "a list of architectures' names"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionError("option.wrong_type", f"allow_architectures must be {expected}, not {shown(value)}")
    for name in value:
        if not isinstance(name, str):
            raise OptionError(
                "option.wrong_type", f"allow_architectures must be {expected}: one is {shown(name)}"
            )
        if not (name.isascii() and name.isprintable()):
            raise OptionError(
                "option.out_of_range", f"allow_architectures: {shown(name)} is no architecture's name"
            )
    return tuple(value)


def admit(
    path: str,
    *,
    checksum: str | None,
    signature: Reference | None = None,
    public_key: Reference | None = None,
    hash: str | None = None,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
) -> _core.Image:
    """Read a file into a sealed image, if its bytes are proved or the operator named the danger.

    Raises SourceError, ChecksumError, SignatureError, SigningKeyError, TrustError, PreflightError.
    """
    if checksum is not None and not isinstance(checksum, str):
        raise OptionError("option.wrong_type", f"checksum must be a string, not {shown(checksum)}")
    image = _core.Image.load(
        path,
        # What no encoding has can't be a digest either: the core says that it is malformed.
        checksum=None if checksum is None else checksum.encode("ascii", "backslashreplace").decode(),
        signature=file_of("signature", signature),
        public_key=file_of("public_key", public_key),
        hash=word("hash", hash),
        danger_unverified=security.verification == "danger-none",
        allow_architectures=architectures(allow_architectures),
        size_limit=security.sandboxing.address_space,
        progress=progress,
    )
    if not image.verified:
        logger.warning(
            '%r was loaded with verification="danger-none": nothing proves it is %s', path, image.digest
        )
    return image
