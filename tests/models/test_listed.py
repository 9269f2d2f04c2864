"""A signed manifest as proof of a load."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from strongroom import (
    ModelVerification,
    Revocation,
    Router,
    Security,
    Settings,
    SignedManifest,
    Signer,
    StrongroomError,
    sign_manifest,
)
from strongroom.models.trust import Admitted, admit
from tests.cli.commands import strongroom
from tests.conftest import Model, settings
from tests.models.signing import Key, certificate, identity, key
from tests.models.sigstore import Instance


@pytest.fixture
def folder(tiny: Model, tmp_path: Path) -> Path:
    """A published model: its file, and others beside it."""
    folder = tmp_path.resolve() / "published"
    (folder / "more").mkdir(parents=True)
    shutil.copy(tiny.path, folder / "tiny.gguf")
    shutil.copy(tiny.path, folder / "more" / "second.gguf")
    (folder / "config.json").write_text("{}")
    return folder


def load(path: Path, manifest: object, checksum: str | None = None, **policy: Any) -> Admitted:
    return admit(
        str(path),
        name="tiny",
        checksum=checksum,
        manifest=manifest,  # type: ignore[arg-type]
        security=Security(model_verification=ModelVerification(**policy)),
        allow_architectures=(),
        progress=None,
    )


def code_of(*arguments: Any, **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        load(*arguments, **options)
    return caught.value.code


WAYS: list[dict[str, Any]] = [
    {},
    {"algorithm": "blake2b"},
    {"algorithm": "blake3"},
    {"shard_size": 100_000},
    {"shard_size": 100_000, "algorithm": "blake2b"},
]


@pytest.mark.parametrize("options", WAYS)
def test_a_manifest_proves_what_it_lists(folder: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    pair = key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private, **options)
    manifest = SignedManifest(signature, public_key=pair.public)
    for name in ("tiny.gguf", "more/second.gguf"):
        image, decision = load(folder / name, manifest, proof="oms")
        assert image.verified
        assert image.listed is not None
        assert (image.listed.files, image.listed.listed) == (1, 3)
        assert decision.signer == image.listed.key
    # What nobody listed, and what is beside the model, doesn't matter to its load.
    (folder / "new.txt").write_text("unlisted")
    (folder / "config.json").unlink()
    assert load(folder / "tiny.gguf", manifest).image.verified
    shutil.copy(folder / "tiny.gguf", folder / "unlisted.gguf")
    assert code_of(folder / "unlisted.gguf", manifest) == "manifest.not_listed"
    assert code_of(folder.parent / "tiny.gguf", manifest) == "manifest.not_listed"


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("place", [5_000, 150_000, -1])
def test_one_changed_byte(folder: Path, tmp_path: Path, options: dict[str, Any], place: int) -> None:
    pair = key(tmp_path)
    manifest = SignedManifest(sign_manifest(folder, private_key=pair.private, **options), pair.public)
    content = bytearray((folder / "tiny.gguf").read_bytes())
    content[place] ^= 1
    (folder / "tiny.gguf").write_bytes(content)
    assert code_of(folder / "tiny.gguf", manifest) in {"checksum.mismatch", "manifest.file_differs"}
    # Another proof takes nothing away from what the manifest asks for.
    right = Model.of(folder / "tiny.gguf").checksum
    found = code_of(folder / "tiny.gguf", manifest, right)
    assert found in {"checksum.mismatch", "manifest.file_differs"}


def test_shorter_and_longer_than_its_shards(folder: Path, tmp_path: Path) -> None:
    pair = key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private, shard_size=100_000)
    manifest = SignedManifest(signature, pair.public)
    content = (folder / "tiny.gguf").read_bytes()
    for changed in (content[:-1], content + b"\0", content[:100_000]):
        (folder / "tiny.gguf").write_bytes(changed)
        assert code_of(folder / "tiny.gguf", manifest) == "manifest.file_differs"


def test_a_checksum_has_to_hold_beside_it(folder: Path, tiny: Model, tmp_path: Path) -> None:
    pair = key(tmp_path)
    manifest = SignedManifest(sign_manifest(folder, private_key=pair.private), pair.public)
    assert load(folder / "tiny.gguf", manifest, tiny.checksum).image.digest == tiny.checksum
    assert code_of(folder / "tiny.gguf", manifest, "sha512:" + "0" * 128) == "checksum.mismatch"


def test_another_file_of_the_manifest_is_not_this_one(folder: Path, tmp_path: Path, models: Path) -> None:
    pair = key(tmp_path)
    shutil.copy(models / "untemplated.gguf", folder / "more" / "second.gguf")
    manifest = SignedManifest(sign_manifest(folder, private_key=pair.private), pair.public)
    shutil.copy(folder / "more" / "second.gguf", folder / "tiny.gguf")
    assert code_of(folder / "tiny.gguf", manifest) == "checksum.mismatch"


def test_a_single_file(folder: Path, tmp_path: Path) -> None:
    pair = key(tmp_path)
    model = folder / "tiny.gguf"
    signature = sign_manifest(model, private_key=pair.private, output=tmp_path / "tiny.sig")
    assert load(model, SignedManifest(signature, pair.public), proof="oms").image.verified
    model.write_bytes(model.read_bytes() + b"\0")
    assert code_of(model, SignedManifest(signature, pair.public)) == "checksum.mismatch"


def test_the_parts_of_a_model(specimen: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    subprocess.run([specimen, "parts", folder / "tiny"], check=True)
    pair = key(tmp_path)
    for options in ({}, {"algorithm": "blake3"}):
        signature = sign_manifest(folder, private_key=pair.private, **options)  # type: ignore[arg-type]
        manifest = SignedManifest(signature, pair.public)
        first = folder / "tiny-00001-of-00003.gguf"
        image, _ = load(first, manifest, proof="oms")
        assert image.listed is not None
        assert image.listed.files == 3
        last = folder / "tiny-00003-of-00003.gguf"
        content = last.read_bytes()
        last.write_bytes(content[:-1] + b"\1")
        assert code_of(first, manifest) == "checksum.mismatch"
        last.write_bytes(content)
        signature.unlink()
    signature = sign_manifest(folder, private_key=pair.private, shard_size=100_000)
    assert code_of(first, SignedManifest(signature, pair.public)) == "manifest.statement_unsupported"


def test_by_whom(folder: Path, tmp_path: Path) -> None:
    pair = key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private)
    model = folder / "tiny.gguf"
    assert code_of(model, SignedManifest(signature, key(tmp_path, name="other").public)).startswith(
        "manifest."
    )
    for whom in ({}, {"identity": "a@example.org"}, {"public_key": pair.public, "identity": "a@example.org"}):
        assert code_of(model, SignedManifest(signature, **whom)) == "option.out_of_range"
    assert code_of(model, str(signature)) == "option.wrong_type"
    assert code_of(model, SignedManifest(tmp_path / "nothing", pair.public)) == "source.missing"


def test_the_policy_decides_on_the_signer(folder: Path, tmp_path: Path) -> None:
    pair = key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private)
    model, manifest = folder / "tiny.gguf", SignedManifest(signature, pair.public)
    image, _ = load(model, manifest)
    assert image.listed is not None
    signer = image.listed.key
    reserved: dict[str, Any] = {"call_proof": "reserved", "proof": "oms"}
    assert code_of(model, manifest, **reserved) == "trust.reserved"
    acme = Signer(name="acme", key=signer, models=["tiny*"])
    assert load(model, manifest, signers=[acme], **reserved).decision.signer == signer
    other = Signer(name="acme", key=signer, models=["other*"])
    assert code_of(model, manifest, signers=[other], **reserved) == "trust.reserved"
    revoked = [Revocation(key=signer, reason="the key was lost")]
    assert code_of(model, manifest, revoked=revoked) == "trust.revoked"


def test_a_certificate_s_root_is_what_a_policy_pins(folder: Path, tmp_path: Path) -> None:
    signer = identity(tmp_path)
    signature = sign_manifest(
        folder, private_key=signer.key.private, certificate_chain=[signer.own, signer.between]
    )
    model, manifest = folder / "tiny.gguf", SignedManifest(signature, certificate_chain=signer.root)
    image, decision = load(model, manifest)
    assert image.listed is not None
    root = image.listed.root_certificate
    assert root is not None
    assert decision.signer == f"{image.listed.subject} under {root}"
    reserved: dict[str, Any] = {"call_proof": "reserved", "proof": "oms"}
    assert code_of(model, manifest, **reserved) == "trust.reserved"
    pinned = Signer(name="acme", root=root, identity=image.listed.subject)
    assert load(model, manifest, signers=[pinned], **reserved).image.verified
    other = Signer(name="acme", root=root, identity="CN=somebody else")
    assert code_of(model, manifest, signers=[other], **reserved) == "trust.reserved"
    assert code_of(model, manifest, revoked=[Revocation(key=root, reason="lost")]) == "trust.revoked"


def fingerprint(certificate: Path) -> str:
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def key_id(pair: Key) -> str:
    der = pair.pair.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_a_revocation_meets_every_authority_by_its_key(folder: Path, tmp_path: Path) -> None:
    signer = identity(tmp_path)
    signature = sign_manifest(
        folder, private_key=signer.key.private, certificate_chain=[signer.own, signer.between]
    )
    model, manifest = folder / "tiny.gguf", SignedManifest(signature, certificate_chain=signer.root)
    authorities = [
        f"sha256:{hashlib.sha256(spki).hexdigest()}"
        for spki in (
            x509.load_pem_x509_certificate(path.read_bytes())
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            for path in (signer.root, signer.between)
        )
    ]
    image, _ = load(model, manifest)
    assert image.listed is not None
    assert image.listed.authorities == authorities
    for revoked in (key_id(signer.key), fingerprint(signer.root), *authorities):
        assert code_of(model, manifest, revoked=[Revocation(key=revoked, reason="lost")]) == "trust.revoked"


def test_a_revoked_root_has_no_twin_that_a_stranger_made(folder: Path, tmp_path: Path) -> None:
    root, own, stranger = (key(tmp_path, name=name) for name in ("root", "own", "stranger"))
    made = {
        "root": certificate("root", root, "root", root, authority=True),
        "twin": certificate("root", root, "root", stranger, authority=True),
        "own": certificate("publisher", own, "root", root, authority=False),
    }
    for name, issued in made.items():
        (tmp_path / f"{name}.crt").write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    signature = sign_manifest(folder, private_key=own.private, certificate_chain=tmp_path / "own.crt")
    revoked = [Revocation(key=fingerprint(tmp_path / "root.crt"), reason="the root was stolen")]
    model = folder / "tiny.gguf"
    for name, code in (("root", "trust.revoked"), ("twin", "certificate.no_root")):
        manifest = SignedManifest(signature, certificate_chain=tmp_path / f"{name}.crt")
        assert code_of(model, manifest, revoked=revoked) == code


def test_signers_are_told_apart_by_their_whole_names(folder: Path, tmp_path: Path) -> None:
    root, own = key(tmp_path, name="root"), key(tmp_path, name="own")
    house = certificate("root", root, "root", root, authority=True)
    (tmp_path / "root.crt").write_bytes(house.public_bytes(serialization.Encoding.PEM))
    reserved: dict[str, Any] = {"call_proof": "reserved", "proof": "oms"}
    pinned = Signer(
        name="acme",
        root=fingerprint(tmp_path / "root.crt"),
        identity="CN=O'Neil" + ",OU=models" * 11 + ",O=Acme",
    )
    for organisation, code in (("Acme", None), ("Mallory", "trust.reserved")):
        issued = certificate(["O'Neil", *["models"] * 11, organisation], own, "root", root, authority=False)
        (tmp_path / "own.crt").write_bytes(issued.public_bytes(serialization.Encoding.PEM))
        (folder / "model.sig").unlink(missing_ok=True)
        signature = sign_manifest(folder, private_key=own.private, certificate_chain=tmp_path / "own.crt")
        manifest = SignedManifest(signature, certificate_chain=tmp_path / "root.crt")
        if code is None:
            assert load(folder / "tiny.gguf", manifest, signers=[pinned], **reserved).image.verified
        else:
            assert code_of(folder / "tiny.gguf", manifest, signers=[pinned], **reserved) == code


@pytest.mark.parametrize(
    "identity",
    [
        "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main",
        "https://github.com/o'neil/\\x",
        f"https://github.com/acme/{'a' * 200}/release.yml@refs/heads/main",
    ],
)
def test_an_identity_counts_by_the_trusted_root_that_the_policy_names(
    folder: Path, tmp_path: Path, identity: str
) -> None:
    model, issuer = folder / "tiny.gguf", "https://token.actions.githubusercontent.com"
    reserved: dict[str, Any] = {"call_proof": "reserved", "proof": "oms"}

    def signed_by(instance: Instance, name: str) -> tuple[SignedManifest, str]:
        root = instance.trusted_root(tmp_path / f"{name}.json")
        signature = instance.sign(model, folder / f"{name}.sig", identity=identity, issuer=issuer)
        manifest = SignedManifest(signature, identity=identity, issuer=issuer, trusted_root=root)
        return manifest, f"sha256:{hashlib.sha256(root.read_bytes()).hexdigest()}"

    ours, digest = signed_by(Instance(), "ours")
    theirs, other = signed_by(Instance(), "theirs")
    signer = Signer(name="acme", identity=identity, issuer=issuer, trusted_root=digest)
    image, decision = load(model, ours, signers=[signer], **reserved)
    assert image.listed is not None
    assert (image.listed.identity, image.listed.trusted_root) == (identity, digest)
    assert decision.proof is not None
    assert digest in str(decision.proof)
    # The caller made an instance that vouches for the same identity.
    assert code_of(model, theirs, signers=[signer], **reserved) == "trust.reserved"
    assert load(model, theirs).decision.signer != decision.signer
    for manifest, revoked in ((ours, digest), (theirs, other)):
        entry = Revocation(key=revoked, reason="the authority fell")
        assert code_of(model, manifest, revoked=[entry]) == "trust.revoked"


def test_router_and_command_line(folder: Path, tmp_path: Path) -> None:
    pair: Key = key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private)
    model = folder / "tiny.gguf"
    with Router(Settings(security=settings().security)) as router:
        info = router.load("tiny", model, manifest=SignedManifest(signature, pair.public))
        assert info.verified
        assert info.signer is not None
        assert any("an OMS signature by" in step for step in info.why)
    options = ("--manifest", signature, "--public-key", pair.public)
    run = strongroom("run", model, "Hello", "--max-tokens", "2", *options)
    assert run.returncode == 0, run.stderr
    assert f"signed by {info.signer}, in a manifest" in run.stderr
    why = strongroom("trust", "why", model, *options)
    assert "an OMS signature by" in why.stdout
    refused = strongroom("run", model, "Hello", "--identity", "a@example.org")
    assert refused.returncode == 1
    assert "--manifest" in refused.stderr
