"""From a source on a host to a file in the cache."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from strongroom import _core
from strongroom.arguments import required
from strongroom.errors import ChecksumError, FetchError, OptionError, TrustError
from strongroom.models.evidence import Evidence
from strongroom.models.listed import SignedManifest
from strongroom.models.parts import sources_of
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given, Proofs
from strongroom.models.source import Checksum, Reference, Remote, source_of
from strongroom.options import shown
from strongroom.quantities import bytes_of
from strongroom.settings import Settings
from strongroom.trust.decision import decide_early
from strongroom.trust.evidence import Claim, Found, Https, HuggingFace
from strongroom.trust.policy import ModelVerification

__all__ = ["Download", "Fetched", "fetch", "origin_of"]


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


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model in the cache."""

    source: str
    """Where it is from, without a query."""
    path: str
    """Of one in parts, the first part's."""
    digest: str
    """`sha256:` and 64 hexadecimal digits; of one in parts, of the parts' digests."""
    size: int
    """Bytes, of all parts."""
    verified: bool
    """Whether something was given that proves it, and held."""
    cached: bool
    """Whether all of it was there already, or another process fetched it meanwhile."""
    evidence: Evidence | None
    """Who signed it, where a signature was given."""
    parts: tuple[str, ...] = ()
    """Where the files of its parts are, of one in parts."""


def fetch(
    reference: Reference,
    *,
    checksum: Checksum | None = None,
    signature: Reference | None = None,
    public_key: Reference | None = None,
    hash: str | None = None,
    manifest: SignedManifest | None = None,
    settings: Settings | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch `https://…` or `hf://…` into a cache, or find it there; which hosts are asked, the settings say.

    The file has its name only when it is whole and everything that was given holds: the digest `checksum`;
    `signature`, with `public_key` and `hash` as in `verify_signature`; the signed list `manifest`. A
    signature and a manifest are files, or on a host too; a key is a file. `progress(done, total)` is
    called with bytes, `total` being 0 where it isn't known; what it raises ends the download, which goes on
    from there the next time.

    Raises FetchError, ChecksumError, SignatureError, SigningKeyError, ManifestError, CertificateError,
    TrustError (where nothing is given), SourceError, OptionError.
    """
    given: object = settings
    if given is not None and not isinstance(given, Settings):
        raise OptionError("option.wrong_type", f"settings must be a Settings, not {shown(given)}")
    source = source_of(reference)
    if not isinstance(source, Remote):
        raise OptionError("option.out_of_range", f"{shown(source)} is on this machine already")
    proofs = Given(
        checksum=checksum, signature=signature, public_key=public_key, hash=hash, manifest=manifest
    )
    download = Download.of(source, proofs, Settings() if settings is None else settings)
    return download.fetch(cache=cache, recheck=True, progress=progress)


@dataclass(frozen=True, slots=True)
class Download:
    """A source on a host, and what proves it: ready, before the first byte is asked for."""

    source: Remote
    parts: dict[str, Remote]
    """By their files' names, of a model in parts."""
    proofs: Proofs
    settings: Settings

    @classmethod
    def of(cls, source: Remote, given: Given, settings: Settings) -> Self:
        """Ask the policy, and then read what proves the source.

        The policy is asked before any host is: for the source, and for the checksum, which may be revoked.

        Raises TrustError, and what `Given.of_sources` does.
        """
        policy = settings.security.model_verification
        digests = tuple(digest.lower() for digest in given.digests)
        unread = Found(digests=digests, size=0, architecture=None, source=origin_of(source))
        decide_early(policy, unread, Claim(name=""))
        parts = sources_of(source)
        if parts and (given.signature is not None or given.public_key is not None):
            raise OptionError(
                "option.out_of_range",
                "signature and public_key can't be given for parts on a host: a manifest is signed over all",
            )
        proofs = given.of_sources(list(parts.values()) or [source], hosts_of(settings))
        if parts and proofs.checksum is not None:
            raise OptionError(
                "option.wrong_type", "checksum must be a list with one per part: each is proved as it arrives"
            )
        if len(proofs.part_checksums) not in {0, len(parts)}:
            raise ChecksumError(
                "checksum.parts",
                f"{len(proofs.part_checksums)} checksums were given for "
                + (f"the {len(parts)} parts of {source!r}" if parts else f"{source!r}, which is one file"),
                "give one checksum per part, in their order",
            )
        return cls(source, parts, proofs, settings)

    def fetch(
        self,
        *,
        cache: str | os.PathLike[str] | None = None,
        recheck: bool,
        progress: Progress | None,
    ) -> Fetched:
        """Fetch it; without `recheck` a file that is there already is left to its loading to be hashed."""
        directory = required("cache", default_cache() if cache is None else cache)
        if self.parts:
            return self.all_parts(directory, recheck=recheck, progress=progress)
        checksum, names = self.proofs.checksum, self.proofs.names
        return self.one(
            self.source,
            checksum=checksum,
            name=names[0] if names else None,
            cache=directory,
            recheck=recheck,
            progress=progress,
        )

    def all_parts(self, cache: str, *, recheck: bool, progress: Progress | None) -> Fetched:
        """Fetch one part after the other: each appears when it is proved, and is found the next time."""
        proofs = self.proofs
        found: list[Fetched] = []
        for place, source in enumerate(self.parts.values()):
            part = self.one(
                source,
                checksum=proofs.part_checksums[place] if proofs.part_checksums else None,
                name=proofs.names[place] if proofs.names else None,
                cache=cache,
                before=(before := sum(part.size for part in found)),
                recheck=recheck,
                progress=behind(progress, before, last=place + 1 == len(self.parts)),
            )
            found.append(part)
        files = [(name, part.digest) for name, part in zip(self.parts, found, strict=True)]
        first = _core.assemble(files, cache=cache)
        digests = b"".join(bytes.fromhex(part.digest.partition(":")[2]) for part in found)
        return Fetched(
            source=found[0].source,
            path=first,
            digest=f"sha256:{sha256(digests).hexdigest()}",
            size=sum(part.size for part in found),
            verified=all(part.verified for part in found),
            cached=all(part.cached for part in found),
            evidence=None,
            parts=tuple(str(Path(first).with_name(name)) for name in self.parts),
        )

    def one(
        self,
        source: Remote,
        *,
        checksum: str | None,
        name: str | None,
        cache: str,
        before: int = 0,
        recheck: bool,
        progress: Progress | None,
    ) -> Fetched:
        """Fetch one file, behind `before` bytes of the model's other parts."""
        settings, proofs = self.settings, self.proofs
        policy = settings.security.model_verification
        try:
            found = _core.fetch(
                source.url,
                sources=hosts_of(settings, before),
                cache=cache,
                checksum=checksum,
                signature=proofs.signature,
                public_key=proofs.public_key,
                hash=proofs.hash,
                manifest=proofs.manifest,
                manifest_name=name,
                danger_unverified=settings.security.verification == "danger-none",
                recheck=recheck,
                progress=progress,
            )
        except FetchError as error:
            if error.code == "fetch.too_large" and bounded_by(policy, settings, before):
                raise TrustError("trust.too_large", error.message) from None
            raise
        return Fetched(
            source=found.source,
            path=found.path,
            digest=found.digest,
            size=found.size,
            verified=found.verified,
            cached=found.cached,
            evidence=None if found.evidence is None else Evidence.of(found.evidence),
        )


def behind(progress: Progress | None, before: int, *, last: bool) -> Progress | None:
    """Return the progress of a part, in that of all; how many bytes all have is known at the last one."""
    if progress is None:
        return None

    def told(done: int, total: int) -> None:
        progress(before + done, before + total if last and total else 0)

    return told


def hosts_of(settings: Settings, before: int = 0) -> _core.Sources:
    """Return the hosts that may be asked, those that the policy names too; its bound on a size is theirs.

    `before` is how many bytes of the model came already, in its other parts.
    """
    policy = settings.security.model_verification
    return settings.sources.core(
        [f"https://{place.host}" for place in policy.sources if place.host is not None],
        [place.organisation for place in policy.sources if place.organisation is not None],
        max_size=left(policy, before),
    )


def left(policy: ModelVerification, before: int) -> int | None:
    """Return how many bytes of a model the policy still allows."""
    return None if policy.max_size is None else max(0, bytes_of("max_size", policy.max_size) - before)


def bounded_by(policy: ModelVerification, settings: Settings, before: int) -> bool:
    """Whether it is the policy that says how large a file may be."""
    allowed = left(policy, before)
    return allowed is not None and allowed < bytes_of("max_size", settings.sources.max_size)


def origin_of(source: Remote) -> Https | HuggingFace:
    """Return where a source is, as the policy names it."""
    owner = _core.owner_of(source.url)
    if owner is None:  # it was found to be none when it was made
        raise OptionError("option.out_of_range", f"{source!r} is on this machine already")
    kind, name = owner
    return Https(name) if kind == "https" else HuggingFace(name)
