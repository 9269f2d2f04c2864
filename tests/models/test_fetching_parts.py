"""Models in parts from a host: each proved on its own, all of them one model."""

import shutil
import subprocess
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
    StrongroomError,
    fetch,
    sign_manifest,
)
from tests.conftest import Model
from tests.hosts import Host, serving
from tests.models.signing import key

FIRST = "/split/tiny-00001-of-00003.gguf"


@pytest.fixture
def host(tmp_path: Path, specimen: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with serving(tmp_path) as host:
        (host.folder / "split").mkdir()
        subprocess.run([specimen, "parts", host.folder / "split/tiny"], check=True)
        yield host


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "xdg/strongroom"


def parts_of(host: Host) -> list[Path]:
    return sorted((host.folder / "split").glob("*.gguf"))


def checksums(host: Host) -> list[str]:
    return [Model.of(path).checksum for path in parts_of(host)]


def code_of(host: Host, url: str = FIRST, settings: Settings | None = None, **proofs: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        fetch(host.url + url, settings=settings or host.settings(), **proofs)
    assert caught.value.next_step
    return caught.value.code


def test_all_parts_come_and_are_one_model(host: Host, cache: Path) -> None:
    proofs = checksums(host)
    url = f"{host.url}{FIRST}?token=SECRET"
    seen: list[tuple[int, int]] = []
    fetched = fetch(url, checksum=proofs, settings=host.settings(), progress=lambda *step: seen.append(step))
    size = sum(path.stat().st_size for path in parts_of(host))
    assert (fetched.size, fetched.verified, fetched.cached) == (size, True, False)
    assert [Path(part).name for part in fetched.parts] == [path.name for path in parts_of(host)]
    assert fetched.path == fetched.parts[0]
    for part, path in zip(fetched.parts, parts_of(host), strict=True):
        assert Path(part).read_bytes() == path.read_bytes()
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert "SECRET" not in "".join(str(path) for path in cache.rglob("*"))
    with Router(host.settings()) as router:
        info = router.load("tiny", url, checksum=proofs)
        assert info.verified
        assert info.digest == fetched.digest
        assert router.complete("a", max_tokens=2).completion_tokens == 2
        # What was printed is a model of this machine.
        assert router.load("again", fetched.path, checksum=fetched.digest).digest == info.digest
    assert fetch(url, checksum=proofs, settings=host.settings()).cached
    assert host.requests == [f"/split/{path.name}?token=SECRET" for path in parts_of(host)]


def test_a_manifest_proves_each(host: Host, tmp_path: Path) -> None:
    pair = key(tmp_path)
    sign_manifest(host.folder / "split", private_key=pair.private)
    manifest = SignedManifest(f"{host.url}/split/model.sig", pair.public)
    with Router(host.settings()) as router:
        for load in ("first", "second"):
            assert router.load(load, host.url + FIRST, manifest=manifest).verified
    assert len([path for path in host.requests if "gguf" in path]) == 3
    # Two parts that each are listed, in each other's place.
    first, second = parts_of(host)[1:]
    held = first.read_bytes()
    shutil.copy(second, first)
    second.write_bytes(held)
    shutil.rmtree(tmp_path / "xdg")
    assert code_of(host, manifest=manifest) == "checksum.mismatch"


def test_a_part_that_is_not_what_it_should_be(host: Host, cache: Path) -> None:
    proofs = checksums(host)
    second = parts_of(host)[1]
    content = second.read_bytes()
    second.write_bytes(content[:-1] + b"\1")
    assert code_of(host, checksum=proofs) == "checksum.mismatch"
    # The first is there, and proved; the rest goes on from it.
    [there] = (cache / "sha256").iterdir()
    assert there.read_bytes() == parts_of(host)[0].read_bytes()
    assert list((cache / "parts").iterdir()) == []
    second.write_bytes(content)
    assert fetch(host.url + FIRST, checksum=proofs, settings=host.settings()).verified
    names = [path.name for path in parts_of(host)]
    assert host.requests == [f"/split/{name}" for name in (names[0], names[1], names[1], names[2])]
    third = parts_of(host)[2]
    third.unlink()
    shutil.rmtree(cache)
    assert code_of(host, checksum=proofs) == "fetch.status"


def test_damaged_in_the_cache_it_is_seen_while_loading(host: Host, cache: Path) -> None:
    proofs = checksums(host)
    with Router(host.settings()) as router:
        router.load("first", host.url + FIRST, checksum=proofs)
        damaged = cache / "sha256" / proofs[2].partition(":")[2]
        damaged.unlink()
        damaged.write_bytes(parts_of(host)[1].read_bytes())
        assert router.load("second", host.url + FIRST, checksum=proofs).verified
    assert host.requests.count(f"/split/{parts_of(host)[2].name}") == 2
    assert len(host.requests) == 4


def test_what_proves_no_parts(host: Host) -> None:
    proofs = checksums(host)
    assert code_of(host) == "trust.no_proof"
    assert code_of(host, checksum=proofs[0]) == "option.wrong_type"
    assert code_of(host, checksum=proofs[:2]) == "checksum.parts"
    assert code_of(host, checksum=[*proofs, proofs[0]]) == "checksum.parts"
    assert code_of(host, "/split/other.gguf", checksum=proofs) == "checksum.parts"
    assert code_of(host, signature="a.sig", public_key="a.pub") == "option.out_of_range"
    assert code_of(host, FIRST.replace("00001", "00002"), checksum=proofs) == "source.parts"
    assert code_of(host, FIRST.replace("00003", "00000"), checksum=proofs) == "source.parts"
    assert host.requests == []


def test_the_policy_is_of_all_parts(host: Host, tmp_path: Path) -> None:
    proofs = checksums(host)
    size = sum(path.stat().st_size for path in parts_of(host))

    def under(**policy: Any) -> Settings:
        return replace(host.settings(), security=Security(model_verification=ModelVerification(**policy)))

    revoked = Revocation(digest=proofs[1], reason="gone")
    assert code_of(host, settings=under(revoked=[revoked]), checksum=proofs) == "trust.revoked"
    assert host.requests == []
    for most in (size - 1, size - parts_of(host)[2].stat().st_size):
        assert code_of(host, settings=under(max_size=most), checksum=proofs) == "trust.too_large"
    shutil.rmtree(tmp_path / "xdg")
    assert fetch(host.url + FIRST, checksum=proofs, settings=under(max_size=size)).size == size
