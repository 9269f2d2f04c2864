"""Models that lie encrypted: into the store once they are verified, and out of it by what was found then."""

from collections.abc import Sequence
from dataclasses import replace

from strongroom import _core
from strongroom.errors import ChecksumError, OptionError, StoreError, TrustError
from strongroom.models.fetching import Download, origin_of
from strongroom.models.parts import parts_of
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given, checksums
from strongroom.models.source import Checksum, Reference, Remote, path_of, source_of
from strongroom.models.trust import (
    Admitted,
    admit_files,
    architectures,
    checked_version,
    compared,
    recorded,
    unmatched,
)
from strongroom.settings import Security, Settings
from strongroom.store.index import Entry, checked_name
from strongroom.store.store import Store
from strongroom.trust.decision import Decision, Step, assess, decide
from strongroom.trust.evidence import Claim, Found, Https, HuggingFace

__all__ = ["enter", "examine_stored", "proved_before", "take"]


def take(
    store: Store,
    stored: str,
    *,
    name: str,
    version: str | None,
    checksum: Checksum | None,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
) -> tuple[str, Admitted]:
    """Open a model out of the store, if the policy of today allows what was found when it entered.

    Its bytes are authenticated, not hashed: the digest is bound to every frame. A checksum that is given must
    be one that was found then. Returns also the path of its sealed file.

    Raises StoreError, SealError, ChecksumError, TrustError, PreflightError, SourceError.
    """
    wanted = digest_given(checksum)
    policy = security.model_verification
    opened = store.open(
        stored,
        allow_architectures=architectures(allow_architectures),
        size_limit=security.sandboxing.address_space,
        progress=progress,
    )
    if wanted is not None and wanted not in opened.evidence.digests:
        raise ChecksumError(
            "checksum.mismatch",
            unlike(stored, opened.entry, wanted),
            "name the digest that was meant, or the model that has it",
        )
    claim = claim_of(stored, opened.entry, name, version)
    decision = decide(policy, opened.evidence, claim)
    decision = replace(decision, steps=(entered(store, stored, opened.evidence), *decision.steps))
    if policy.lock != "off":
        decision = recorded(policy.lock, decision)
    return opened.path, Admitted(opened.image, decision)


def examine_stored(
    store: Store,
    stored: str,
    *,
    name: str,
    version: str | None,
    given: Given,
    security: Security,
    progress: Progress | None,
) -> Decision:
    """Say how `take` would decide, rule by rule, and record nothing. Every byte is authenticated, none kept.

    Raises StoreError, SealError, ChecksumError where the checksum is malformed, OptionError, and TrustError
    where the version is another or the record of models is damaged.
    """
    if given.signature or given.public_key or given.hash or given.manifest:
        raise proved_before(stored)
    wanted = digest_given(given.checksum)
    policy = security.model_verification
    entry = store.show(stored).entry
    evidence = store.verify(stored, progress=progress)
    decision = assess(policy, evidence, claim_of(stored, entry, name, version))
    decision = replace(decision, steps=(entered(store, stored, evidence), *decision.steps))
    if wanted is not None and wanted not in evidence.digests:
        decision = unmatched(decision, unlike(stored, entry, wanted))
    return compared(policy.lock, decision)


def proved_before(stored: str) -> OptionError:
    """Build the error for proofs beside a model that has its own."""
    return OptionError(
        "option.out_of_range",
        f"{stored!r} was proved when it entered the store: signature, public_key, hash and manifest have no "
        "place there",
    )


def digest_given(checksum: Checksum | None) -> str | None:
    """Return the digest that a call names."""
    whole, of_parts = checksums(checksum)
    if of_parts:
        raise OptionError("option.out_of_range", "checksum must be one string: in the store models are whole")
    return None if whole is None else _core.digest_of(whole)


def unlike(stored: str, entry: Entry, wanted: str) -> str:
    """Say that a model is another one."""
    return f"{stored!r} in the store is {entry.digest}, not {wanted}"


def claim_of(stored: str, entry: Entry, name: str, version: str | None) -> Claim:
    """Return what a call says of a model, whose version may not be another than that of the store.

    Raises TrustError.
    """
    claim = Claim(name=name, version=checked_version(version) or entry.version)
    if version is not None and entry.version not in {None, version}:
        raise TrustError("trust.version", f"{stored!r} in the store is of version {entry.version}")
    return claim


def entered(store: Store, stored: str, evidence: Found) -> Step:
    """Say that what follows was found before."""
    when = "" if evidence.when is None else f", {evidence.when.isoformat(timespec='seconds')}"
    told = f"{stored!r} of {store.directory}, authentic; what follows was found when it entered{when}"
    return Step("store", told)


def enter(
    store: Store,
    name: str,
    reference: Reference,
    *,
    version: str | None = None,
    given: Given,
    settings: Settings,
    allow_architectures: Sequence[str] = (),
    replacing: bool = False,
    progress: Progress | None = None,
    sealing: Progress | None = None,
) -> Entry:
    """Verify a file, or all parts of a model, as for a load, and seal what was verified into the store.

    What is sealed is the image that was verified: the plain model touches no disk. What is on a host is
    received into that image, and goes to no cache. `sealing` is told of the second half of the work, as
    `progress` is of the first.

    Raises what a load does, StoreError, SealError.
    """
    checked_name(name)
    source = source_of(reference)
    path = repr(source) if isinstance(source, Remote) else path_of(reference)
    if not replacing and name in (known := store.models()):
        raise StoreError("store.exists", f"{name!r} is in the store already, as {known[name].digest}")
    store.open_keys()
    security = settings.security
    parts: Sequence[str]
    origin: Https | HuggingFace | None = None
    received: Sequence[_core.Received] = ()
    if isinstance(source, Remote):
        if not (given.anything or security.model_verification.pins(name)):
            raise unproved(name)
        download = Download.of(source, given, settings)
        parts, proofs, origin = list(download.parts), download.proofs, origin_of(source)
        received = download.receive(size_limit=security.sandboxing.address_space, progress=progress)
    else:
        parts = parts_of(path)
        proofs = given.of_files(parts or [path])
    image, decision = admit_files(
        path,
        parts,
        proofs,
        name=name,
        version=version,
        security=security,
        allow_architectures=allow_architectures,
        progress=progress,
        origin=origin,
        algorithms=("sha256",),
        received=received,
    )
    if not image.verified:
        raise unproved(name)
    return store.add(name, image, decision, replacing=replacing, progress=sealing)


def unproved(name: str) -> TrustError:
    """Build the error for a model that nothing proves."""
    told = f"nothing proves that {name!r} is the model that was meant, and what lies sealed is taken for it"
    return TrustError("trust.no_proof", told, "pass the publisher's checksum, or a signature and its key")
