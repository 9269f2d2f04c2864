"""Signatures and manifests: small files of this machine, or of a host."""

import re

from strongroom import _core
from strongroom.arguments import file_of
from strongroom.errors import OptionError
from strongroom.models.source import Remote, source_of

__all__ = ["here", "here_or_there", "there"]

ON_A_HOST = re.compile(r"(https|hf)://", re.IGNORECASE)


def there(reference: object) -> Remote | None:
    """Return the source that a reference names; None where it names a file of this machine."""
    if not isinstance(reference, str) or ON_A_HOST.match(reference) is None:
        return None
    source = source_of(reference)
    return source if isinstance(source, Remote) else None


def here(option: str, reference: object, why: str) -> str | None:
    """Return the path of a file that has to be of this machine; `why` says why."""
    if there(reference) is not None:
        raise OptionError("option.out_of_range", f"{option} must be a file of this machine: {why}")
    return file_of(option, reference)


def here_or_there(option: str, reference: object, hosts: _core.Sources | None) -> str | _core.SideFile | None:
    """Return the path of a file, or what a host sent; without `hosts` none is asked.

    Raises FetchError, OptionError.
    """
    source = there(reference)
    if source is None or hosts is None:
        return here(option, reference, "that of a model on this machine is not fetched")
    return _core.read_side_file(source.url, kind=option, sources=hosts)
