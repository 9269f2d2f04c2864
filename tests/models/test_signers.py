"""The trust policy on models that are signed, by the real tools."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ModelVerification,
    Revocation,
    Security,
    Signer,
    StrongroomError,
    TrustedSource,
    load_settings,
    verify_signature,
)
from strongroom.models.trust import Admitted, admit, moment
from strongroom.trust import lock
from strongroom.trust.evidence import Signature
from tests.cli.commands import strongroom
from tests.configuration.files import BARE, written
from tests.conftest import Model
from tests.signers import key_pair, openssl_sign

KINDS = ["p256", "p384", "ed25519"]


@pytest.fixture
def model(tiny: Model, tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "acme-7b.gguf"
    shutil.copyfile(tiny.path, path)
    return path


def signed(kind: str, model: Path) -> tuple[Path, str]:
    """The public key and its id."""
    private, public = key_pair(kind, model.parent)
    openssl_sign(kind, private, model, model.with_name(f"{model.name}.sig"))
    return public, verify_signature(model, public_key=public).signer


def load(model: Path, *, name: str = "acme-7b", checksum: str | None = None, **options: Any) -> Admitted:
    keys = {key: options.pop(key) for key in ("public_key", "signature") if key in options}
    return admit(
        str(model),
        name=name,
        checksum=checksum,
        security=Security(model_verification=ModelVerification(**options)),
        allow_architectures=(),
        progress=None,
        **keys,
    )


def code_of(*arguments: Any, **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        load(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_meets_the_demand_for_one(kind: str, model: Path, tiny: Model) -> None:
    public, key = signed(kind, model)
    assert code_of(model, checksum=tiny.checksum, proof="signature") == "trust.unsigned"
    image, decision = load(model, public_key=public, proof="signature")
    assert image.verified
    assert isinstance(decision.proof, Signature)
    assert (decision.signer, decision.proof.kind) == (key, "signature")
    assert code_of(model, public_key=public, proof="oms") == "trust.unsigned"


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_sign_what(kind: str, model: Path) -> None:
    public, key = signed(kind, model)
    acme = [Signer(name="acme", key=key, models=["acme-*"])]
    assert load(model, public_key=public, signers=acme).decision.signer == key
    assert code_of(model, public_key=public, signers=acme, name="smol") == "trust.no_proof"
    strangers = [Signer(name="acme", key="sha256:" + "0" * 64)]
    reserved: dict[str, Any] = {"call_proof": "reserved"}
    assert code_of(model, public_key=public, signers=strangers, **reserved) == "trust.reserved"
    assert load(model, public_key=public, signers=acme, **reserved).decision.signer == key
    source = TrustedSource(root=str(model.parent), proof="signature", signers=["acme"])
    assert load(model, public_key=public, signers=acme, trusted_sources=[source]).decision.signer == key
    assert code_of(model, public_key=public, signers=strangers, trusted_sources=[source]) == "trust.unsigned"


@pytest.mark.parametrize("kind", KINDS)
def test_a_revoked_key_or_digest_refuses_what_is_signed(kind: str, model: Path, tiny: Model) -> None:
    public, key = signed(kind, model)
    lost = [Revocation(key=key, reason="lost")]
    assert code_of(model, public_key=public, revoked=lost) == "trust.revoked"
    assert code_of(model, public_key=public, checksum=tiny.checksum, revoked=lost) == "trust.revoked"
    poisoned = [Revocation(digest=tiny.checksum, reason="poisoned")]
    assert code_of(model, public_key=public, revoked=poisoned) == "trust.revoked"


@pytest.mark.parametrize("kind", KINDS)
def test_the_signer_is_recorded_and_held_to(kind: str, model: Path, tiny: Model) -> None:
    public, key = signed(kind, model)
    record = str(model.parent / "strongroom.lock")
    load(model, public_key=public, lock=record)
    assert lock.read(record) == {"acme-7b": lock.Record(tiny.checksum, key)}
    load(model, checksum=tiny.checksum, lock=record)
    other = model.parent / "other"
    other.mkdir()
    private, others = key_pair(kind, other)
    openssl_sign(kind, private, model, other / "other.sig")
    options: dict[str, Any] = {"public_key": others, "signature": other / "other.sig"}
    assert code_of(model, lock=record, **options) == "trust.changed"


def test_verify_model_signatures_acts(model: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    public, _ = signed("p256", model)
    monkeypatch.setenv("VERIFY_MODEL_SIGNATURES", "true")
    command = ("run", model, "x", "--max-tokens", "1", "--complete")
    assert "[trust.unsigned]" in strongroom(*command, "--checksum", tiny.checksum).stderr
    assert strongroom(*command, "--public-key", public).returncode == 0


def test_why_explains_a_signature(model: Path, tiny: Model) -> None:
    public, key = signed("p384", model)
    config = written(model.parent, "[trust]\nproof = 'signature'\n")
    added = strongroom(
        "trust", "add", "--signer", "acme", "--key", key, "--models", "acme-*", "--config", config
    )
    assert added.returncode == 0, added.stderr
    assert load_settings(config, environment=BARE).security.model_verification.signers[0].name == "acme"
    why = ("trust", "why", model, "--public-key", public, "--config", config, "--json")
    told = json.loads(strongroom(*why).stdout)
    assert told["trusted"] is True
    assert told["signer"] == key
    assert any("counts, as of acme" in step["detail"] for step in told["steps"])
    told = json.loads(strongroom(*why, "--name", "smol", "--checksum", tiny.checksum).stdout)
    assert told["trusted"] is False
    assert any("'acme' may not sign 'smol'" in step["detail"] for step in told["steps"])
    wrong = strongroom(
        "trust", "why", model, "--public-key", public, "--signature", public, "--config", config
    )
    assert wrong.returncode == 1
    assert "[signature." in wrong.stderr


def test_a_time_that_no_calendar_has() -> None:
    assert moment(None) is None
    assert moment(0) is not None
    for seconds in (10**11 * 5, 10**18, 2**63 - 1, -(2**63)):
        assert moment(seconds) is None or moment(seconds) != moment(0)
    assert moment(2**63 - 1) is None
