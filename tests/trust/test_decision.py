"""The decision: what each rule of a policy refuses, and how each comes to be met."""

import dataclasses
import itertools
from typing import Any

import pytest

from strongroom import (
    ModelRule,
    ModelVerification,
    Revocation,
    Signer,
    TrustedDigest,
    TrustedSource,
    TrustError,
)
from strongroom.trust.decision import Decision, assess, decide, decide_early
from strongroom.trust.evidence import Claim, File, Found, Https, HuggingFace, Signature, Vouched

D1 = "sha256:" + "1" * 64
D2 = "sha512:" + "2" * 128
K1 = "sha256:" + "a" * 64
K2 = "sha256:" + "b" * 64
ISSUER = "https://accounts.example.com"

GIVEN = Vouched(digest=D1)
SIGNED = Signature(kind="signature", key=K1)
OMS = Signature(kind="oms", identity="release@acme.com", issuer=ISSUER, trusted_root=K2)
ACME = Signer(name="acme", key=K1, models=["acme-*"])
RELEASES = Signer(name="releases", identity="release@acme.com", issuer=ISSUER, trusted_root=K2)


def evidence(*proofs: Vouched | Signature, **facts: Any) -> Found:
    known: dict[str, Any] = {
        "digests": (D1,),
        "size": 1000,
        "architecture": "llama",
        "source": File("/srv/models/acme.gguf"),
    }
    return Found(**known | facts, proofs=proofs)


def decided(
    policy: ModelVerification, found: Found, name: str = "acme-7b", version: str | None = None
) -> Decision:
    return decide(policy, found, Claim(name=name, version=version))


def code(policy: ModelVerification, found: Found, name: str = "acme-7b", version: str | None = None) -> str:
    decision = assess(policy, found, Claim(name=name, version=version))
    with pytest.raises(TrustError) as caught:
        decided(policy, found, name, version)
    assert decision.refusal is not None
    assert caught.value.code == decision.refusal.code
    assert caught.value.next_step
    return caught.value.code


def test_zero_trust_is_the_default() -> None:
    policy = ModelVerification()
    assert code(policy, evidence()) == "trust.no_proof"
    assert decided(policy, evidence(GIVEN)).proof == GIVEN
    assert decided(policy, evidence(SIGNED)).signer == K1
    assert decided(policy, evidence(OMS)).signer == f"release@acme.com ({ISSUER}) under {K2}"


def test_the_refusal_names_the_digest() -> None:
    with pytest.raises(TrustError, match=D1):
        decided(ModelVerification(), evidence())


@pytest.mark.parametrize(
    ("level", "accepted"),
    [("digest", [GIVEN, SIGNED, OMS]), ("signature", [SIGNED, OMS]), ("oms", [OMS])],
)
@pytest.mark.parametrize("where", ["policy", "source", "rule"])
def test_which_proof_meets_which_demand(level: Any, accepted: list[Any], where: str) -> None:
    policy = {
        "policy": ModelVerification(proof=level),
        "source": ModelVerification(trusted_sources=[TrustedSource(root="/srv/models", proof=level)]),
        "rule": ModelVerification(models=[ModelRule(name="acme-*", proof=level)]),
    }[where]
    for proof in (GIVEN, SIGNED, OMS):
        if proof in accepted:
            assert decided(policy, evidence(proof)).proof == proof
        else:
            assert code(policy, evidence(proof)) == "trust.unsigned"
    assert decided(policy, evidence(GIVEN, SIGNED, OMS)).proof == OMS


def test_no_demand_relaxes_another() -> None:
    for levels in itertools.permutations(("digest", "signature", "oms")):
        policy, source, rule = levels
        strict = ModelVerification(
            proof=policy,  # type: ignore[arg-type]
            trusted_sources=[TrustedSource(root="/srv", proof=source)],  # type: ignore[arg-type]
            models=[ModelRule(name="*", proof=rule)],  # type: ignore[arg-type]
        )
        assert code(strict, evidence(GIVEN, SIGNED)) == "trust.unsigned"
        assert decided(strict, evidence(OMS)).proof == OMS


def test_what_the_call_gives_may_be_reserved_to_the_operator() -> None:
    policy = ModelVerification(
        call_proof="reserved", digests=[TrustedDigest(digest=D1, name="acme-7b")], signers=[ACME]
    )
    assert decided(policy, evidence()).proof == Vouched(digest=D1, by="operator")
    assert decided(policy, evidence(GIVEN)).proof == Vouched(digest=D1, by="operator")
    assert code(policy, evidence(GIVEN), name="acme-8b") == "trust.reserved"
    assert decided(policy, evidence(SIGNED), name="acme-8b").proof == SIGNED
    stranger = Signature(kind="signature", key=K2)
    assert code(policy, evidence(stranger), name="acme-8b") == "trust.reserved"
    assert decided(ModelVerification(), evidence(stranger)).proof == stranger


def test_a_signer_signs_only_the_names_that_it_may() -> None:
    policy = ModelVerification(signers=[ACME])
    assert decided(policy, evidence(SIGNED)).proof == SIGNED
    for name in ("smol", "Acme-7b", "xacme-7b"):
        assert code(policy, evidence(SIGNED), name=name) == "trust.no_proof"
    with pytest.raises(TrustError, match="'acme' may not sign 'smol'"):
        decided(policy, evidence(SIGNED), name="smol")


def test_two_entries_of_one_key_add_up() -> None:
    policy = ModelVerification(signers=[ACME, Signer(name="smol", key=K1, models=["smol"])])
    assert decided(policy, evidence(SIGNED), name="smol").proof == SIGNED
    assert decided(policy, evidence(SIGNED)).proof == SIGNED


@pytest.mark.parametrize(
    ("signer", "proof", "same"),
    [
        (Signer(name="s", key=K1), Signature(kind="signature", key=K1), True),
        (Signer(name="s", key=K1), Signature(kind="oms", key=K1), True),
        (Signer(name="s", key=K1), Signature(kind="signature", key=K2), False),
        (Signer(name="s", key=K1), Signature(kind="oms", root=K1), False),
        (RELEASES, OMS, True),
        (
            RELEASES,
            Signature(kind="oms", identity="release@acme.com", issuer=f"{ISSUER}/", trusted_root=K2),
            False,
        ),
        (RELEASES, Signature(kind="oms", identity="Release@acme.com", issuer=ISSUER, trusted_root=K2), False),
        (RELEASES, Signature(kind="oms", identity="release@acme.com"), False),
        (RELEASES, Signature(kind="oms", issuer=ISSUER, trusted_root=K2), False),
        (RELEASES, dataclasses.replace(OMS, trusted_root=K1), False),
        (RELEASES, dataclasses.replace(OMS, trusted_root=None), False),
        (Signer(name="s", root=K1), Signature(kind="oms", root=K1, identity="anybody"), True),
        (Signer(name="s", root=K1), Signature(kind="oms", root=K2), False),
        (Signer(name="s", root=K1, identity="a"), Signature(kind="oms", root=K1, identity="b"), False),
    ],
)
def test_who_a_signer_is(signer: Signer, proof: Signature, *, same: bool) -> None:
    policy = ModelVerification(
        signers=[signer],
        trusted_sources=[TrustedSource(root="/srv", proof="signature", signers=[signer.name])],
    )
    if same:
        assert decided(policy, evidence(proof)).proof == proof
    else:
        assert code(policy, evidence(proof)) == "trust.unsigned"


def test_named_signers_alone_count_where_they_are_named() -> None:
    sources = [TrustedSource(root="/srv", proof="signature", signers=["releases"])]
    policy = ModelVerification(signers=[ACME, RELEASES], trusted_sources=sources)
    assert code(policy, evidence(SIGNED)) == "trust.unsigned"
    assert decided(policy, evidence(SIGNED, OMS)).proof == OMS


@pytest.mark.parametrize(
    ("sources", "found", "trusted"),
    [
        (["/srv/models"], File("/srv/models/a.gguf"), True),
        (["/srv/models"], File("/srv/models/deep/a.gguf"), True),
        (["/"], File("/a.gguf"), True),
        (["/srv/models"], File("/srv/models"), False),
        (["/srv/models"], File("/srv/models2/a.gguf"), False),
        (["/srv/models"], File("/srv/Models/a.gguf"), False),
        (["/srv/models"], File("/srv/a.gguf"), False),
        (["/srv/models"], File(None), False),
        (["https://example.com"], File("/a.gguf"), False),
        (["https://example.com"], Https("example.com"), True),
        (["https://example.com"], Https("example.com:8443"), False),
        (["https://example.com:8443"], Https("example.com:8443"), True),
        (["https://example.com"], Https("sub.example.com"), False),
        (["https://example.com"], Https("example.com.evil.com"), False),
        (["https://example.com"], Https("notexample.com"), False),
        (["/"], Https("example.com"), False),
        (["hf://acme"], HuggingFace("acme"), True),
        (["hf://acme"], HuggingFace("Acme"), False),
        (["hf://acme"], HuggingFace("acme2"), False),
        (["https://huggingface.co"], HuggingFace("acme"), False),
    ],
)
def test_sources(sources: list[str], found: Any, *, trusted: bool) -> None:
    policy = ModelVerification(trusted_sources=sources)
    if trusted:
        decided(policy, evidence(GIVEN, source=found))
    else:
        assert code(policy, evidence(GIVEN, source=found)) == "trust.source"


def test_of_nested_roots_every_one_s_demand_is_met() -> None:
    policy = ModelVerification(trusted_sources=["/srv", TrustedSource(root="/srv/models", proof="signature")])
    assert code(policy, evidence(GIVEN)) == "trust.unsigned"
    assert decided(policy, evidence(GIVEN, source=File("/srv/a.gguf"))).proof == GIVEN
    inside = File("/srv/models/new/m.gguf")
    for inner in ("/srv/models/new", TrustedSource(root="/srv/models/new", proof="signature")):
        policy = ModelVerification(trusted_sources=[TrustedSource(root="/srv/models", proof="oms"), inner])
        assert code(policy, evidence(GIVEN, SIGNED, source=inside)) == "trust.unsigned"
        assert decided(policy, evidence(GIVEN, OMS, source=inside)).proof == OMS
    outer = TrustedSource(root="/srv", proof="signature", signers=["releases"])
    inner = TrustedSource(root="/srv/models", proof="signature", signers=["acme"])
    policy = ModelVerification(signers=[ACME, RELEASES], trusted_sources=[outer, inner])
    for alone in (SIGNED, OMS):
        assert code(policy, evidence(alone)) == "trust.unsigned"
    decided(policy, evidence(SIGNED, OMS))


def test_sizes() -> None:
    policy = ModelVerification(max_size=1000)
    decided(policy, evidence(GIVEN, size=1000))
    assert code(policy, evidence(GIVEN, size=1001)) == "trust.too_large"
    policy = ModelVerification(max_size=1000, models=[ModelRule(name="acme-*", max_size=10)])
    assert code(policy, evidence(GIVEN, size=11)) == "trust.too_large"
    decided(policy, evidence(GIVEN, size=11), name="smol")


def test_architectures() -> None:
    policy = ModelVerification(architectures=["qwen2", "llama"])
    decided(policy, evidence(GIVEN))
    assert code(policy, evidence(GIVEN, architecture="Llama")) == "trust.architecture"
    assert code(policy, evidence(GIVEN, architecture=None)) == "trust.architecture"
    policy = ModelVerification(models=[ModelRule(name="acme-*", architectures=["phi3"])])
    assert code(policy, evidence(GIVEN)) == "trust.architecture"
    decided(policy, evidence(GIVEN), name="smol")


def test_versions() -> None:
    policy = ModelVerification(models=[ModelRule(name="acme-*", minimum_version="2.0")])
    assert decided(policy, evidence(GIVEN), version="2").version == "2"
    decided(policy, evidence(GIVEN), version="2.0.1")
    assert code(policy, evidence(GIVEN), version="1.9.9") == "trust.version"
    assert code(policy, evidence(GIVEN)) == "trust.version"
    decided(policy, evidence(GIVEN), name="smol")


def test_the_policy_knows_the_version_of_a_digest() -> None:
    rule = ModelRule(name="acme-*", minimum_version="2.0")
    policy = ModelVerification(models=[rule], digests=[TrustedDigest(digest=D1, version="2.1")])
    assert decided(policy, evidence()).version == "2.1"
    assert decided(policy, evidence(), version="v2.1.0").version == "v2.1.0"
    assert code(policy, evidence(), version="2.2") == "trust.version"
    old = ModelVerification(models=[rule], digests=[TrustedDigest(digest=D1, version="1.0")])
    assert code(old, evidence()) == "trust.version"


def test_revoked_digests_in_whatever_algorithm() -> None:
    for digest in (D1, D2):
        policy = ModelVerification(revoked=[Revocation(digest=digest, reason="poisoned")])
        assert code(policy, evidence(GIVEN, OMS, digests=(D1, D2))) == "trust.revoked"
        with pytest.raises(TrustError, match=f"{digest} is revoked: poisoned"):
            decided(policy, evidence(GIVEN, digests=(D1, D2)))
        other = ("sha256:" + "3" * 64, "sha512:" + "3" * 128)
        decided(policy, evidence(GIVEN, digests=other))


def test_a_part_that_is_revoked() -> None:
    part = "sha256:" + "5" * 64
    policy = ModelVerification(revoked=[Revocation(digest=part, reason="poisoned")])
    assert code(policy, evidence(GIVEN, OMS, part_digests=("sha256:" + "4" * 64, part))) == "trust.revoked"
    decided(policy, evidence(GIVEN, part_digests=("sha256:" + "4" * 64,)))


def test_signatures_of_parts_need_a_policy_that_knows_the_whole_where_proof_is_reserved() -> None:
    parts = {"part_digests": ("sha256:" + "4" * 64,)}
    reserved = ModelVerification(call_proof="reserved", proof="signature", signers=[ACME])
    assert decided(reserved, evidence(GIVEN, SIGNED)).proof == SIGNED
    assert code(reserved, evidence(GIVEN, SIGNED, **parts)) == "trust.reserved"
    with pytest.raises(TrustError, match="each is of one part"):
        decided(reserved, evidence(GIVEN, SIGNED, **parts))
    pinned = dataclasses.replace(reserved, digests=[TrustedDigest(digest=D1)])
    assert decided(pinned, evidence(GIVEN, SIGNED, **parts)).proof == SIGNED
    manifest = dataclasses.replace(reserved, signers=[RELEASES])
    assert decided(manifest, evidence(OMS, **parts)).proof == OMS


def test_a_digest_that_was_not_computed_cannot_be_passed_over() -> None:
    policy = ModelVerification(revoked=[Revocation(digest=D2, reason="x")])
    assert code(policy, evidence(GIVEN)) == "trust.revoked"


@pytest.mark.parametrize(
    "proof",
    [
        SIGNED,
        Signature(kind="oms", key=K1),
        Signature(kind="oms", root=K1),
        Signature(kind="oms", trusted_root=K1),
        Signature(kind="oms", root=K2, authorities=(K2, K1)),
    ],
)
def test_a_revoked_key_refuses_whatever_else_there_is(proof: Signature) -> None:
    policy = ModelVerification(revoked=[Revocation(key=K1, reason="lost")], signers=[ACME])
    assert code(policy, evidence(proof)) == "trust.revoked"
    assert code(policy, evidence(GIVEN, OMS, proof)) == "trust.revoked"
    decided(policy, evidence(GIVEN, OMS))


def test_the_named_danger_waives_proof_alone() -> None:
    danger = Claim(name="acme-7b", danger=True)
    decision = decide(ModelVerification(), evidence(), danger)
    assert decision.proof is None
    assert any("waived" in line for line in decision.why)
    for policy, refusal in (
        (ModelVerification(revoked=[Revocation(digest=D1, reason="x")]), "trust.revoked"),
        (ModelVerification(trusted_sources=["/other"]), "trust.source"),
        (ModelVerification(max_size=1), "trust.too_large"),
        (ModelVerification(architectures=["phi3"]), "trust.architecture"),
        (ModelVerification(models=[ModelRule(name="*", minimum_version="1")]), "trust.version"),
    ):
        with pytest.raises(TrustError) as caught:
            decide(policy, evidence(), danger)
        assert caught.value.code == refusal


def test_the_steps_say_everything_in_order() -> None:
    policy = ModelVerification(
        trusted_sources=["/other"],
        max_size=1,
        architectures=["phi3"],
        models=[ModelRule(name="*", minimum_version="1")],
        revoked=[Revocation(digest=D1, reason="poisoned")],
    )
    decision = assess(policy, evidence(), Claim(name="a"))
    rules = [step.rule for step in decision.steps if step.refusal is not None]
    assert list(dict.fromkeys(rules)) == ["revocation", "source", "size", "architecture", "version", "proof"]
    assert decision.refusal is not None
    assert decision.refusal.code == "trust.revoked"
    passed = decided(ModelVerification(signers=[ACME]), evidence(GIVEN, SIGNED))
    assert any("counts, as of acme" in line for line in passed.why)
    assert passed.why[-1].endswith(f"met by {GIVEN}")


def test_steps_are_shown_and_not_obeyed() -> None:
    found = evidence(GIVEN, source=File("/srv/\x1b[31m\n.gguf"))
    for line in decided(ModelVerification(trusted_sources=["/srv"]), found, name="a\u202eb").why:
        assert "\x1b" not in line
        assert "\n" not in line


def test_what_can_be_decided_before_reading_is() -> None:
    claim = Claim(name="acme-7b")
    decide_early(ModelVerification(proof="oms", architectures=["x"]), evidence(), claim)
    with pytest.raises(TrustError):
        decide_early(ModelVerification(max_size=1), evidence(), claim)
    with pytest.raises(TrustError):
        decide_early(ModelVerification(trusted_sources=["/other"]), evidence(), claim)
    with pytest.raises(TrustError, match="is revoked: gone"):
        decide_early(ModelVerification(revoked=[Revocation(digest=D1, reason="gone")]), evidence(), claim)


def test_the_decision_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    policy = ModelVerification(trusted_sources=["/srv"], signers=[ACME], lock="/nonexistent/lock")
    found = evidence(GIVEN, SIGNED)
    monkeypatch.setattr("builtins.open", refused)
    monkeypatch.setattr("os.stat", refused)
    monkeypatch.setattr("os.open", refused)
    assert decided(policy, found) == decided(policy, found)
