"""What proves that a file is the one that was meant: from a path to an image that the policy allows."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from strongroom import _core
from strongroom.errors import OptionError, SettingsError, TrustError
from strongroom.models.listed import SignedManifest
from strongroom.models.parts import parts_of
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given, Proofs
from strongroom.models.source import Checksum, Reference
from strongroom.options import shown
from strongroom.settings import Security
from strongroom.trust import lock
from strongroom.trust.decision import Decision, Refusal, Step, assess, decide, decide_early
from strongroom.trust.evidence import Claim, File, Found, Proof, Signature, Source, Vouched
from strongroom.trust.policy import ModelVerification
from strongroom.trust.words import version_of

__all__ = ["Admitted", "admit", "admit_files", "examine"]

logger = logging.getLogger("strongroom.models")

MISMATCH = "get the file again from its publisher, and compare the publisher's checksum"


class Admitted(NamedTuple):
    """A model that may be run."""

    image: _core.Image
    decision: Decision


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
    name: str,
    version: str | None = None,
    checksum: Checksum | None,
    signature: Reference | None = None,
    public_key: Reference | None = None,
    hash: str | None = None,
    manifest: SignedManifest | None = None,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
) -> Admitted:
    """Read a file into a sealed image, if the policy, its proofs and the record of models allow it.

    What is decided on is what was read: its digests, its size and its real path are of the descriptor
    that the image was filled from. A file in the wrong place, or too large, is also refused before any
    byte is read, by its path as it is then.

    Raises SourceError, ChecksumError, SignatureError, SigningKeyError, TrustError, PreflightError.
    """
    given = Given(checksum=checksum, signature=signature, public_key=public_key, hash=hash, manifest=manifest)
    parts = parts_of(path)
    return admit_files(
        path,
        parts,
        given.of_files(parts or [path]),
        name=name,
        version=version,
        security=security,
        allow_architectures=allow_architectures,
        progress=progress,
    )


def admit_files(
    path: str,
    parts: Sequence[str],
    proofs: Proofs,
    *,
    name: str,
    version: str | None,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
    origin: Source | None = None,
    algorithms: Sequence[str] = (),
) -> Admitted:
    """Do so with proofs that are ready.

    `origin` is where a file in the cache was fetched from; `algorithms` are of digests that the caller wants
    besides.
    """
    policy = security.model_verification
    danger = security.verification == "danger-none"
    claim = Claim(name=name, version=checked_version(version), danger=danger)
    for part in parts or (path,):
        refuse_early(policy, claim, part, origin)
    try:
        image = read(
            path,
            parts,
            proofs,
            danger=danger,
            security=security,
            allow_architectures=allow_architectures,
            progress=progress,
            pins=policy.pins(name),
            algorithms=sorted({*policy.algorithms, *algorithms}),
        )
    except TrustError as error:
        if error.code == "trust.no_proof" and policy.call_proof == "reserved":
            raise TrustError("trust.reserved", error.message) from None
        raise
    expected = image.digest if proofs.checksum is not None or proofs.part_checksums else None
    decision = decide(policy, evidence_of(image, expected, origin), claim)
    if policy.lock != "off":
        decision = recorded(policy.lock, decision)
    if not image.verified:
        logger.warning(
            '%r was loaded with verification="danger-none": nothing proves it is %s', path, image.digest
        )
    return Admitted(image, decision)


def read(
    path: str,
    parts: Sequence[str],
    proofs: Proofs,
    *,
    danger: bool,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
    pins: Sequence[str],
    algorithms: Sequence[str],
) -> _core.Image:
    """Read a file, or all parts, into a sealed image that its proofs hold for."""
    return _core.Image.load(
        path,
        checksum=proofs.checksum,
        part_checksums=proofs.part_checksums,
        parts=parts,
        manifest=proofs.manifest,
        manifest_names=proofs.names,
        signature=proofs.signature,
        public_key=proofs.public_key,
        hash=proofs.hash,
        danger_unverified=danger,
        allow_architectures=architectures(allow_architectures),
        size_limit=security.sandboxing.address_space,
        progress=progress,
        pins=pins,
        algorithms=algorithms,
    )


def examine(
    path: str,
    *,
    name: str,
    version: str | None,
    given: Given,
    security: Security,
    allow_architectures: Sequence[str],
    progress: Progress | None,
) -> Decision:
    """Say how `admit` would decide, rule by rule, and record nothing. The image is thrown away.

    Raises SourceError, ChecksumError where the checksum is malformed, SignatureError, SigningKeyError,
    PreflightError, and TrustError where the record of models is damaged.
    """
    policy = security.model_verification
    claim = Claim(name=name, version=checked_version(version), danger=security.verification == "danger-none")
    parts = parts_of(path)
    proofs = given.of_files(parts or [path])
    expected = proofs.checksum
    algorithms = set(policy.algorithms) | {"sha256"}
    if expected is not None:
        algorithms.add(expected.partition(":")[0])
    image = read(
        path,
        parts,
        replace(proofs, checksum=None),
        danger=True,  # nothing is run of it
        security=security,
        allow_architectures=allow_architectures,
        progress=progress,
        # Read for its form alone.
        pins=() if expected is None else (expected,),
        algorithms=sorted(algorithms),
    )
    wanted = image.digest if proofs.part_checksums else None if expected is None else expected.lower()
    matched = wanted in image.digests
    decision = assess(policy, evidence_of(image, wanted if matched else None), claim)
    steps = decision.steps
    if expected is not None and not matched:
        refusal = Refusal("checksum.mismatch", f"the file does not have {expected}", MISMATCH)
        steps = (Step("checksum", "", refusal), *steps)
    if policy.lock != "off":
        now = lock.Record(str(decision.evidence.digest), decision.signer, decision.version)
        before = lock.read(policy.lock).get(name)
        _, different = lock.compare(policy.lock, name, before, now)
        steps = (*steps, Step("record", f"{name!r} is recorded as {before or 'nothing yet'}", different))
    return replace(decision, steps=steps)


def checked_version(version: object) -> str | None:
    """Check the version that the caller says a model has."""
    if version is None:
        return None
    try:
        return version_of("version", version)
    except SettingsError as error:
        raise OptionError("option.out_of_range", error.message) from None


def refuse_early(policy: ModelVerification, claim: Claim, path: str, origin: Source | None) -> None:
    """Refuse a file for its place or its size before it is read; what can't be looked at, the core tells."""
    try:
        real = os.path.realpath(path, strict=True)
        size = os.stat(real).st_size  # noqa: PTH116 - of text that may be no path
    except (OSError, ValueError):
        return
    found = Found(digests=(), size=size, architecture=None, source=origin or File(real))
    decide_early(policy, found, claim)


def evidence_of(image: _core.Image, expected: str | None, origin: Source | None = None) -> Found:
    """Gather what was found about a file; `expected` is the digest that the call named, and that matched."""
    proofs: list[Proof] = [] if expected is None else [Vouched(digest=expected)]
    # Where there are several, one per part, they are all by the one key that was given.
    proofs.extend(
        Signature(kind="signature", key=found.signer, rule=found.how, when=moment(found.signed_at))
        for found in image.evidence[:1]
    )
    if (found := image.listed) is not None:
        proofs.append(
            Signature(
                kind="oms",
                key=found.key,
                identity=found.identity or found.subject,
                issuer=found.issuer,
                root=found.root_certificate,
                trusted_root=found.trusted_root,
                authorities=tuple(found.authorities),
                rule=f"a manifest of {found.serialization} by {found.algorithm}, signed by {found.method}",
                when=moment(found.signed_at),
            )
        )
    return Found(
        digests=tuple(image.digests),
        size=image.size,
        architecture=image.header.architecture,
        source=origin or File(image.real_path),
        proofs=tuple(proofs),
        when=datetime.now(tz=UTC),
        part_digests=tuple(digest for digests in image.part_digests for digest in digests),
    )


def moment(seconds: int | None) -> datetime | None:
    """Return when something was signed; of a time that no calendar has, nothing."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def recorded(path: str, decision: Decision) -> Decision:
    """Hold a model to what was loaded under its name before, and record it."""
    digest = decision.evidence.digest
    assert digest is not None  # noqa: S101 - the policy asks for SHA-256 where there is a record
    now = lock.Record(digest, decision.signer, decision.version)
    step = Step("record", lock.hold(path, decision.claim.name, now))
    return replace(decision, steps=(*decision.steps, step))
