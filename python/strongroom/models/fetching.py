"""From a source on a host to a file in the cache."""

import os
from pathlib import Path

from strongroom import _core
from strongroom.arguments import required
from strongroom.errors import OptionError
from strongroom.models.source import Checksum, Reference, Remote, source_of
from strongroom.models.trust import Progress, checksums
from strongroom.options import shown
from strongroom.settings import Settings
from strongroom.trust.decision import decide_early
from strongroom.trust.evidence import Claim, Evidence, Https, HuggingFace

__all__ = ["fetch", "fetch_remote", "origin_of"]


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/strongroom`, or `~/.cache/strongroom`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored, says its specification.
    if Path(named).is_absolute():
        return Path(named) / "strongroom"
    try:
        return Path.home() / ".cache/strongroom"
    except RuntimeError:
        raise OptionError("option.out_of_range", "cache must be named: this user has no home") from None


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
    given: object = settings
    if given is not None and not isinstance(given, Settings):
        raise OptionError("option.wrong_type", f"settings must be a Settings, not {shown(given)}")
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
    """Do so; without `recheck` a file that is there already is left to its loading to be hashed.

    A policy that names sources is asked before any host is, and the hosts that it names may be.
    """
    whole, of_parts = checksums(checksum)
    if of_parts:
        raise OptionError("option.wrong_type", "checksum must be one string: parts can't be fetched together")
    policy = settings.security.model_verification
    unread = Evidence(digests=(), size=0, architecture=None, source=origin_of(source))
    decide_early(policy, unread, Claim(name=""))
    return _core.fetch(
        source.url,
        sources=settings.sources.core(
            [f"https://{place.host}" for place in policy.sources if place.host is not None],
            [place.organisation for place in policy.sources if place.organisation is not None],
        ),
        cache=required("cache", default_cache() if cache is None else cache),
        checksum=whole,
        danger_unverified=settings.security.verification == "danger-none",
        recheck=recheck,
        progress=progress,
    )


def origin_of(source: Remote) -> Https | HuggingFace:
    """Return where a source is, as the policy names it."""
    owner = _core.owner_of(source.url)
    if owner is None:  # it was found to be none when it was made
        raise OptionError("option.out_of_range", f"{source!r} is on this machine already")
    kind, name = owner
    return Https(name) if kind == "https" else HuggingFace(name)
