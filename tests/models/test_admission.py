"""The trust policy on real files: what is refused is refused of the bytes that were read."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    ModelRule,
    ModelVerification,
    OptionError,
    Revocation,
    Router,
    Security,
    Settings,
    SettingsError,
    StrongroomError,
    TrustedDigest,
    TrustedSource,
    TrustError,
    _core,
)
from strongroom.models import trust
from strongroom.models.trust import Admitted, admit
from strongroom.trust.decision import decide_early
from tests.conftest import Model


def load(
    path: Path | str,
    checksum: str | None,
    *,
    name: str = "tiny",
    version: Any = None,
    verification: Any = "always",
    progress: Callable[[int, int], None] | None = None,
    **policy: Any,
) -> Admitted:
    return admit(
        str(path),
        name=name,
        version=version,
        checksum=checksum,
        security=Security(verification=verification, model_verification=ModelVerification(**policy)),
        allow_architectures=(),
        progress=progress,
    )


def code_of(*arguments: Any, **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        load(*arguments, **options)
    return caught.value.code


def digest_of(model: Model, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, model.path.read_bytes()).hexdigest()}"


def copy_of(model: Model, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.path.read_bytes())
    return path


def test_without_a_policy_a_digest_in_the_call_is_proof(tiny: Model) -> None:
    image, decision = load(tiny.path, tiny.checksum)
    assert image.verified
    assert image.digests == [tiny.checksum]
    assert decision.evidence.digests == (tiny.checksum,)
    assert decision.evidence.size == tiny.path.stat().st_size
    assert decision.evidence.architecture == "llama"
    assert str(decision.evidence.source) == str(tiny.path.resolve())
    assert decision.signer is None


@pytest.mark.parametrize("revoked", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("given", ["sha256", "sha384", "sha512"])
def test_a_revoked_digest_is_refused_whatever_the_checksums_algorithm(
    revoked: str, given: str, tiny: Model
) -> None:
    entries = [Revocation(digest=digest_of(tiny, revoked), reason="poisoned")]
    with pytest.raises(TrustError, match="is revoked: poisoned") as caught:
        load(tiny.path, digest_of(tiny, given), revoked=entries)
    assert caught.value.code == "trust.revoked"
    others = [Revocation(digest=f"{revoked}:{'0' * len(digest_of(tiny, revoked)[7:])}", reason="x")]
    image, _ = load(tiny.path, digest_of(tiny, given), revoked=others)
    assert image.digest == digest_of(tiny, given)
    assert set(image.digests) == {digest_of(tiny, revoked), digest_of(tiny, given)}


def test_the_named_danger_overrides_no_revocation(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    entries = [Revocation(digest=digest_of(tiny, "sha512"), reason="poisoned")]
    assert code_of(tiny.path, None, verification="danger-none", revoked=entries) == "trust.revoked"
    assert not caplog.records


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tiny: Model) -> None:
    size = tiny.path.stat().st_size
    read: list[int] = []
    options: dict[str, Any] = {"progress": lambda done, _total: read.append(done)}
    assert code_of(tiny.path, tiny.checksum, max_size=size - 1, **options) == "trust.too_large"
    assert not read
    assert load(tiny.path, tiny.checksum, max_size=size, **options).image.verified
    assert read


def test_a_file_that_grows_after_the_look_is_too_large(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "decide_early", lambda *_arguments: None)
    assert code_of(tiny.path, tiny.checksum, max_size=5) == "trust.too_large"


def test_architectures_are_held_to_the_policy(tiny: Model) -> None:
    assert code_of(tiny.path, tiny.checksum, architectures=["qwen2"]) == "trust.architecture"
    assert load(tiny.path, tiny.checksum, architectures=["llama"]).image.verified


def test_a_root_is_a_bound(tiny: Model, tmp_path: Path) -> None:
    root = (tmp_path / "root").resolve()
    inside = copy_of(tiny, root / "deep/tiny.gguf")
    outside = copy_of(tiny, tmp_path / "outside/tiny.gguf")
    roots = [str(root)]
    assert load(inside, tiny.checksum, trusted_sources=roots).image.verified
    assert load(root / "deep/../deep/./tiny.gguf", tiny.checksum, trusted_sources=roots).image.verified
    (root / "link.gguf").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (tmp_path / "in.gguf").symlink_to(inside)
    sibling = copy_of(tiny, tmp_path / "root2/tiny.gguf")
    for path in (
        outside,
        sibling,
        root / "../outside/tiny.gguf",
        root / "link.gguf",
        root / "folder/tiny.gguf",
        f"{root}/folder/../outside/tiny.gguf",
    ):
        assert code_of(path, tiny.checksum, trusted_sources=roots) == "trust.source", path
    # What counts is where the file is, not by which way it was found.
    assert load(tmp_path / "in.gguf", tiny.checksum, trusted_sources=roots).image.verified


def test_a_path_that_turns_after_the_look_is_refused_by_where_it_led(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = (tmp_path / "root").resolve()
    copy_of(tiny, root / "tiny.gguf")
    outside = copy_of(tiny, tmp_path / "outside/tiny.gguf")

    def look_then_turn(*arguments: Any) -> None:
        decide_early(*arguments)
        (root / "tiny.gguf").unlink()
        (root / "tiny.gguf").symlink_to(outside)

    monkeypatch.setattr(trust, "decide_early", look_then_turn)
    assert code_of(root / "tiny.gguf", tiny.checksum, trusted_sources=[str(root)]) == "trust.source"


def test_a_path_that_turns_back_again_is_refused_by_where_it_led(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = (tmp_path / "root").resolve()
    inside = copy_of(tiny, root / "tiny.gguf")
    outside = copy_of(tiny, tmp_path / "outside/tiny.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(inside)

    def turn_to(target: Path) -> None:
        link.unlink()
        link.symlink_to(target)

    def look_then_turn(*arguments: Any) -> None:
        decide_early(*arguments)
        turn_to(outside)

    monkeypatch.setattr(trust, "decide_early", look_then_turn)
    turned: list[int] = []

    def back(done: int, _total: int) -> None:
        turned.append(done)
        turn_to(inside)

    options: dict[str, Any] = {"trusted_sources": [str(root)], "progress": back}
    assert code_of(link, tiny.checksum, **options) == "trust.source"
    assert turned
    assert link.resolve() == inside


def test_a_file_without_a_name_is_in_no_root_and_loads_where_none_is_asked_for(
    tiny: Model, tmp_path: Path
) -> None:
    path = copy_of(tiny, tmp_path.resolve() / "tiny.gguf")
    with path.open("rb") as file:
        path.unlink()
        nameless = f"/proc/self/fd/{file.fileno()}"
        image, _ = load(nameless, tiny.checksum)
        assert image.real_path is None
        assert code_of(nameless, tiny.checksum, trusted_sources=[str(tmp_path)]) == "trust.source"
        # A new file under the old name, or under the name that the kernel shows, is not the one that is read.
        copy_of(tiny, path)
        copy_of(tiny, tmp_path.resolve() / "tiny.gguf (deleted)")
        assert load(nameless, tiny.checksum).image.real_path is None


def test_other_sources_are_no_files(tiny: Model) -> None:
    for source in ("https://example.com", "hf://acme"):
        assert code_of(tiny.path, tiny.checksum, trusted_sources=[source]) == "trust.source"


def test_a_signature_is_asked_for_and_a_digest_is_none(tiny: Model) -> None:
    assert code_of(tiny.path, tiny.checksum, proof="signature") == "trust.unsigned"
    assert code_of(tiny.path, tiny.checksum, proof="oms") == "trust.unsigned"
    rules = [ModelRule(name="ti*", proof="signature")]
    assert code_of(tiny.path, tiny.checksum, models=rules) == "trust.unsigned"
    assert load(tiny.path, tiny.checksum, name="other", models=rules).image.verified


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_digest_of_the_policy_is_proof_without_one_in_the_call(algorithm: str, tiny: Model) -> None:
    pin = digest_of(tiny, algorithm)
    digests = [
        TrustedDigest(digest=f"sha256:{'0' * 64}"),
        TrustedDigest(digest=pin, name="ti*", version="1.2"),
    ]
    image, decision = load(tiny.path, None, digests=digests)
    assert image.verified
    assert image.digest == pin
    assert decision.version == "1.2"
    with pytest.raises(TrustError) as caught:
        load(tiny.path, None, digests=digests, name="other")
    assert caught.value.code == "trust.no_proof"
    assert tiny.checksum in caught.value.message
    with pytest.raises(ChecksumError):
        load(tiny.path, f"sha256:{'0' * 64}", digests=digests)


def test_proof_that_is_reserved(tiny: Model) -> None:
    reserved: dict[str, Any] = {"call_proof": "reserved"}
    assert code_of(tiny.path, tiny.checksum, **reserved) == "trust.reserved"
    assert code_of(tiny.path, None, **reserved) == "trust.reserved"
    digests = [TrustedDigest(digest=tiny.checksum)]
    for checksum in (tiny.checksum, None, digest_of(tiny, "sha512")):
        assert load(tiny.path, checksum, digests=digests, **reserved).image.verified


def test_the_named_danger_is_told_apart_from_a_digest_of_the_policy(
    tiny: Model, caplog: pytest.LogCaptureFixture
) -> None:
    digests = [TrustedDigest(digest=tiny.checksum)]
    assert load(tiny.path, None, verification="danger-none", digests=digests).image.verified
    assert not caplog.records
    zeros = [TrustedDigest(digest=f"sha256:{'0' * 64}")]
    image, decision = load(tiny.path, None, verification="danger-none", digests=zeros)
    assert not image.verified
    assert decision.proof is None
    assert "danger-none" in caplog.text


def test_minimum_versions(tiny: Model) -> None:
    rules = [ModelRule(name="tiny", minimum_version="2.0")]
    assert load(tiny.path, tiny.checksum, version="2.0", models=rules).decision.version == "2.0"
    assert code_of(tiny.path, tiny.checksum, version="1.9", models=rules) == "trust.version"
    assert code_of(tiny.path, tiny.checksum, models=rules) == "trust.version"


@pytest.mark.parametrize("version", ["", "latest", "1.0-beta", 1, b"1", "\u0663"])
def test_a_version_that_is_none(version: Any, tiny: Model) -> None:
    with pytest.raises(OptionError, match="version must be") as caught:
        load(tiny.path, tiny.checksum, version=version)
    assert caught.value.code == "option.out_of_range"


def test_what_is_loaded_is_recorded_and_held_to_the_record(
    tiny: Model, untemplated: Model, tmp_path: Path
) -> None:
    path = tmp_path.resolve() / "strongroom.lock"
    options: dict[str, Any] = {"lock": str(path)}
    _, decision = load(tiny.path, digest_of(tiny, "sha512"), version="1.0", **options)
    assert decision.why[-1].startswith("record: ")
    recorded = {"digest": tiny.checksum, "signer": None, "version": "1.0"}
    assert json.loads(path.read_text())["models"] == {"tiny": recorded}
    before = path.read_bytes()
    load(tiny.path, tiny.checksum, **options)
    assert code_of(untemplated.path, untemplated.checksum, version="1.1", **options) == "trust.changed"
    assert code_of(untemplated.path, untemplated.checksum, version="0.9", **options) == "trust.rollback"
    assert code_of(tiny.path, tiny.checksum, version="0.9", **options) == "trust.rollback"
    danger: dict[str, Any] = {"verification": "danger-none"}
    assert code_of(untemplated.path, None, **danger, **options) == "trust.changed"
    assert path.read_bytes() == before
    load(untemplated.path, untemplated.checksum, name="other", **options)
    assert json.loads(path.read_text())["models"].keys() == {"tiny", "other"}


def test_what_is_refused_is_not_recorded(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path.resolve() / "strongroom.lock"
    entries = [Revocation(digest=tiny.checksum, reason="x")]
    assert code_of(tiny.path, tiny.checksum, lock=str(path), revoked=entries) == "trust.revoked"
    assert code_of(tiny.path, None, lock=str(path)) == "trust.no_proof"
    assert not path.exists()


def settings(**policy: Any) -> Settings:
    return Settings(security=Security(model_verification=ModelVerification(**policy)))


def test_roots_are_checked_when_the_router_is_made(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "models"
    missing = settings(trusted_sources=[str(folder)])
    with pytest.raises(SettingsError, match="No such file") as caught:
        Router(missing)
    assert caught.value.code == "settings.machine"
    folder.touch()
    with pytest.raises(SettingsError, match="no directory"):
        Router(missing)
    folder.unlink()
    folder.mkdir()
    Router(missing).close()
    link = tmp_path.resolve() / "link"
    link.symlink_to(folder)
    with pytest.raises(SettingsError, match="symbolic link") as caught:
        Router(settings(trusted_sources=[TrustedSource(root=str(link))]))
    assert repr(str(folder)) in caught.value.next_step


def test_the_record_is_checked_when_the_router_is_made(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "strongroom.lock"
    Router(settings(lock=str(path))).close()
    path.write_text("{}")
    with pytest.raises(TrustError) as caught:
        Router(settings(lock=str(path)))
    assert caught.value.code == "trust.lock_malformed"


def test_the_core_takes_pins_and_algorithms_strictly(tiny: Model) -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(StrongroomError) as caught:
            _core.Image.load(str(tiny.path), checksum=tiny.checksum, **options)
        return caught.value.code

    assert refused(pins=["sha256:00"]) == "checksum.malformed"
    assert refused(pins=["md5:00"]) == "checksum.unknown_algorithm"
    assert refused(algorithms=["md5"]) == "checksum.unknown_algorithm"
    assert refused(algorithms=["\udc80"]) == "checksum.unknown_algorithm"
    image = _core.Image.load(
        str(tiny.path), checksum=tiny.checksum, algorithms=["sha512", "sha256", "sha512"]
    )
    assert image.digests == [digest_of(tiny, "sha256"), digest_of(tiny, "sha512")]
