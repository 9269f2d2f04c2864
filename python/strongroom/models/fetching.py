"""From a source on a host to a file in the cache."""

import os
from pathlib import Path

from strongroom import _core
from strongroom.arguments import required
from strongroom.errors import FetchError, OptionError, TrustError
from strongroom.models.source import Checksum, Reference, Remote, source_of
from strongroom.models.trust import Progress, checksums
from strongroom.options import shown
from strongroom.quantities import bytes_of
from strongroom.settings import Settings
from strongroom.trust.decision import decide_early
from strongroom.trust.evidence import Claim, Evidence, Https, HuggingFace
from strongroom.trust.policy import ModelVerification

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

    The policy is asked before any host is: for the source, and for the checksum, which may be revoked. The
    hosts that it names may be asked, and its bound on a file's size is one on the download.
    """
    whole, of_parts = checksums(checksum)
    if of_parts:
        raise OptionError("option.wrong_type", "checksum must be one string: parts can't be fetched together")
    policy = settings.security.model_verification
    asked_for = () if whole is None else (whole.lower(),)
    unread = Evidence(digests=asked_for, size=0, architecture=None, source=origin_of(source))
    decide_early(policy, unread, Claim(name=""))
    sources = settings.sources.core(
        [f"https://{place.host}" for place in policy.sources if place.host is not None],
        [place.organisation for place in policy.sources if place.organisation is not None],
        max_size=policy.max_size,
    )
    try:
        return _core.fetch(
            source.url,
            sources=sources,
            cache=required("cache", default_cache() if cache is None else cache),
            checksum=whole,
            danger_unverified=settings.security.verification == "danger-none",
            recheck=recheck,
            progress=progress,
        )
    except FetchError as error:
        if error.code == "fetch.too_large" and bounded_by(policy, settings):
            raise TrustError("trust.too_large", error.message) from None
        raise


def bounded_by(policy: ModelVerification, settings: Settings) -> bool:
    """Whether it is the policy that says how large a file may be."""
    if policy.max_size is None:
        return False
    return bytes_of("max_size", policy.max_size) < bytes_of("max_size", settings.sources.max_size)


def origin_of(source: Remote) -> Https | HuggingFace:
    """Return where a source is, as the policy names it."""
    owner = _core.owner_of(source.url)
    if owner is None:  # it was found to be none when it was made
        raise OptionError("option.out_of_range", f"{source!r} is on this machine already")
    kind, name = owner
    return Https(name) if kind == "https" else HuggingFace(name)
