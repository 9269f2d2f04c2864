"""Signed manifests, in both directions against model-signing, and what Python adds to the core."""

import base64
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    CertificateError,
    ManifestError,
    ManifestEvidence,
    OptionError,
    OutputError,
    SigningKeyError,
    StrongroomError,
    generate_key,
    sign_manifest,
    verify_manifest,
)
from strongroom.models.manifest import GIT_PATHS
from tests.models.signing import (
    CURVES,
    DAY,
    NOW,
    Identity,
    Key,
    identity,
    key,
    reference_sign,
    reference_verify,
    tree,
)
from tests.paths import Pathless

WAYS = [
    ("sha256", None),
    ("blake2b", None),
    ("blake3", None),
    ("sha256", 65_536),
    ("blake2b", 100_000),
]


def trusting(signer: Key | Identity) -> dict[str, Any]:
    if isinstance(signer, Key):
        return {"public_key": signer.public}
    return {"certificate_chain": signer.root}


def signing(signer: Key | Identity) -> dict[str, Any]:
    if isinstance(signer, Key):
        return {"private_key": signer.private}
    return {"private_key": signer.key.private, "certificate_chain": [signer.own, signer.between]}


def resign(model: Path, signature: Path | None = None, **options: Any) -> Path:
    """Sign in the place of an earlier signature, which isn't overwritten otherwise."""
    (signature or model / "model.sig").unlink(missing_ok=True)
    return sign_manifest(model, output=signature, **options)


@pytest.fixture(params=["key", "certificate"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Key | Identity:
    return key(tmp_path) if request.param == "key" else identity(tmp_path)


@pytest.mark.parametrize(("algorithm", "shard_size"), WAYS)
def test_what_the_reference_signs_verifies_here(
    tmp_path: Path, signer: Key | Identity, algorithm: str, shard_size: int | None
) -> None:
    model, signature = tree(tmp_path), tmp_path / "model.sig"
    reference_sign(model, signature, signer, algorithm=algorithm, shard_size=shard_size)
    evidence = verify_manifest(model, signature, **trusting(signer))
    assert evidence.files == evidence.listed == 4
    assert evidence.size == 400_003
    assert evidence.algorithm == algorithm
    assert evidence.serialization == ("files" if shard_size is None else "shards")
    assert evidence.model == "model"
    (model / "weights/part-2.bin").write_bytes(bytes(99_999) + b"1")
    with pytest.raises(ManifestError, match=r"weights/part-2.bin.* is not what was signed") as caught:
        verify_manifest(model, signature, **trusting(signer))
    assert caught.value.code == "manifest.file_differs"


@pytest.mark.parametrize(("algorithm", "shard_size"), WAYS)
def test_what_is_signed_here_verifies_in_the_reference(
    tmp_path: Path, signer: Key | Identity, algorithm: Any, shard_size: int | None
) -> None:
    model, signature = tree(tmp_path), tmp_path / "model.sig"
    place = resign(model, signature, algorithm=algorithm, shard_size=shard_size, **signing(signer))
    assert place == signature
    reference_verify(model, signature, signer, algorithm=algorithm, shard_size=shard_size)
    verify_manifest(model, signature, **trusting(signer))
    (model / "config.json").write_bytes(b"[]")
    with pytest.raises(ValueError, match=r"config\.json"):
        reference_verify(model, signature, signer, algorithm=algorithm, shard_size=shard_size)


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_in_both_directions(tmp_path: Path, curve: str) -> None:
    model, signature = tree(tmp_path), tmp_path / "model.sig"
    for signer in (key(tmp_path, curve), identity(tmp_path, curve=curve)):
        reference_sign(model, signature, signer)
        verify_manifest(model, signature, **trusting(signer))
        resign(model, signature, **signing(signer))
        reference_verify(model, signature, signer)


@pytest.mark.parametrize(("algorithm", "shard_size"), WAYS)
def test_a_single_file_in_both_directions(tmp_path: Path, algorithm: Any, shard_size: int | None) -> None:
    signer, signature = key(tmp_path), tmp_path / "file.sig"
    model = tree(tmp_path) / "weights/part-1.bin"
    reference_sign(model, signature, signer, algorithm=algorithm, shard_size=shard_size)
    assert verify_manifest(model, signature, public_key=signer.public).files == 1
    resign(model, signature, private_key=signer.private, algorithm=algorithm, shard_size=shard_size)
    reference_verify(model, signature, signer, algorithm=algorithm, shard_size=shard_size)


def test_ignored_paths_in_both_directions(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    signature = model / "model.sig"
    reference_sign(model, signature, signer, ignore=["weights-old", "model.sig"])
    assert verify_manifest(model, public_key=signer.public).listed == 3
    (model / "weights-old/more").write_bytes(b"later")
    (model / ".gitignore").write_bytes(b"later")
    verify_manifest(model, public_key=signer.public)
    (model / "weights-new").write_bytes(b"later")
    with pytest.raises(ManifestError, match=r"weights-new.* was not signed") as caught:
        verify_manifest(model, public_key=signer.public)
    assert caught.value.code == "manifest.file_unlisted"
    verify_manifest(model, public_key=signer.public, ignore_paths=["weights-new"])
    resign(
        model, private_key=signer.private, ignore_paths=["weights-old", "weights-new", ".git", ".gitignore"]
    )
    reference_verify(model, signature, signer)
    assert verify_manifest(model, public_key=signer.public).listed == 3


def test_symbolic_links_in_both_directions(tmp_path: Path) -> None:
    signer, model, signature = key(tmp_path), tree(tmp_path), tmp_path / "model.sig"
    link = model / "link"
    link.symlink_to("weights/part-1.bin")
    reference_sign(model, signature, signer, symlinks=True)
    assert verify_manifest(model, signature, public_key=signer.public).files == 5
    resign(model, signature, private_key=signer.private, allow_symlinks=True)
    reference_verify(model, signature, signer, symlinks=True)
    with pytest.raises(ManifestError) as caught:
        sign_manifest(model, output=tmp_path / "other.sig", private_key=signer.private)
    assert caught.value.code == "manifest.symlink"
    # The reference follows it anywhere.
    (tmp_path / "outside").write_bytes((model / "weights/part-1.bin").read_bytes())
    link.unlink()
    link.symlink_to("../outside")
    reference_verify(model, signature, signer, symlinks=True)
    with pytest.raises(ManifestError) as caught:
        verify_manifest(model, signature, public_key=signer.public)
    assert caught.value.code == "manifest.symlink_outside"


def test_what_lies_behind_a_link_to_a_directory_is_not_signed(tmp_path: Path) -> None:
    signer, model, signature = key(tmp_path), tree(tmp_path), tmp_path / "model.sig"
    (model / ".git").mkdir(exist_ok=True)
    (model / ".git/unlisted.py").write_text("")
    link = model / "code"
    # The reference passes over it.
    link.symlink_to(".git")
    reference_sign(model, signature, signer, symlinks=True)
    reference_verify(model, signature, signer, symlinks=True)
    with pytest.raises(ManifestError) as caught:
        verify_manifest(model, signature, public_key=signer.public, ignore_paths=GIT_PATHS)
    assert caught.value.code == "manifest.symlink_directory"
    with pytest.raises(ManifestError) as caught:
        sign_manifest(model, output=tmp_path / "own.sig", private_key=signer.private, allow_symlinks=True)
    assert caught.value.code == "manifest.symlink_directory"
    link.unlink()
    verify_manifest(model, signature, public_key=signer.public, ignore_paths=GIT_PATHS)


def test_an_expired_certificate_is_refused_though_the_reference_accepts_it(tmp_path: Path) -> None:
    signer = identity(tmp_path, begin=NOW - 60 * DAY, end=NOW - DAY)
    model, signature = tree(tmp_path), tmp_path / "model.sig"
    reference_sign(model, signature, signer)
    reference_verify(model, signature, signer)
    with pytest.raises(CertificateError, match="expired on") as caught:
        verify_manifest(model, signature, certificate_chain=signer.root)
    assert caught.value.code == "certificate.expired"
    then = NOW - 30 * DAY
    evidence = verify_manifest(model, signature, certificate_chain=signer.root, now=then)
    assert evidence.verified_at == then.replace(microsecond=0)
    with pytest.raises(CertificateError) as caught:
        verify_manifest(model, signature, certificate_chain=signer.root, now=NOW - 100 * DAY)
    assert caught.value.code == "certificate.not_yet_valid"
    with pytest.raises(CertificateError) as caught:
        resign(model, signature, **signing(signer))
    assert caught.value.code == "certificate.expired"


def test_the_evidence_says_who_and_what_and_when(tmp_path: Path) -> None:
    signer, model = identity(tmp_path), tree(tmp_path)
    resign(model, **signing(signer))
    evidence = verify_manifest(model, certificate_chain=[signer.root, signer.between])
    assert isinstance(evidence, ManifestEvidence)
    assert (evidence.path, evidence.signature) == (str(model), str(model / "model.sig"))
    assert (evidence.method, evidence.subject) == ("certificate", "CN=publisher")
    assert evidence.root_subject == "CN=root"
    assert len(evidence.authorities) == 2
    for digest in (
        evidence.key,
        evidence.certificate,
        evidence.root_certificate,
        evidence.root,
        *evidence.authorities,
    ):
        assert digest is not None
        assert digest.startswith("sha256:")
        assert len(digest) == 71
    assert evidence.valid_until == (NOW + 30 * DAY).replace(microsecond=0)
    assert abs(evidence.verified_at - dt.datetime.now(dt.UTC)) < DAY
    with pytest.raises(dataclasses.FrozenInstanceError):
        evidence.files = 7  # type: ignore[misc]
    by_key = key(tmp_path, name="other")
    resign(model, private_key=by_key.private)
    evidence = verify_manifest(model, public_key=by_key.public)
    assert (evidence.method, evidence.subject, evidence.valid_until) == ("key", None, None)


def test_the_parts_of_a_split_model(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    parts = ["weights/part-1.bin", "weights/part-2.bin"]
    resign(model, private_key=signer.private, files=parts)
    evidence = verify_manifest(model, public_key=signer.public, files=parts)
    assert (evidence.files, evidence.listed) == (2, 2)
    with pytest.raises(ManifestError) as caught:
        verify_manifest(model, public_key=signer.public, files=["config.json"])
    assert caught.value.code == "manifest.not_listed"
    (model / parts[1]).unlink()
    verify_manifest(model, public_key=signer.public, files=parts[:1])
    with pytest.raises(ManifestError) as caught:
        verify_manifest(model, public_key=signer.public, files=parts)
    assert caught.value.code == "manifest.file_missing"


def test_an_encrypted_key_signs_and_its_passphrase_is_wiped(tmp_path: Path) -> None:
    signer, model = key(tmp_path, passphrase=b"correct horse"), tree(tmp_path)
    passphrase = bytearray(b"correct horse")
    resign(model, private_key=signer.private, passphrase=passphrase)
    assert passphrase == bytes(13)
    verify_manifest(model, public_key=signer.public)
    (tmp_path / "passphrase").write_text("correct horse\n")
    resign(model, private_key=signer.private, passphrase_file=tmp_path / "passphrase")
    verify_manifest(model, public_key=signer.public)
    with pytest.raises(OptionError, match="bytearray"):
        resign(model, private_key=signer.private, passphrase="correct horse")
    for wrong in (None, bytearray(b"wrong horse")):
        with pytest.raises(SigningKeyError):
            resign(model, private_key=signer.private, passphrase=wrong)


def test_keys_that_the_format_does_not_take(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    sign_manifest(model, private_key=signer.private)
    generate_key("ed25519", private_key=tmp_path / "ed.pem", public_key=tmp_path / "ed.pub")
    with pytest.raises(ManifestError) as caught:
        verify_manifest(model, public_key=tmp_path / "ed.pub")
    assert caught.value.code == "manifest.key_unsuitable"
    with pytest.raises(ManifestError) as caught:
        resign(model, private_key=tmp_path / "ed.pem")
    assert caught.value.code == "manifest.key_unsuitable"
    with pytest.raises(SigningKeyError) as failed:
        verify_manifest(model, model / "config.json", public_key=signer.private)
    assert failed.value.code == "key.private"


def test_progress_is_told_and_what_it_raises_ends_the_work(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    told: list[tuple[int, int]] = []
    resign(model, private_key=signer.private, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 400_003)
    assert told[-1] == (400_003, 400_003)
    signature = (model / "model.sig").read_bytes()

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_manifest(model, public_key=signer.public, progress=stop)
    assert (model / "model.sig").read_bytes() == signature
    with pytest.raises(KeyboardInterrupt):
        resign(model, private_key=signer.private, progress=stop)
    assert not list(model.glob("*.sig*"))


def test_the_signature_appears_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    there = {".git", "config.json", "weights", "weights-old"}
    sign_manifest(model, private_key=signer.private)
    assert {path.name for path in model.iterdir()} == there | {"model.sig"}
    before = (model / "model.sig").read_bytes()
    with pytest.raises(OutputError) as caught:
        sign_manifest(model, private_key=signer.private)
    assert caught.value.code == "output.exists"
    assert (model / "model.sig").read_bytes() == before
    with pytest.raises(OutputError) as caught:
        sign_manifest(model, output=tmp_path / "nowhere/model.sig", private_key=signer.private)
    assert caught.value.code == "output.unwritable"
    assert {path.name for path in model.iterdir()} == there | {"model.sig"}


Change = Callable[[dict[str, Any]], None]


def changed(model: Path, change: Change) -> None:
    """Change the bundle."""
    path = model / "model.sig"
    bundle = json.loads(path.read_bytes())
    change(bundle)
    path.write_text(json.dumps(bundle))


def refused(model: Path, signer: Key, **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        verify_manifest(model, public_key=signer.public, **options)
    return caught.value.code


def test_bundles_of_strangers_are_refused(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)

    def spoil(change: Change) -> str:
        resign(model, private_key=signer.private)
        changed(model, change)
        return refused(model, signer)

    assert spoil(lambda bundle: bundle.update(extra=1)) == "manifest.bundle_malformed"
    assert spoil(lambda bundle: bundle.update(mediaType="x")) == "manifest.bundle_unsupported"
    assert (
        spoil(lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"))
        == "manifest.signature_invalid"
    )
    (model / "model.sig").write_bytes(b" " * (33 << 20))
    assert refused(model, signer) == "manifest.bundle_too_large"
    (model / "model.sig").unlink()
    assert refused(model, signer) == "source.missing"
    (model / "model.sig").write_bytes(b"")
    assert refused(model, signer) == "source.empty"
    other = key(tmp_path, name="other")
    resign(model, private_key=other.private)
    assert refused(model, signer) == "manifest.other_key"
    resign(model, **signing(identity(tmp_path)))
    assert refused(model, signer) == "manifest.other_method"


def test_statements_of_a_trusted_key_are_no_less_checked(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)

    def sign(change: Change) -> str:
        resign(model, private_key=signer.private)

        def again(bundle: dict[str, Any]) -> None:
            statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
            change(statement)
            payload = json.dumps(statement).encode()
            kind = b"application/vnd.in-toto+json"
            message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import ec

            signature = signer.pair.sign(message, ec.ECDSA(hashes.SHA256()))
            bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
            bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()

        changed(model, again)
        return refused(model, signer)

    def first(**fields: Any) -> Change:
        return lambda statement: statement["predicate"]["resources"][0].update(**fields)

    assert sign(first(name="../x")) == "manifest.statement_unsafe"
    assert sign(first(name="weights/part-1.bin")) == "manifest.statement_unsafe"
    assert sign(first(name=7)) == "manifest.statement_malformed"
    assert sign(first(digest="0" * 64)) == "manifest.root_digest"
    assert (
        sign(lambda statement: statement.update(predicateType="https://model_signing/Digests/v0.1"))
        == "manifest.statement_unsupported"
    )


def test_trees_that_are_not_what_was_signed(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)
    resign(model, private_key=signer.private)
    signature = model / "model.sig"

    def check(path: Path) -> str:
        with pytest.raises(ManifestError) as caught:
            verify_manifest(path, signature, public_key=signer.public)
        return caught.value.code

    assert check(model / "config.json") == "manifest.other_kind"
    assert check(tmp_path / "nothing") == "manifest.io"
    (model / "deep" / "/".join("d" * 80)).mkdir(parents=True)
    assert check(model) == "manifest.tree_too_large"
    assert refused(model, signer, ignore_paths=["../x"]) == "manifest.ambiguous_name"


def test_what_can_not_be_signed(tmp_path: Path) -> None:
    signer, model = key(tmp_path), tree(tmp_path)

    def fails(path: Path = model, **options: Any) -> str:
        with pytest.raises(StrongroomError) as caught:
            resign(path, tmp_path / "out.sig", private_key=signer.private, **options)
        assert not (tmp_path / "out.sig").exists()
        return caught.value.code

    assert fails(algorithm="blake3", shard_size=1000) == "manifest.statement_unsupported"
    (tmp_path / "void").mkdir()
    assert fails(tmp_path / "void") == "manifest.empty"
    (model / "empty").touch()
    assert fails(shard_size=1000) == "manifest.unshardable"
    stranger = identity(tmp_path)
    assert fails(certificate_chain=stranger.own) == "certificate.other_key"
    assert fails(certificate_chain=stranger.key.private) == "certificate.malformed"


def test_chains_that_prove_nothing(tmp_path: Path) -> None:
    signer, model = identity(tmp_path), tree(tmp_path)
    resign(model, **signing(signer))

    def check(chain: Any) -> str:
        with pytest.raises(CertificateError) as caught:
            verify_manifest(model, certificate_chain=chain)
        return caught.value.code

    assert check(signer.between) == "certificate.no_root"
    (tmp_path / "second").mkdir()
    assert check(identity(tmp_path / "second").root) == "certificate.untrusted"
    unusable = identity(tmp_path, usage=False)
    reference_sign(model, model / "model.sig", unusable, ignore=["model.sig"])
    assert check(unusable.root) == "certificate.extended_key_usage"


VECTORS = Path(__file__).parents[2] / "rust/verify/tests/vectors"
"""`README.md` there says where they come from."""

KEYLESS: dict[str, Any] = {
    "identity": "stefanb@us.ibm.com",
    "issuer": "https://sigstore.verify.ibm.com/oauth2",
    "trusted_root": VECTORS / "sigstore-trusted-root.json",
}


def test_a_signature_of_sigstore_is_checked_offline(tmp_path: Path) -> None:
    for name in ("signme-1", "signme-2"):
        (tmp_path / name).write_text(name)
    signature = VECTORS / "model-signing-1.1.0-sigstore.sig"
    evidence = verify_manifest(tmp_path, signature, **KEYLESS)
    assert (evidence.method, evidence.files) == ("sigstore", 2)
    assert (evidence.identity, evidence.issuer) == (KEYLESS["identity"], KEYLESS["issuer"])
    root = KEYLESS["trusted_root"].read_bytes()
    assert evidence.trusted_root == f"sha256:{hashlib.sha256(root).hexdigest()}"
    assert evidence.signed_at == dt.datetime(2025, 10, 10, 2, 12, 20, tzinfo=dt.UTC)

    def check(**options: Any) -> str:
        with pytest.raises(StrongroomError) as caught:
            verify_manifest(tmp_path, signature, **(KEYLESS | options))
        return caught.value.code

    assert check(identity="stefanb@example.org") == "manifest.keyless_refused"
    assert check(issuer="https://accounts.google.com") == "manifest.keyless_refused"
    assert check(trusted_root=signature) == "manifest.trusted_root_malformed"
    assert check(issuer=None) == "option.out_of_range"
    assert check(trusted_root=None) == "option.out_of_range"
    assert check(identity="\udc80") == "option.out_of_range"
    assert check(public_key=signature) == "option.out_of_range"
    (tmp_path / "signme-1").write_text("other")
    assert check() == "manifest.file_differs"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "option.out_of_range"),
        ({"public_key": "a", "certificate_chain": "b"}, "option.out_of_range"),
        ({"public_key": 7}, "option.wrong_type"),
        ({"public_key": b"a"}, "option.wrong_type"),
        ({"public_key": ""}, "option.out_of_range"),
        ({"certificate_chain": 7}, "option.wrong_type"),
        ({"certificate_chain": [7]}, "option.wrong_type"),
        ({"public_key": "a", "ignore_paths": "x"}, "option.wrong_type"),
        ({"public_key": "a", "ignore_paths": [b"x"]}, "option.wrong_type"),
        ({"public_key": "a", "ignore_paths": ["\udc80"]}, "option.out_of_range"),
        ({"public_key": "a", "files": "x"}, "option.wrong_type"),
        ({"public_key": "a", "now": 7}, "option.wrong_type"),
        ({"public_key": "a", "now": dt.datetime(2026, 1, 1)}, "option.wrong_type"),
        ({"public_key": "a", "signature": 7}, "option.wrong_type"),
        ({"public_key": "\ud800"}, "option.out_of_range"),
        ({"public_key": Pathless()}, "option.wrong_type"),
        ({"public_key": "a" * 100_000}, "option.out_of_range"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as caught:
        verify_manifest(tmp_path, **options)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("a" * 300, "source.missing"),
        ("a/" * 40_000, "source.invalid"),
        ("\ud800", "source.stored"),
        ("./\ud800", "source.invalid"),
        (Pathless(), "option.wrong_type"),
    ],
)
def test_models_that_no_path_leads_to(model: Any, code: str) -> None:
    with pytest.raises(StrongroomError) as caught:
        verify_manifest(model, public_key="key.pub")
    assert caught.value.code == code
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "sha512"},
        {"algorithm": None},
        {"algorithm": []},
        {"shard_size": 0},
        {"shard_size": -1},
        {"shard_size": 1.5},
        {"shard_size": True},
        {"shard_size": 2**53},
    ],
)
def test_options_of_signing_that_make_no_sense(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        resign(tmp_path, private_key="key.pem", **options)
    assert caught.value.code == "option.out_of_range"
