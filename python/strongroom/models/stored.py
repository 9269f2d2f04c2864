"""Models that lie encrypted: into the store once they are verified, and out of it by what was found then."""

from collections.abc import Sequence
from dataclasses import replace

from strongroom import _core
from strongroom.errors import ChecksumError, OptionError, StoreError, TrustError
from strongroom.models.parts import parts_of
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given, checksums
from strongroom.models.source import Checksum
from strongroom.models.trust import Admitted, admit_files, architectures, checked_version, recorded
from strongroom.settings import Security
from strongroom.store.index import Entry, checked_name
from strongroom.store.store import Store
from strongroom.trust.decision import Step, decide
from strongroom.trust.evidence import Claim

__all__ = ["enter", "take"]


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
    whole, of_parts = checksums(checksum)
    wanted = None if whole is None else _core.digest_of(whole)
    if of_parts:
        raise OptionError("option.out_of_range", "checksum must be one string: in the store models are whole")
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
            f"{stored!r} in the store is {opened.entry.digest}, not {wanted}",
            "name the digest that was meant, or the model that has it",
        )
    claim = Claim(name=name, version=checked_version(version) or opened.entry.version)
    if version is not None and opened.entry.version not in {None, version}:
        raise TrustError("trust.version", f"{stored!r} in the store is of version {opened.entry.version}")
    decision = decide(policy, opened.evidence, claim)
    found = opened.evidence.when
    step = Step(
        "store",
        f"{stored!r} of {store.directory}, authentic; what follows was found when it entered"
        + ("" if found is None else f", {found.isoformat(timespec='seconds')}"),
    )
    decision = replace(decision, steps=(step, *decision.steps))
    if policy.lock != "off":
        decision = recorded(policy.lock, decision)
    return opened.path, Admitted(opened.image, decision)


def enter(
    store: Store,
    name: str,
    path: str,
    *,
    version: str | None = None,
    given: Given,
    security: Security,
    allow_architectures: Sequence[str] = (),
    replacing: bool = False,
    progress: Progress | None = None,
    sealing: Progress | None = None,
) -> Entry:
    """Verify a file, or all parts of a model, as for a load, and seal what was verified into the store.

    What is sealed is the image that was verified: the plain model touches no disk. `sealing` is told of the
    second half of the work, as `progress` is of the first.

    Raises what a load does, StoreError, SealError.
    """
    checked_name(name)
    if not replacing and name in (known := store.models()):
        raise StoreError("store.exists", f"{name!r} is in the store already, as {known[name].digest}")
    store.open_keys()
    parts = parts_of(path)
    image, decision = admit_files(
        path,
        parts,
        given.of_files(parts or [path]),
        name=name,
        version=version,
        security=security,
        allow_architectures=allow_architectures,
        progress=progress,
        algorithms=("sha256",),
    )
    if not image.verified:
        told = (
            f"nothing proves that {name!r} is the model that was meant, and what lies sealed is taken for it"
        )
        raise TrustError("trust.no_proof", told, "pass the publisher's checksum, or a signature and its key")
    return store.add(name, image, decision, replacing=replacing, progress=sealing)
