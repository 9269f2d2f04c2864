"""The policy as a tree: typed, frozen, and refused as a whole where one word of it is wrong."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ModelRule,
    ModelVerification,
    Revocation,
    Security,
    SettingsError,
    Signer,
    TrustedDigest,
    TrustedSource,
    load_settings,
)
from strongroom.configuration.load import configure
from strongroom.trust.words import MOST
from tests.configuration.files import BARE, written

D1 = "sha256:" + "1" * 64
D2 = "sha512:" + "2" * 128
K1 = "sha256:" + "a" * 64
K2 = "sha256:" + "b" * 64

WHOLE = f"""
[trust]
proof = "digest"
call_proof = "reserved"
max_size = "20GB"
architectures = ["llama", "qwen2"]
lock = "/var/lib/strongroom/strongroom.lock"

[[trust.trusted_sources]]
root = "/srv/models"

[[trust.trusted_sources]]
host = "Models.example.com:8443"
proof = "signature"
signers = ["acme"]

[[trust.trusted_sources]]
organisation = "acme"
proof = "oms"

[[trust.signers]]
name = "acme"
key = "{K1.upper().replace("SHA", "sha")}"
models = ["acme-*"]

[[trust.signers]]
name = "acme releases"
identity = "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main"
issuer = "https://token.actions.githubusercontent.com"
trusted_root = "{K1}"

[[trust.signers]]
name = "house"
root = "{K2}"

[[trust.digests]]
digest = "{D1}"
name = "smol"
version = "1.0"

[[trust.models]]
name = "acme-*"
proof = "signature"
signers = ["acme"]
minimum_version = "2.0"
max_size = 1000
architectures = ["llama"]

[[trust.revoked]]
digest = "{D2}"
reason = "the training data was poisoned"

[[trust.revoked]]
key = "{K2}"
reason = "the key was lost"
"""

POLICY = ModelVerification(
    call_proof="reserved",
    max_size="20GB",
    architectures=["llama", "qwen2"],
    lock="/var/lib/strongroom/strongroom.lock",
    trusted_sources=[
        "/srv/models",
        TrustedSource(host="models.example.com:8443", proof="signature", signers=["acme"]),
        TrustedSource(organisation="acme", proof="oms"),
    ],
    signers=[
        Signer(name="acme", key=K1, models=["acme-*"]),
        Signer(
            name="acme releases",
            identity="https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main",
            issuer="https://token.actions.githubusercontent.com",
            trusted_root=K1,
        ),
        Signer(name="house", root=K2),
    ],
    digests=[TrustedDigest(digest=D1, name="smol", version="1.0")],
    models=[
        ModelRule(
            name="acme-*",
            proof="signature",
            signers=["acme"],
            minimum_version="2.0",
            max_size=1000,
            architectures=["llama"],
        )
    ],
    revoked=[
        Revocation(digest=D2, reason="the training data was poisoned"),
        Revocation(key=K2, reason="the key was lost"),
    ],
)


def test_the_file_and_the_code_make_the_same_policy(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    assert load_settings(path, environment=BARE).security.model_verification == POLICY


def test_the_words_of_the_document_are_kept() -> None:
    security = Security(
        trust_level="zero",
        verification="always",
        model_verification=ModelVerification(
            trusted_sources=["/srv/models", "https://example.com", "hf://acme"]
        ),
    )
    assert [str(source) for source in security.model_verification.sources] == [
        "/srv/models",
        "https://example.com",
        "hf://acme",
    ]


def test_the_default_is_zero_trust_and_nothing_more() -> None:
    policy = ModelVerification()
    assert policy.proof == "digest"
    assert policy.call_proof == "accepted"
    assert policy.lock == "off"
    assert not policy.demanding
    assert policy.algorithms == ()
    assert policy.pins("model") == []


@pytest.mark.parametrize(
    "kind", [ModelVerification, TrustedSource, TrustedDigest, Signer, ModelRule, Revocation]
)
def test_every_option_is_refused_when_it_is_misspelt(kind: Any) -> None:
    for field in dataclasses.fields(kind):
        with pytest.raises(SettingsError, match=f"did you mean '{field.name}'") as caught:
            kind(**{field.name[:-1]: None})
        assert caught.value.code == "settings.unknown_option"


@pytest.mark.parametrize(
    ("table", "option"),
    [
        ("trusted_sources", "rot"),
        ("signers", "nam"),
        ("digests", "diges"),
        ("models", "nam"),
        ("revoked", "reson"),
    ],
)
def test_a_misspelt_option_of_an_entry_of_a_file_is_told_with_its_place(
    table: str, option: str, tmp_path: Path
) -> None:
    path = written(tmp_path, f"[[trust.{table}]]\n{option} = 'x'\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environment=BARE)
    assert caught.value.code == "settings.unknown_option"
    assert f"{table}[0]: " in caught.value.message
    assert f"(trust.{table} is set in {path}:1)" in caught.value.message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"proof": "none"}, "proof must be"),
        ({"proof": None}, "proof must be"),
        ({"proof": ["digest"]}, "proof must be"),
        ({"call_proof": "ignored"}, "call_proof must be"),
        ({"call_proof": True}, "call_proof must be"),
        ({"trusted_sources": "/srv"}, "trusted_sources must be a list"),
        ({"trusted_sources": {"root": "/srv"}}, "trusted_sources must be a list"),
        ({"trusted_sources": None}, "trusted_sources must be a list"),
        ({"trusted_sources": [5]}, r"trusted_sources\[0\] must be a TrustedSource"),
        ({"trusted_sources": [{5: 5}]}, r"trusted_sources\[0\] must be a TrustedSource"),
        ({"trusted_sources": ["srv"]}, r"trusted_sources\[0\]: a source must be"),
        ({"trusted_sources": ["http://example.com"]}, r"trusted_sources\[0\]: a source must be"),
        ({"trusted_sources": ["hf:acme"]}, r"trusted_sources\[0\]: a source must be"),
        ({"trusted_sources": ["https://"]}, r"trusted_sources\[0\]: host must be"),
        ({"trusted_sources": ["https://example.com/path"]}, r"trusted_sources\[0\]: host must be"),
        ({"trusted_sources": ["/srv", "/srv/../etc"]}, r"trusted_sources\[1\]: root must be"),
        ({"trusted_sources": ["/srv", "/srv"]}, "'/srv' is there twice"),
        ({"trusted_sources": ["https://a.com", "https://A.com:443"]}, "'https://a.com' is there twice"),
        ({"trusted_sources": ["/srv"] * (MOST + 1)}, f"a list of at most {MOST}"),
        ({"trusted_sources": [{}]}, "exactly one of root, host, organisation; it has none"),
        ({"trusted_sources": [{"root": "/a", "host": "b.c"}]}, "exactly one of .*; it has root and host"),
        ({"trusted_sources": [{"root": "/a", "signers": ["b"]}]}, 'proof must be "signature" or "oms"'),
        (
            {"trusted_sources": [{"root": "/a", "proof": "oms", "signers": ["b"]}]},
            r"signers must be a signer of this policy \(none\)",
        ),
        ({"trusted_sources": [{"root": "/a", "proof": "oms", "signers": "b"}]}, "signers must be a list"),
        ({"trusted_sources": [{"root": "/a", "proof": "oms", "signers": [""]}]}, r"signers\[0\] must be"),
        ({"signers": ["acme"]}, r"signers\[0\] must be a Signer"),
        ({"signers": [{}]}, r"signers\[0\]: name must be"),
        ({"signers": [{"name": "a"}]}, "must have either a key"),
        ({"signers": [{"name": "a", "key": K1, "root": K2}]}, "must have either a key"),
        ({"signers": [{"name": "a", "key": D2}]}, r"signers\[0\]: key must be"),
        ({"signers": [{"name": "a", "identity": "x"}]}, "identity and issuer together"),
        ({"signers": [{"name": "a", "issuer": "x"}]}, "identity and issuer together"),
        ({"signers": [{"name": "a", "issuer": "x", "root": K1}]}, "identity and issuer together"),
        ({"signers": [{"name": "a", "identity": "", "issuer": "x"}]}, "identity must be"),
        ({"signers": [{"name": "a", "identity": "x", "issuer": "y"}]}, "issuer and trusted_root together"),
        ({"signers": [{"name": "a", "trusted_root": K1}]}, "issuer and trusted_root together"),
        (
            {"signers": [{"name": "a", "identity": "x", "root": K1, "trusted_root": K2}]},
            "issuer and trusted_root together",
        ),
        (
            {"signers": [{"name": "a", "identity": "x", "issuer": "y", "root": K1, "trusted_root": K2}]},
            "without a root",
        ),
        ({"signers": [{"name": "a", "key": K1, "trusted_root": K2}]}, "must have either a key"),
        (
            {"signers": [{"name": "a", "identity": "x", "issuer": "y", "trusted_root": "z"}]},
            "trusted_root must be",
        ),
        ({"signers": [{"name": "a", "key": K1, "models": []}]}, "models must be a list that is not empty"),
        ({"signers": [{"name": "a", "key": K1, "models": "a*"}]}, "models must be a list"),
        ({"signers": [{"name": "a", "key": K1, "models": ["a?"]}]}, r"models\[0\] must be"),
        ({"signers": [{"name": "a", "key": K1}, {"name": "a", "key": K2}]}, "'a' is there twice"),
        ({"digests": [D1]}, r"digests\[0\] must be a TrustedDigest"),
        ({"digests": [{}]}, r"digests\[0\]: digest must be"),
        ({"digests": [{"digest": D1, "name": "[a]"}]}, r"digests\[0\]: name must be"),
        ({"digests": [{"digest": D1, "version": "latest"}]}, r"digests\[0\]: version must be"),
        ({"models": [{}]}, r"models\[0\]: name must be"),
        ({"models": [{"name": "a", "minimum_version": 2}]}, "minimum_version must be"),
        ({"models": [{"name": "a", "max_size": "big"}]}, "max_size must be"),
        ({"models": [{"name": "a", "proof": "some"}]}, "proof must be"),
        ({"models": [{"name": "a", "architectures": ["l*"]}]}, "architectures must be"),
        ({"revoked": [{"digest": D1}]}, r"revoked\[0\]: reason must be"),
        ({"revoked": [{"digest": D1, "reason": "a\nb"}]}, "reason must be"),
        ({"revoked": [{"reason": "x"}]}, "exactly one of digest, key; it has none"),
        ({"revoked": [{"digest": D1, "key": K1, "reason": "x"}]}, "it has digest and key"),
        ({"revoked": [{"digest": D1, "reason": "x"}] * 2}, "is there twice"),
        ({"max_size": 0}, "max_size must be"),
        ({"max_size": "20"}, "max_size must be"),
        ({"architectures": []}, "architectures must be"),
        ({"architectures": "llama"}, "architectures must be"),
        ({"lock": "strongroom.lock"}, "lock must be"),
        ({"lock": "/a/../b"}, "lock must be"),
        ({"lock": None}, "lock must be"),
    ],
)
def test_what_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        ModelVerification(**options)
    assert caught.value.code == "settings.invalid"
    assert len(str(caught.value)) < 800


def test_the_tree_is_frozen() -> None:
    for branch in (POLICY, POLICY.sources[0], POLICY.signers[0], POLICY.revoked[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            branch.name = "x"  # type: ignore[misc, union-attr]
    sources = ["/srv/models"]
    policy = ModelVerification(trusted_sources=sources)
    sources.append("/")
    assert len(policy.sources) == 1


@pytest.mark.parametrize(
    "policy",
    [
        ModelVerification(proof="signature"),
        ModelVerification(call_proof="reserved"),
        ModelVerification(trusted_sources=[TrustedSource(root="/srv", proof="oms")]),
        ModelVerification(models=[ModelRule(name="a", proof="signature")]),
    ],
)
def test_the_named_danger_contradicts_a_policy_that_demands(policy: ModelVerification) -> None:
    assert policy.demanding
    with pytest.raises(SettingsError) as caught:
        Security(verification="danger-none", model_verification=policy)
    assert caught.value.code == "settings.conflict"


def test_the_named_danger_goes_with_limits_and_revocations() -> None:
    policy = ModelVerification(max_size=5, revoked=[Revocation(digest=D1, reason="x")])
    security = Security(verification="danger-none", model_verification=policy)
    assert security.model_verification is policy


def test_algorithms_are_those_that_the_policy_names() -> None:
    assert POLICY.algorithms == ("sha256", "sha512")
    assert ModelVerification(lock="/x").algorithms == ("sha256",)
    assert ModelVerification(revoked=[Revocation(digest=D2, reason="x")]).algorithms == ("sha512",)


def test_the_lock_of_a_file_is_beside_it_unless_it_is_named(tmp_path: Path) -> None:
    beside = str(tmp_path.resolve() / "strongroom.lock")
    configuration = configure(written(tmp_path, "[trust]\n"), environment=BARE)
    assert configuration.value("trust.lock") == beside
    assert configuration.origins["trust.lock"].kind == "default"
    assert configuration.value("trust.proof") == "digest"
    for text, lock in (("", "off"), ("[trust]\nlock = 'off'", "off"), ("[trust]\nlock = '/x/y'", "/x/y")):
        assert configure(written(tmp_path, text), environment=BARE).value("trust.lock") == lock
    environment = BARE | {"STRONGROOM_TRUST__LOCK": "/z"}
    assert configure(written(tmp_path, "[trust]"), environment=environment).value("trust.lock") == "/z"


def test_the_table_has_one_name(tmp_path: Path) -> None:
    for text in ("[security.model_verification]", "[security]\nmodel_verification.proof = 'oms'"):
        with pytest.raises(SettingsError) as caught:
            load_settings(written(tmp_path, text), environment=BARE)
        assert caught.value.code == "settings.unknown_option"


def variables(path: Path | None = None, **values: str) -> ModelVerification:
    return load_settings(path, environment=BARE | values).security.model_verification


def test_trusted_sources_from_the_environment() -> None:
    policy = variables(TRUSTED_MODEL_SOURCES="/srv/models, https://example.com:8443,hf://acme")
    assert [str(source) for source in policy.sources] == [
        "/srv/models",
        "https://example.com:8443",
        "hf://acme",
    ]
    assert variables(STRONGROOM_TRUST__ARCHITECTURES="llama,qwen2").architectures == ("llama", "qwen2")
    for value in ("", ",", "/srv,", "acme", "http://example.com"):
        with pytest.raises(SettingsError, match="TRUSTED_MODEL_SOURCES"):
            variables(TRUSTED_MODEL_SOURCES=value)


@pytest.mark.parametrize("variable", ["TRUSTED_MODEL_SOURCES", "STRONGROOM_TRUST__TRUSTED_SOURCES"])
def test_sources_of_a_variable_drop_no_proof_that_the_file_asks_for(variable: str, tmp_path: Path) -> None:
    plain = written(tmp_path, "[trust]\ntrusted_sources = ['/srv', { root = '/other' }]")
    for fewer in ("/srv", "/other/mine", "/srv,/other"):
        assert [str(source) for source in variables(plain, **{variable: fewer}).sources] == fewer.split(",")
    demanding = written(tmp_path, "[[trust.trusted_sources]]\nroot = '/srv'\nproof = 'signature'")
    with pytest.raises(SettingsError, match=f"{variable} would drop the proofs") as caught:
        variables(demanding, **{variable: "/srv"})
    assert caught.value.code == "settings.conflict"
    assert f"{demanding}:1" in caught.value.message


@pytest.mark.parametrize(
    ("option", "said", "less", "more"),
    [
        ("proof", "'oms'", ["digest", "signature"], ["oms"]),
        ("proof", "'digest'", [], ["digest", "signature", "oms"]),
        ("call_proof", "'reserved'", ["accepted"], ["reserved"]),
        ("max_size", "'1MB'", ["900GB", "1000001", "1MiB"], ["1MB", "1000000", "5KB"]),
        ("architectures", "['llama', 'qwen2']", ["llama,phi3", "phi3"], ["llama", "qwen2,llama"]),
        ("lock", "'/x/y'", ["off", "/x/z"], ["/x/y"]),
        ("lock", "'off'", [], ["off", "/x/z"]),
        ("trusted_sources", "['/srv', 'hf://a']", ["/", "/srvx", "/srv,/a", "hf://b"], ["/srv/a", "hf://a"]),
    ],
)
def test_a_variable_weakens_nothing_of_the_file(
    option: str, said: str, less: list[str], more: list[str], tmp_path: Path
) -> None:
    path = written(tmp_path, f"[trust]\n{option} = {said}")
    variable = f"STRONGROOM_TRUST__{option.upper()}"
    for value in less:
        with pytest.raises(SettingsError, match=f"{variable} would weaken trust.{option}") as caught:
            variables(path, **{variable: value})
        assert caught.value.code == "settings.conflict"
        assert f"{path}:2" in caught.value.message
    for value in more:
        variables(path, **{variable: value})
    # Whoever calls decides over both.
    overrides = {"trust.proof": "digest", "trust.lock": "off"}
    policy = load_settings(path, environment=BARE, overrides=overrides).security.model_verification
    assert (policy.proof, policy.lock) == ("digest", "off")


def test_a_variable_doesn_t_end_the_record_that_a_policy_has_by_default(tmp_path: Path) -> None:
    path = written(tmp_path, "[trust]\n")
    with pytest.raises(SettingsError, match=r"STRONGROOM_TRUST__LOCK would weaken trust\.lock") as caught:
        variables(path, STRONGROOM_TRUST__LOCK="off")
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "trusted_sources = ['https://u:SECRET@example.com']",
        "trusted_sources = [{ host = 'u:SECRET@example.com' }]",
        "trusted_sources = ['hf://u:SECRET@acme']",
        "trusted_sources = ['u:SECRET@acme']",
        "trusted_sources = [{ root = 'https://u:SECRET@example.com' }]",
        "trusted_sources = ['//u:SECRET@example.com']",
        "trusted_sources = 'https://u:SECRET@example.com'",
    ],
)
def test_a_password_in_a_source_is_not_repeated(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not repeated") as caught:
        variables(written(tmp_path, f"[trust]\n{text}"))
    assert "SECRET" not in str(caught.value)
    with pytest.raises(SettingsError, match="TRUSTED_MODEL_SOURCES") as caught:
        variables(TRUSTED_MODEL_SOURCES="/srv,https://u:SECRET@example.com/x")
    assert "SECRET" not in str(caught.value)


def test_tables_cannot_be_written_in_a_variable() -> None:
    for name in ("DIGESTS", "SIGNERS", "MODELS", "REVOKED"):
        with pytest.raises(SettingsError, match="is made of tables") as caught:
            load_settings(environment={f"STRONGROOM_TRUST__{name}": "x"})
        assert caught.value.code == "settings.unavailable"


@pytest.mark.parametrize(
    ("text", "proof"),
    [("", "signature"), ("[trust]\nproof='digest'", "signature"), ("[trust]\nproof='oms'", "oms")],
)
def test_verify_model_signatures_demands_and_never_weakens(text: str, proof: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    for word in ("true", "True", "1"):
        assert variables(path, VERIFY_MODEL_SIGNATURES=word).proof == proof
        assert variables(path, VERIFY_MODEL_SIGNATURES=word).demanding


@pytest.mark.parametrize(
    "text",
    [
        "[trust]\nproof = 'signature'",
        "[trust]\nproof = 'oms'",
        "[[trust.trusted_sources]]\nroot = '/srv'\nproof = 'signature'",
        "[[trust.models]]\nname = 'a'\nproof = 'oms'",
    ],
)
def test_verify_model_signatures_false_weakens_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="VERIFY_MODEL_SIGNATURES is false") as caught:
        variables(written(tmp_path, text), VERIFY_MODEL_SIGNATURES="false")
    assert caught.value.code == "settings.conflict"
    assert variables(written(tmp_path, ""), VERIFY_MODEL_SIGNATURES="false").proof == "digest"


def test_verify_model_signatures_is_true_or_false_and_set_once() -> None:
    for word in ("", "yes", "maybe", "2", "\udcff"):
        with pytest.raises(SettingsError, match="VERIFY_MODEL_SIGNATURES must be true or false"):
            variables(VERIFY_MODEL_SIGNATURES=word)
    with pytest.raises(SettingsError, match=r"both set trust\.proof") as caught:
        variables(VERIFY_MODEL_SIGNATURES="true", STRONGROOM_TRUST__PROOF="oms")
    assert caught.value.code == "settings.conflict"


def test_verify_model_signatures_and_the_named_danger(tmp_path: Path) -> None:
    path = written(tmp_path, "[security]\nverification = 'danger-none'")
    with pytest.raises(SettingsError, match=f"security.verification is set in {path}:2") as caught:
        variables(path, VERIFY_MODEL_SIGNATURES="true")
    assert caught.value.code == "settings.conflict"


def test_whatever_becomes_of_a_file_it_is_read_or_refused(tmp_path: Path) -> None:
    chance = random.Random(4)  # noqa: S311 - which mutations are tried is no secret
    bits = [*"[]{}=,.#*/0'\n\0\u202e", '"', "..", "true"]
    refused = 0
    for _ in range(400):
        text = list(WHOLE)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(text))
            match chance.randrange(4):
                case 0:
                    del text[place : place + chance.randrange(1, 40)]
                case 1:
                    text[place:place] = list(chance.choice(bits))
                case 2:
                    text[place] = chance.choice(bits)
                case _:
                    text[place:place] = text[place : place + chance.randrange(200)]
        try:
            load_settings(written(tmp_path, "".join(text)), environment=BARE)
        except SettingsError as error:
            refused += 1
            assert len(str(error)) < 2000  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
    assert 0 < refused < 400
