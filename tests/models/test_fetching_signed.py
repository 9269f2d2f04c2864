"""Downloads that signatures and signed manifests prove, from a host that speaks TLS."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
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
    fetch,
    sign_manifest,
)
from tests.conftest import Model
from tests.hosts import Host, serving
from tests.models.signing import key
from tests.signers import KINDS, key_pair, minisign, minisign_pair, openssl_sign

ALL = [*KINDS, "minisign"]
WAYS: list[dict[str, Any]] = [{}, {"algorithm": "blake3"}, {"shard_size": 100_000}]


@pytest.fixture
def host(tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with serving(tmp_path) as host:
        shutil.copy(tiny.path, host.folder / "model.gguf")
        yield host


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "xdg/strongroom"


def signed(kind: str, model: Path) -> tuple[Path, str]:
    """A public key, and the name of the signature beside the model that the host serves."""
    folder = model.parent.parent
    if kind == "minisign":
        private, public = minisign_pair(folder)
        minisign(f"-S -s {private} -m {model}", folder)
        return public, "model.gguf.minisig"
    private, public = key_pair(kind, folder)
    openssl_sign(kind, private, model, model.with_name("model.gguf.sig"))
    return public, "model.gguf.sig"


def content_of(cache: Path) -> list[Path]:
    return list((cache / "sha256").iterdir()) if cache.exists() else []


def code_of(host: Host, url: str = "/model.gguf", settings: Settings | None = None, **proofs: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        fetch(host.url + url, settings=settings or host.settings(), **proofs)
    assert caught.value.next_step
    return caught.value.code


@pytest.mark.parametrize("kind", ALL)
def test_a_signature_proves_a_download(host: Host, tiny: Model, cache: Path, kind: str) -> None:
    public, name = signed(kind, host.folder / "model.gguf")
    url = f"{host.url}/model.gguf"
    for place in (f"{host.url}/{name}", host.folder / name):
        fetched = fetch(url, signature=place, public_key=public, settings=host.settings())
        assert (fetched.digest, fetched.verified) == (tiny.checksum, True)
        assert fetched.evidence is not None
        assert fetched.evidence.signer.startswith("sha256:")
    # The model once: signed, it is found again, and the signature of this machine asks nobody.
    assert fetched.cached
    assert host.requests == [f"/{name}", "/model.gguf"]
    assert len(content_of(cache)) == 1


@pytest.mark.parametrize("kind", ALL)
def test_what_was_not_signed_has_no_name(host: Host, cache: Path, kind: str) -> None:
    model = host.folder / "model.gguf"
    public, name = signed(kind, model)
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    proofs: dict[str, Any] = {"signature": f"{host.url}/{name}", "public_key": public}
    assert code_of(host, **proofs) == "signature.invalid"
    assert content_of(cache) == []
    assert not list((cache / "partial").glob("*.part"))
    content[-1] ^= 1
    model.write_bytes(content)
    # A checksum has to hold besides.
    assert code_of(host, checksum="sha256:" + "0" * 64, **proofs) == "checksum.mismatch"
    assert code_of(host, checksum="sha512:" + "0" * 128, **proofs) == "checksum.mismatch"
    assert content_of(cache) == []
    checksum = Model.of(model).checksum
    assert fetch(f"{host.url}/model.gguf", checksum=checksum, settings=host.settings(), **proofs).verified


def test_another_version_comes_with_another_signature(host: Host, cache: Path, models: Path) -> None:
    model = host.folder / "model.gguf"
    private, public = key_pair("p256", host.folder.parent)
    proofs: dict[str, Any] = {"signature": f"{host.url}/model.gguf.sig", "public_key": public}
    digests = []
    with Router(host.settings()) as router:
        for version, path in enumerate((models / "tiny.gguf", models / "untemplated.gguf")):
            shutil.copy(path, model)
            openssl_sign("p256", private, model, host.folder / "model.gguf.sig")
            for again in range(2):
                info = router.load(f"{version}{again}", f"{host.url}/model.gguf", **proofs)
                digests.append(info.digest)
                assert info.verified
                assert info.evidence[0].how == "ECDSA on P-256 over sha256"
    assert digests[0] == digests[1] != digests[2] == digests[3]
    assert len(content_of(cache)) == 2
    # The signature each time, the model once per version.
    assert host.requests.count("/model.gguf") == 2
    assert host.requests.count("/model.gguf.sig") == 4


def test_damaged_in_the_cache_it_is_seen_while_loading(host: Host, tiny: Model, cache: Path) -> None:
    for kind in ("p256", "ed25519"):
        public, name = signed(kind, host.folder / "model.gguf")
        with Router(host.settings()) as router:
            for load in ("first", "second"):
                info = router.load(
                    load, f"{host.url}/model.gguf", signature=host.folder / name, public_key=public
                )
                assert info.size == tiny.path.stat().st_size
                [file] = content_of(cache)
                file.unlink()
                file.write_bytes(b"damaged")
    assert host.requests == ["/model.gguf"] * 4


def test_what_is_beside_a_model_on_a_host(host: Host, cache: Path) -> None:
    public, name = signed("p256", host.folder / "model.gguf")
    there = f"{host.url}/{name}"
    # None is looked for that isn't named; and who names none asks no host.
    assert code_of(host, public_key=public) == "option.out_of_range"
    assert code_of(host, signature=there) == "trust.no_key"
    assert code_of(host, signature=there, public_key=f"{host.url}/key.pub") == "option.out_of_range"
    assert "/model.gguf" not in host.requests
    assert code_of(host, signature=f"{host.url}/none", public_key=public) == "fetch.status"
    assert code_of(host, signature="https://a.example/s", public_key=public) == "fetch.host"
    assert code_of(host, signature="hf://acme/models/s.sig", public_key=public) == "fetch.organisation"
    # A model is not read in the place of its signature.
    assert code_of(host, signature=f"{host.url}/model.gguf", public_key=public) == "fetch.side_file"
    (host.folder / "empty.sig").touch()
    assert code_of(host, signature=f"{host.url}/empty.sig", public_key=public) == "signature.malformed"
    (host.folder / "long.sig").write_bytes(b"x" * (16 << 10))
    assert code_of(host, signature=f"{host.url}/long.sig", public_key=public) == "signature.malformed"
    assert "/model.gguf" not in host.requests[:-3]
    assert content_of(cache) == []


def test_a_model_of_this_machine_has_its_proofs_here(host: Host, tiny: Model) -> None:
    public, name = signed("p256", host.folder / "model.gguf")
    with Router(host.settings()) as router:
        ways: list[dict[str, Any]] = [
            {"signature": f"{host.url}/{name}", "public_key": public},
            {"manifest": SignedManifest(f"{host.url}/model.sig", public)},
        ]
        for proofs in ways:
            with pytest.raises(StrongroomError, match="must be a file of this machine") as caught:
                router.load("tiny", tiny.path, **proofs)
            assert caught.value.code == "option.out_of_range"
    assert host.requests == []


def test_the_policy_s_signers_are_met(host: Host) -> None:
    public, name = signed("p384", host.folder / "model.gguf")
    proofs: dict[str, Any] = {"signature": f"{host.url}/{name}", "public_key": public}
    url = f"{host.url}/model.gguf"
    evidence = fetch(url, settings=host.settings(), **proofs).evidence
    assert evidence is not None

    def under(**policy: Any) -> Settings:
        verification = ModelVerification(call_proof="reserved", proof="signature", **policy)
        return replace(host.settings(), security=Security(model_verification=verification))

    acme = Signer(name="acme", key=evidence.signer, models=["tiny*"])
    with Router(under(signers=[acme])) as router:
        info = router.load("tiny", url, **proofs)
        assert info.signer == evidence.signer
        assert any(f"source: {host.url} is of" in step or "source" in step for step in info.why)
        with pytest.raises(StrongroomError) as caught:
            router.load("other", url, **proofs)
        assert caught.value.code == "trust.reserved"
    revoked = under(signers=[acme], revoked=[Revocation(key=evidence.signer, reason="lost")])
    with Router(revoked) as router, pytest.raises(StrongroomError) as caught:
        router.load("tiny", url, **proofs)
    assert caught.value.code == "trust.revoked"


def test_the_policy_is_asked_before_a_signature_is(host: Host) -> None:
    public, name = signed("p256", host.folder / "model.gguf")
    elsewhere = ModelVerification(trusted_sources=["https://models.example.org"])
    settings = replace(host.settings(), security=Security(model_verification=elsewhere))
    proofs: dict[str, Any] = {"signature": f"{host.url}/{name}", "public_key": public}
    assert code_of(host, settings=settings, **proofs) == "trust.source"
    assert host.requests == []


def published(host: Host, tiny: Model) -> Path:
    """A directory that the host serves, with models to list."""
    folder = host.folder / "published"
    (folder / "more").mkdir(parents=True)
    shutil.copy(tiny.path, folder / "tiny.gguf")
    shutil.copy(tiny.path.with_name("untemplated.gguf"), folder / "more" / "a model.gguf")
    return folder


@pytest.mark.parametrize("options", WAYS)
def test_a_manifest_proves_a_download(
    host: Host, tiny: Model, cache: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder, pair = published(host, tiny), key(tmp_path)
    signature = sign_manifest(folder, private_key=pair.private, **options)
    there = SignedManifest(f"{host.url}/published/model.sig", public_key=pair.public)
    for name in ("tiny.gguf", "more/a%20model.gguf"):
        with Router(host.settings()) as router:
            for load in ("first", "second"):
                info = router.load(load, f"{host.url}/published/{name}?token=SECRET", manifest=there)
                assert info.verified
                assert any("an OMS signature by" in step for step in info.why)
    assert [path for path in host.requests if "gguf" in path] == [
        "/published/tiny.gguf?token=SECRET",
        "/published/more/a%20model.gguf?token=SECRET",
    ]
    # A manifest of this machine lists the file by its own name.
    here = SignedManifest(signature, public_key=pair.public)
    url = f"{host.url}/published/tiny.gguf"
    assert fetch(url, manifest=here, settings=host.settings()).verified
    assert code_of(host, "/model.gguf", manifest=here) == "manifest.not_listed"
    assert code_of(host, "/model.gguf", manifest=there) == "manifest.not_listed"
    assert code_of(host, "/published/more/a%20model.gguf", manifest=here) == "manifest.not_listed"
    assert len(content_of(cache)) == 2


@pytest.mark.parametrize("options", WAYS)
def test_another_file_than_the_one_that_is_listed(
    host: Host, tiny: Model, cache: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder, pair = published(host, tiny), key(tmp_path)
    sign_manifest(folder, private_key=pair.private, **options)
    manifest = SignedManifest(f"{host.url}/published/model.sig", public_key=pair.public)
    content = (folder / "tiny.gguf").read_bytes()
    differs = {"checksum.mismatch", "manifest.file_differs"}
    other = (folder / "more" / "a model.gguf").read_bytes()
    for changed in (content[:-1] + b"\1", content[:-1], content + b"\0", other):
        (folder / "tiny.gguf").write_bytes(changed)
        assert code_of(host, "/published/tiny.gguf", manifest=manifest) in differs
    assert content_of(cache) == []
    (folder / "tiny.gguf").write_bytes(content)
    bad = "sha256:" + "0" * 64
    assert code_of(host, "/published/tiny.gguf", manifest=manifest, checksum=bad) == "checksum.mismatch"
    stranger = SignedManifest(f"{host.url}/published/model.sig", key(tmp_path, name="other").public)
    assert code_of(host, "/published/tiny.gguf", manifest=stranger).startswith("manifest.")
    nowhere = SignedManifest(f"{host.url}/published/none.sig", pair.public)
    assert code_of(host, "/published/tiny.gguf", manifest=nowhere) == "fetch.status"
    assert content_of(cache) == []
    assert fetch(f"{host.url}/published/tiny.gguf", manifest=manifest, settings=host.settings()).verified


def test_a_manifest_of_one_file(host: Host, tmp_path: Path, cache: Path) -> None:
    pair = key(tmp_path)
    model = host.folder / "model.gguf"
    sign_manifest(model, private_key=pair.private, output=host.folder / "one.sig")
    manifest = SignedManifest(f"{host.url}/one.sig", pair.public)
    with Router(host.settings()) as router:
        assert router.load("tiny", f"{host.url}/model.gguf", manifest=manifest).verified
    # And a signature besides has to hold too.
    public, name = signed("ed25519", model)
    both: dict[str, Any] = {"manifest": manifest, "signature": f"{host.url}/{name}", "public_key": public}
    assert fetch(f"{host.url}/model.gguf", settings=host.settings(), **both).evidence is not None
    (host.folder / name).write_bytes(bytes(64))
    shutil.rmtree(cache)
    assert code_of(host, **both) == "signature.invalid"
    assert content_of(cache) == []
