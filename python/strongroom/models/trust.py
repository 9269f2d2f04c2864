"""What proves that a file is the one that was meant: from a path to an image that the policy allows."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from strongroom import _core
from strongroom.arguments import file_of, word
from strongroom.errors import OptionError, SettingsError, TrustError
from strongroom.models.listed import SignedManifest
from strongroom.models.parts import parts_of
from strongroom.models.source import Checksum, Reference
from strongroom.options import shown
from strongroom.settings import Security
from strongroom.trust import lock
from strongroom.trust.decision import Decision, Refusal, Step, assess, decide, decide_early
from strongroom.trust.evidence import Claim, Evidence, File, Proof, Signature, Source, Vouched
from strongroom.trust.policy import ModelVerification
from strongroom.trust.words import version_of

__all__ = ["Admitted", "Progress", "admit", "checksums", "examine"]

logger = logging.getLogger("strongroom.models")

MISMATCH = "get the file again from its publisher, and compare the publisher's checksum"

Progress = Callable[[int, int], None]
"""Called with the bytes done and in total; what it raises ends the loading."""


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
    origin: Source | None = None,
    algorithms: Sequence[str] = (),
) -> Admitted:
    """Read a file into a sealed image, if the policy, its proofs and the record of models allow it.

    What is decided on is what was read: its digests, its size and its real path are of the descriptor
    that the image was filled from. A file in the wrong place, or too large, is also refused before any
    byte is read, by its path as it is then. `origin` is where a file in the cache was fetched from;
    `algorithms` are of digests that the caller wants besides.

    Raises SourceError, ChecksumError, SignatureError, SigningKeyError, TrustError, PreflightError.
    """
    whole, of_parts = checksums(checksum)
    policy = security.model_verification
    danger = security.verification == "danger-none"
    claim = Claim(name=name, version=checked_version(version), danger=danger)
    parts = parts_of(path)
    signed, names = listed(manifest, parts or [path])
    for part in parts or (path,):
        refuse_early(policy, claim, part, origin)
    try:
        image = _core.Image.load(
            path,
            checksum=whole,
            part_checksums=of_parts,
            parts=parts,
            manifest=signed,
            manifest_names=names,
            signature=file_of("signature", signature),
            public_key=file_of("public_key", public_key),
            hash=word("hash", hash),
            danger_unverified=danger,
            allow_architectures=architectures(allow_architectures),
            size_limit=security.sandboxing.address_space,
            progress=progress,
            pins=policy.pins(name),
            algorithms=sorted({*policy.algorithms, *algorithms}),
        )
    except TrustError as error:
        if error.code == "trust.no_proof" and policy.call_proof == "reserved":
            raise TrustError("trust.reserved", error.message) from None
        raise
    expected = None if checksum is None else image.digest
    decision = decide(policy, evidence_of(image, expected, origin), claim)
    if policy.lock != "off":
        decision = recorded(policy.lock, decision)
    if not image.verified:
        logger.warning(
            '%r was loaded with verification="danger-none": nothing proves it is %s', path, image.digest
        )
    return Admitted(image, decision)


def examine(
    path: str,
    *,
    name: str,
    version: str | None,
    checksum: Checksum | None,
    signature: Reference | None = None,
    public_key: Reference | None = None,
    hash: str | None = None,
    manifest: SignedManifest | None = None,
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
    expected, of_parts = checksums(checksum)
    parts = parts_of(path)
    signed, names = listed(manifest, parts or [path])
    algorithms = set(policy.algorithms) | {"sha256"}
    if expected is not None:
        algorithms.add(expected.partition(":")[0])
    image = _core.Image.load(
        path,
        checksum=None,
        parts=parts,
        part_checksums=of_parts,
        manifest=signed,
        manifest_names=names,
        signature=file_of("signature", signature),
        public_key=file_of("public_key", public_key),
        hash=word("hash", hash),
        danger_unverified=True,  # nothing is run of it
        allow_architectures=architectures(allow_architectures),
        size_limit=security.sandboxing.address_space,
        progress=progress,
        # Read for its form alone.
        pins=() if expected is None else (expected,),
        algorithms=sorted(algorithms),
    )
    wanted = image.digest if of_parts else None if expected is None else expected.lower()
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


def listed(manifest: object, paths: Sequence[str]) -> tuple[_core.Manifest | None, list[str]]:
    """Verify who signed a manifest, and name the files that are to be loaded as it lists them."""
    if manifest is None:
        return None, []
    if not isinstance(manifest, SignedManifest):
        raise OptionError("option.wrong_type", f"manifest must be a SignedManifest, not {shown(manifest)}")
    verified = manifest.verified()
    return verified, [manifest.name_of(verified, path) for path in paths]


def checksums(value: object) -> tuple[str | None, list[str]]:
    """Return the checksum of the whole, and those of its parts: one of them at most is given."""
    if isinstance(value, str):
        return written(value), []
    if value is None:
        return None, []
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value) or not value:
        raise OptionError(
            "option.wrong_type", f"checksum must be a string, or a list with one per part, not {shown(value)}"
        )
    return None, [written(one) for one in value]


def written(checksum: str) -> str:
    """Return a checksum for the core: what no encoding has can't be a digest, which the core says."""
    return checksum.encode("ascii", "backslashreplace").decode()


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
    found = Evidence(digests=(), size=size, architecture=None, source=origin or File(real))
    decide_early(policy, found, claim)


def evidence_of(image: _core.Image, expected: str | None, origin: Source | None = None) -> Evidence:
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
    return Evidence(
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
