"""A signed manifest as proof of a load."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

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
from tests.models.signing import Key, identity, key


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
