"""The decision: from policy, evidence and claim, by rules that are applied one by one. It reads nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from strongroom.errors import TrustError
from strongroom.quantities import bytes_of
from strongroom.text import printable
from strongroom.trust.evidence import Claim, File, Found, Https, HuggingFace, Proof, Signature, Vouched
from strongroom.trust.policy import (
    LEVELS,
    Level,
    ModelRule,
    ModelVerification,
    Revocation,
    Signer,
    TrustedSource,
)
from strongroom.trust.words import matches, version_key

__all__ = ["Decision", "Refusal", "Step", "assess", "decide", "decide_early"]


class Refusal(NamedTuple):
    """Why a rule refuses."""

    code: str
    message: str
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was applied."""

    rule: str
    """store, revocation, source, size, architecture, version, proof or record."""
    detail: str
    """What was found."""
    refusal: Refusal | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        found = self.detail if self.refusal is None else self.refusal.message
        return f"{self.rule}: {printable(found, keep='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What came out, and by which rules."""

    claim: Claim
    evidence: Found
    steps: tuple[Step, ...]
    """Every rule, in the order in which they were applied."""
    proof: Proof | None = None
    """The strongest that counted; None where nothing had to, or nothing did."""
    version: str | None = None
    """Of the model: the claim's, or that of the policy's digest."""

    @property
    def refusal(self) -> Refusal | None:
        """The first rule's that refuses."""
        return next((step.refusal for step in self.steps if step.refusal is not None), None)

    @property
    def signer(self) -> str | None:
        """Who signed, where a signature counted."""
        return self.proof.signer if isinstance(self.proof, Signature) else None

    @property
    def why(self) -> tuple[str, ...]:
        """The steps, a line each."""
        return tuple(map(str, self.steps))

    def enforce(self) -> None:
        """Raise TrustError where a rule refuses."""
        if self.refusal is not None:
            raise TrustError(*self.refusal)


def decide(policy: ModelVerification, evidence: Found, claim: Claim) -> Decision:
    """Return how a model came to be trusted.

    Raises TrustError, with the first rule that refuses it.
    """
    decision = assess(policy, evidence, claim)
    decision.enforce()
    return decision


def decide_early(policy: ModelVerification, evidence: Found, claim: Claim) -> None:
    """Apply what can be applied before the bytes are read: where they are, how many, and what was asked for.

    Raises TrustError. It spares reading; what counts is `decide`, of what was read.
    """
    _, source = placed(policy, evidence)
    gone = [revoked(entry) for entry in policy.revoked if entry.digest in evidence.digests]
    for step in (*gone, source, *sizes(policy, evidence, claim)):
        if step.refusal is not None:
            raise TrustError(*step.refusal)


def assess(policy: ModelVerification, evidence: Found, claim: Claim) -> Decision:
    """Apply every rule, also those after one that refuses."""
    version, versions = versioned(policy, evidence, claim)
    places, source = placed(policy, evidence)
    proof, proofs = proved(policy, evidence, claim, places)
    steps = (
        *revocations(policy, evidence),
        source,
        *sizes(policy, evidence, claim),
        *architectures(policy, evidence, claim),
        *versions,
        *proofs,
    )
    return Decision(claim=claim, evidence=evidence, steps=steps, proof=proof, version=version)


def revocations(policy: ModelVerification, evidence: Found) -> Iterator[Step]:
    """Refuse what was revoked. A digest that the policy names and nobody computed can't be passed over."""
    computed = {digest.partition(":")[0] for digest in evidence.digests}
    signatures = [proof for proof in evidence.proofs if isinstance(proof, Signature)]
    for entry in policy.revoked:
        what = entry.digest or entry.key
        if entry.digest is not None and entry.digest.partition(":")[0] not in computed:
            message = f"whether {what} is revoked can't be told: that digest was not computed"
            yield Step("revocation", "", Refusal("trust.revoked", message))
        hit = entry.digest in evidence.digests or (
            entry.key is not None and any(entry.key in proof.vouching for proof in signatures)
        )
        if hit or entry.digest in evidence.part_digests:
            yield revoked(entry)
    yield Step("revocation", f"{len(policy.revoked)} entries looked through")


def revoked(entry: Revocation) -> Step:
    """Refuse what an entry revokes."""
    what = entry.digest or entry.key
    return Step("revocation", "", Refusal("trust.revoked", f"{what} is revoked: {entry.reason}"))


def placed(policy: ModelVerification, evidence: Found) -> tuple[list[TrustedSource], Step]:
    """Find the sources that the bytes came from: a root, and every root around it."""
    if not policy.sources:
        return [], Step("source", f"{evidence.source}; no sources are named, so every one will do")
    found = [source for source in policy.sources if covers(source, evidence)]
    if not found:
        return [], Step(
            "source", "", Refusal("trust.source", f"{evidence.source} is none of the trusted sources")
        )
    return found, Step("source", f"{evidence.source} is of {' and of '.join(map(str, found))}")


def covers(source: TrustedSource, evidence: Found) -> bool:
    """Whether a source is the one that the bytes came from."""
    match evidence.source:
        case File(path):
            root = source.root
            return root is not None and path is not None and path.startswith(f"{root.rstrip('/')}/")
        case Https(host):
            return source.host == host
        case HuggingFace(organisation):
            return source.organisation == organisation


def sizes(policy: ModelVerification, evidence: Found, claim: Claim) -> Iterator[Step]:
    """Hold the size to every bound."""
    bounds: list[tuple[str, ModelVerification | ModelRule]] = [("", policy)]
    bounds += [(f", as the rule for {rule.name!r} says", rule) for rule in policy.rules(claim.name)]
    for who, owner in bounds:
        if owner.max_size is None:
            continue
        most = bytes_of("max_size", owner.max_size)
        told = f"{evidence.size:,} bytes of at most {most:,}{who}"
        refusal = Refusal("trust.too_large", f"the file has {told}") if evidence.size > most else None
        yield Step("size", told, refusal)


def architectures(policy: ModelVerification, evidence: Found, claim: Claim) -> Iterator[Step]:
    """Hold the architecture to every list."""
    owners: list[ModelVerification | ModelRule] = [policy, *policy.rules(claim.name)]
    for owner in owners:
        if owner.architectures is None:
            continue
        allowed = ", ".join(owner.architectures)
        told = f"{evidence.architecture or 'unknown'}; allowed: {allowed}"
        fits = evidence.architecture in owner.architectures
        refusal = None if fits else Refusal("trust.architecture", f"the architecture is {told}")
        yield Step("architecture", told, refusal)


def versioned(
    policy: ModelVerification, evidence: Found, claim: Claim
) -> tuple[str | None, tuple[Step, ...]]:
    """Find the version, and hold it to every minimum."""
    pinned = {
        entry.version
        for entry in policy.digests
        if entry.version and entry.digest in evidence.digests and matches(entry.name, claim.name)
    }
    versions = sorted(pinned | ({claim.version} if claim.version else set()), key=version_key)
    version = claim.version or (versions[0] if versions else None)
    steps: list[Step] = []
    if len({version_key(found) for found in versions}) > 1:
        message = f"the call and the policy name different versions: {', '.join(versions)}"
        steps.append(Step("version", "", Refusal("trust.version", message)))
    for rule in policy.rules(claim.name):
        if rule.minimum_version is None:
            continue
        told = f"{version or 'unknown'}; {rule.name!r} needs {rule.minimum_version} or newer"
        enough = version is not None and version_key(version) >= version_key(rule.minimum_version)
        refusal = None if enough else Refusal("trust.version", f"the version is {told}")
        steps.append(Step("version", told, refusal))
    return version, tuple(steps)


class Demand(NamedTuple):
    """A proof that something asks for."""

    who: str
    level: Level
    signers: tuple[str, ...] = ()


def demands(policy: ModelVerification, claim: Claim, places: list[TrustedSource]) -> Iterator[Demand]:
    """Return everything that has to be met."""
    yield Demand("the policy", policy.proof)
    for place in places:
        yield Demand(f"the source {place}", place.proof, tuple(place.signers))
    for rule in policy.rules(claim.name):
        yield Demand(f"the rule for {rule.name!r}", rule.proof, tuple(rule.signers))


def proved(
    policy: ModelVerification, evidence: Found, claim: Claim, places: list[TrustedSource]
) -> tuple[Proof | None, list[Step]]:
    """Hold the proofs to every demand."""
    steps: list[Step] = []
    counted: list[tuple[Proof, set[str]]] = []
    pinned = [digest for digest in policy.pins(claim.name) if digest in evidence.digests]
    for proof in (*evidence.proofs, *(Vouched(digest=digest, by="operator") for digest in pinned)):
        known = [] if isinstance(proof, Vouched) else signers_of(policy, proof)
        signers = {signer.name for signer in known if signer.may_sign(claim.name)}
        reason = discounted(policy, claim, proof, known, signers)
        if reason is None and not pinned and in_pieces(policy, evidence, proof):
            reason = "each is of one part, and the policy has no digest of the whole"
        if reason is not None:
            steps.append(Step("proof", f"{proof} does not count: {reason}"))
        else:
            steps.append(Step("proof", f"{proof} counts{f', as of {min(signers)}' if signers else ''}"))
            counted.append((proof, signers))
    best = max((proof for proof, _ in counted), key=rank, default=None)
    for demand in demands(policy, claim, places):
        met = next((proof for proof, signers in counted if meets(demand, proof, signers)), None)
        if met is not None:
            steps.append(Step("proof", f"{demand.who} asks for {wanted(demand)}: met by {met}"))
        elif claim.danger:
            steps.append(Step("proof", f'{demand.who} asks for {wanted(demand)}: waived by "danger-none"'))
        else:
            steps.append(Step("proof", "", unmet(policy, evidence, demand, steps)))
    return best, steps


def discounted(
    policy: ModelVerification, claim: Claim, proof: Proof, known: list[Signer], signers: set[str]
) -> str | None:
    """Say why a proof doesn't count, where it doesn't."""
    reserved = policy.call_proof == "reserved"
    if isinstance(proof, Vouched):
        return "what is proof is reserved to the policy" if reserved and proof.by == "call" else None
    if not known:
        return "the policy, to which proof is reserved, has no such signer" if reserved else None
    names = " and ".join(repr(signer.name) for signer in known)
    return None if signers else f"{names} may not sign {claim.name!r}"


def in_pieces(policy: ModelVerification, evidence: Found, proof: Proof) -> bool:
    """Whether a signature is of each part by itself, and a call can't say that they are one model."""
    detached = isinstance(proof, Signature) and proof.kind == "signature"
    return detached and bool(evidence.part_digests) and policy.call_proof == "reserved"


def signers_of(policy: ModelVerification, proof: Signature) -> list[Signer]:
    """Find the policy's signers that a signature is of."""
    return [signer for signer in policy.signers if made_by(signer, proof)]


def made_by(signer: Signer, proof: Signature) -> bool:
    """Whether everything that the policy says of a signer is so in a signature."""
    said = {name: getattr(signer, name) for name in ("key", "identity", "issuer", "root", "trusted_root")}
    return all(value is None or value == getattr(proof, name) for name, value in said.items())


def rank(proof: Proof) -> int:
    """Return how much a proof is worth."""
    return LEVELS.index("digest" if isinstance(proof, Vouched) else proof.kind)


def meets(demand: Demand, proof: Proof, signers: set[str]) -> bool:
    """Whether a proof that counts is what is asked for."""
    if demand.signers and signers.isdisjoint(demand.signers):
        return False
    return rank(proof) >= LEVELS.index(demand.level)


def wanted(demand: Demand) -> str:
    """Say what is asked for."""
    kind = {"digest": "a digest or a signature", "signature": "a signature", "oms": "an OMS signature"}
    by = f" by {' or '.join(demand.signers)}" if demand.signers else ""
    return kind[demand.level] + by


def unmet(policy: ModelVerification, evidence: Found, demand: Demand, steps: list[Step]) -> Refusal:
    """Say what is missing, and why what there is doesn't count."""
    found = evidence.digest or next(iter(evidence.digests), "no digest")
    ignored = [step.detail for step in steps if "does not count" in step.detail]
    message = f"{demand.who} asks for {wanted(demand)}, and nothing that counts is one; the file has {found}"
    message += "".join(f"; {detail}" for detail in ignored)
    if policy.call_proof == "reserved":
        return Refusal("trust.reserved", message)
    if demand.level == "digest":
        return Refusal("trust.no_proof", message, "give the publisher's checksum, or a signature and its key")
    return Refusal("trust.unsigned", message)
