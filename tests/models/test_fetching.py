"""From a source to a loaded model; what hosts do to a download is tested in rust/fetch."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    FetchError,
    ModelVerification,
    OptionError,
    Revocation,
    Router,
    Security,
    Settings,
    SettingsError,
    Sources,
    TrustError,
    fetch,
)
from tests.conftest import Model
from tests.hosts import Host, serving

ZEROS = "sha256:" + "0" * 64


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with serving(tmp_path) as host:
        yield host


@pytest.fixture
def served(host: Host, tiny: Model) -> str:
    (host.folder / "tiny.gguf").write_bytes(tiny.path.read_bytes())
    return f"{host.url}/tiny.gguf"


def test_a_source_is_fetched_once_and_loaded(
    host: Host, served: str, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with Router(host.settings()) as router:
        for name in ("first", "second"):
            info = router.load(name, served, checksum=tiny.checksum)
            assert info.digest == tiny.checksum
            assert info.verified
            assert Path(info.path).parent == tmp_path / "xdg/strongroom/sha256"
        # Damaged in the cache, it is seen while loading, and fetched anew.
        Path(info.path).unlink()
        Path(info.path).write_bytes(b"damaged")
        assert router.load("third", served, checksum=tiny.checksum).digest == tiny.checksum
    assert host.requests == ["/tiny.gguf"] * 2


def test_fetch_says_where_it_is_and_how_far(host: Host, served: str, tiny: Model, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cache = tmp_path / "cache"
    settings = host.settings()
    fetched = fetch(
        served,
        checksum=tiny.checksum,
        settings=settings,
        cache=cache,
        progress=lambda *step: seen.append(step),
    )
    size = tiny.path.stat().st_size
    assert seen[-1] == (size, size)
    assert Path(fetched.path).read_bytes() == tiny.path.read_bytes()
    assert (fetched.source, fetched.size, fetched.cached, fetched.verified) == (served, size, False, True)
    assert fetch(served, checksum=tiny.checksum, settings=settings, cache=cache).cached


def test_what_progress_raises_ends_the_download(host: Host, served: str, tiny: Model, tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch(served, checksum=tiny.checksum, settings=host.settings(), cache=tmp_path / "c", progress=stop)


def refused(error: type[Exception], reference: str, cache: Path, **options: Any) -> str:
    options.setdefault("checksum", ZEROS)
    with pytest.raises(error) as caught:
        fetch(reference, cache=cache, **options)
    code = caught.value.code  # type: ignore[attr-defined]
    assert isinstance(code, str)
    return code


def test_refusals(host: Host, served: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    settings = host.settings()
    assert refused(ChecksumError, served, cache, settings=settings) == "checksum.mismatch"
    assert refused(TrustError, served, cache, settings=settings, checksum=None) == "trust.no_proof"
    assert refused(OptionError, "./tiny.gguf", cache, settings=settings) == "option.out_of_range"
    assert refused(FetchError, served, cache) == "fetch.host"
    assert refused(FetchError, served, cache, settings=Settings()) == "fetch.host"
    assert refused(FetchError, "hf://org/repo/m.gguf", cache) == "fetch.organisation"
    assert refused(FetchError, f"{host.url}/none", cache, settings=settings) == "fetch.status"
    small = host.settings(max_size=100)
    assert refused(FetchError, served, cache, settings=small) == "fetch.too_large"
    public = host.settings(danger_allow_addresses={})
    assert refused(FetchError, served, cache, settings=public) == "fetch.address"
    mozilla = host.settings(ca_file=None)
    assert refused(FetchError, served, cache, settings=mozilla) == "fetch.tls"
    assert not list((cache / "sha256").iterdir())
    file = tmp_path / "file"
    file.touch()
    assert refused(FetchError, served, file, settings=settings) == "fetch.cache"
    cache.chmod(0o777)
    assert refused(FetchError, served, cache, settings=settings) == "fetch.cache_unsafe"


def test_a_host_that_is_not_there(host: Host, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        settings = host.settings(hosts=[url], danger_allow_addresses={url: ["127.0.0.1/32"]})
        assert refused(FetchError, f"{url}/m", tmp_path / "cache", settings=settings) == "fetch.connect"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"cache": 5}, "option.wrong_type"),
        ({"cache": b"cache"}, "option.wrong_type"),
        ({"cache": "\ud800"}, "option.out_of_range"),
        ({"cache": "a/" * 40_000}, "option.out_of_range"),
        ({"settings": {}}, "option.wrong_type"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as caught:
        fetch("https://models.example.org/m.gguf", checksum=ZEROS, **options)
    assert caught.value.code == code
    assert len(str(caught.value)) < 300


def test_without_a_home_a_cache_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OptionError, match="cache must be named"):
        fetch("https://models.example.org/m.gguf", checksum=ZEROS)


@pytest.mark.parametrize("path", ["\ud800", "a\0b", "a/" * 40_000, "", b"ca.pem", 5])
def test_certificates_that_no_path_leads_to(path: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        Sources(ca_file=path)
    assert caught.value.code == "settings.invalid"
    assert len(str(caught.value)) < 300


def test_certificates_are_not_waited_for(tmp_path: Path) -> None:
    # Nobody ever writes to it.
    os.mkfifo(tmp_path / "fifo")
    script = "import sys, strongroom; strongroom.Sources(ca_file=sys.argv[1])"
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "fifo"],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert "not a regular file [fetch.ca_file]" in run.stderr


def test_a_place_that_a_policy_names_sent_what_is_loaded(host: Host, tiny: Model, tmp_path: Path) -> None:
    (host.folder / "tiny.gguf").write_bytes(tiny.path.read_bytes())
    settings = host.settings()
    fetch(f"{host.url}/tiny.gguf", checksum=tiny.checksum, settings=settings, cache=tmp_path / "cache")
    # The same bytes are in the cache; the place that is named never sent them.
    with pytest.raises(FetchError) as caught:
        fetch(f"{host.url}/never", checksum=tiny.checksum, settings=settings, cache=tmp_path / "cache")
    assert caught.value.code == "fetch.status"
    assert set(host.requests) == {"/tiny.gguf", "/never"}


def test_a_file_without_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    with pytest.raises(FetchError, match="no certificate") as caught:
        Sources(ca_file=tmp_path / "ca.pem")
    assert caught.value.code == "fetch.ca_file"


def test_the_policy_is_asked_before_a_host_is(host: Host, served: str, tiny: Model, tmp_path: Path) -> None:
    settings = host.settings()

    def under(*places: str, cache: str) -> Settings:
        security = replace(
            settings.security, model_verification=ModelVerification(trusted_sources=list(places))
        )
        (tmp_path / cache).mkdir(mode=0o700)
        return replace(settings, security=security)

    other = under("https://models.example.org", "hf://organisation", "/srv", cache="a")
    with pytest.raises(TrustError) as caught:
        fetch(served, checksum=tiny.checksum, settings=other, cache=tmp_path / "a")
    assert caught.value.code == "trust.source"
    with Router(other) as router, pytest.raises(TrustError) as caught:
        router.load("tiny", served, checksum=tiny.checksum)
    assert caught.value.code == "trust.source"
    assert host.requests == []
    allowed = under(host.url, cache="b")
    assert fetch(served, checksum=tiny.checksum, settings=allowed, cache=tmp_path / "b").verified


def test_what_is_revoked_is_not_asked_for(host: Host, served: str, tiny: Model, tmp_path: Path) -> None:
    policy = ModelVerification(revoked=[Revocation(digest=tiny.checksum, reason="gone")])
    settings = replace(host.settings(), security=Security(model_verification=policy))
    checksum = f"sha256:{tiny.checksum.removeprefix('sha256:').upper()}"
    for written in (tiny.checksum, checksum):
        assert refused(TrustError, served, tmp_path / "c", settings=settings, checksum=written) == (
            "trust.revoked"
        )
    assert host.requests == []


def test_the_policys_bound_is_one_on_the_download(
    host: Host, served: str, tiny: Model, tmp_path: Path
) -> None:
    size = tiny.path.stat().st_size
    cache = tmp_path / "cache"

    def bounded(policy: int, sources: int) -> Settings:
        security = Security(model_verification=ModelVerification(max_size=policy))
        return replace(host.settings(max_size=sources), security=security)

    with pytest.raises(TrustError, match=f"{size - 1}") as caught:
        fetch(served, checksum=tiny.checksum, settings=bounded(size - 1, size), cache=cache)
    assert caught.value.code == "trust.too_large"
    small = bounded(size, size - 1)
    assert refused(FetchError, served, cache, settings=small, checksum=tiny.checksum) == "fetch.too_large"
    assert fetch(served, checksum=tiny.checksum, settings=bounded(size, size), cache=cache).verified


def test_a_host_that_the_policy_names_may_be_asked(
    host: Host, served: str, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    settings = host.settings()
    policy = ModelVerification(trusted_sources=[host.url])
    settings = replace(
        settings,
        sources=replace(settings.sources, hosts=()),
        security=replace(settings.security, model_verification=policy),
    )
    with Router(settings) as router:
        info = router.load("tiny", served, checksum=tiny.checksum)
    assert any(f"source: {host.url} is of {host.url}" in step for step in info.why)
