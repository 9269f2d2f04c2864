"""From a source on a host to a file in the cache."""

import os
from pathlib import Path

from strongroom import _core
from strongroom.errors import OptionError
from strongroom.models.source import Checksum, Reference, Remote, source_of
from strongroom.models.trust import Progress, checksums
from strongroom.options import shown
from strongroom.settings import Settings

__all__ = ["fetch", "fetch_remote"]


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/strongroom`, or `~/.cache/strongroom`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored, says its specification.
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "strongroom"


def fetch(
    reference: Reference,
    *,
    checksum: str | None = None,
    settings: Settings | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> _core.Fetched:
    """Fetch `https://…` or `hf://…` into a cache, or find it there; which hosts are asked, the settings say.

    The file has its name only when it is whole and has the digest `checksum`. `progress(done, total)` is
    called with bytes, `total` being 0 where it isn't known; what it raises ends the download, which goes
    on from there the next time.

    Raises FetchError, ChecksumError, TrustError (without a checksum), SourceError.
    """
    source = source_of(reference)
    if not isinstance(source, Remote):
        raise OptionError("option.out_of_range", f"{shown(source)} is on this machine already")
    return fetch_remote(
        source,
        checksum=checksum,
        settings=Settings() if settings is None else settings,
        cache=cache,
        recheck=True,
        progress=progress,
    )


def fetch_remote(
    source: Remote,
    *,
    checksum: Checksum | None,
    settings: Settings,
    cache: str | os.PathLike[str] | None = None,
    recheck: bool,
    progress: Progress | None,
) -> _core.Fetched:
    """Do so; without `recheck` a file that is there already is left to its loading to be hashed."""
    whole, of_parts = checksums(checksum)
    if of_parts:
        raise OptionError("option.wrong_type", "checksum must be one string: parts can't be fetched together")
    return _core.fetch(
        source.url,
        sources=settings.sources.core(),
        cache=os.fspath(default_cache() if cache is None else cache),
        checksum=whole,
        danger_unverified=settings.security.verification == "danger-none",
        recheck=recheck,
        progress=progress,
    )
