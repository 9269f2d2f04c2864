"""From a host into a store: through memory alone, with the checks of every download."""

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    KeyFile,
    ModelVerification,
    OptionError,
    Revocation,
    Router,
    Security,
    Settings,
    SignedManifest,
    Store,
    StoreSettings,
    StrongroomError,
    _core,
    add_to_store,
    sign_manifest,
)
from strongroom.models.fetching import hosts_of
from strongroom.trust.evidence import Https, Signature
from tests.cli.commands import strongroom
from tests.conftest import Model
from tests.hosts import Host, serving
from tests.models.signing import key as signing_key
from tests.models.test_fetching_signed import WAYS, published, signed
from tests.store.conftest import MARKER, key_in, marked, sealed_files, store_in

__all__ = ["marked"]  # a fixture

FIRST = "/split/tiny-00001-of-00003.gguf"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every directory that a process writes to by itself."""
    found = []
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        (place := tmp_path / variable.lower()).mkdir()
        monkeypatch.setenv(variable, str(place))
        found.append(place)
    return found


@pytest.fixture
def host(tmp_path: Path, places: list[Path]) -> Iterator[Host]:
    assert places
    (folder := tmp_path / "host").mkdir()
    with serving(folder) as served:
        yield served


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return store_in(tmp_path, key_in(tmp_path))


def served(host: Host, model: Model, name: str = "m.gguf") -> str:
    (host.folder / name).write_bytes(model.path.read_bytes())
    return f"{host.url}/{name}"


def holding(marker: bytes, folders: Sequence[Path]) -> list[str]:
    """Files that hold it: of those folders, and of this process, without a name too; no memory."""
    found = [str(path) for folder in folders for path in folder.rglob("*") if path.is_file()]
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            where = str(link.readlink())  # the host of these tests is in this process too
            if not where.startswith("/memfd:") and "/host/www/" not in where and link.is_file():
                found.append(str(link))
    holders = []
    for file in found:
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            if marker in Path(file).read_bytes():
                holders.append(file)
    return holders


def code_of(store: Store, host: Host, url: str = "/m.gguf", **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        add_to_store(store, "m", host.url + url, settings=options.pop("settings", host.settings()), **options)
    assert store.models() == {}
    assert not Path(store.directory, "models").exists() or sealed_files(store) == []
    return caught.value.code


def test_no_file_has_any_of_it_at_any_time(
    empty: Store, host: Host, places: list[Path], marked: Model, tmp_path: Path
) -> None:
    watched = [*places, Path(empty.directory).parent / "store"]
    control = tmp_path / "home/control"
    control.write_bytes(marked.path.read_bytes())
    assert holding(MARKER, watched) == [str(control)]
    control.unlink()
    seen: list[tuple[int, int]] = []
    found: list[str] = []

    def watching(done: int, total: int) -> None:
        seen.append((done, total))
        found.extend(holding(MARKER, watched))

    entry = add_to_store(
        empty,
        "m",
        served(host, marked),
        checksum=marked.checksum,
        settings=host.settings(),
        progress=watching,
        sealing=watching,
    )
    assert found == []
    assert holding(MARKER, watched) == []
    # All of it was there, then all of it was sealed.
    size = marked.path.stat().st_size
    assert seen.count((size, size)) >= 2
    assert entry.digest == marked.checksum
    assert [list(place.rglob("*")) for place in places] == [[], [], [], []]
    evidence = empty.verify("m")
    assert evidence.source == Https(host.url.removeprefix("https://"))
    empty.export("m", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == marked.path.read_bytes()


def test_a_wrong_digest_leaves_nothing(empty: Store, host: Host, places: list[Path], marked: Model) -> None:
    served(host, marked)
    for wrong in ("sha256:" + "0" * 64, "sha512:" + "0" * 128):
        assert code_of(empty, host, checksum=wrong) == "checksum.mismatch"
    assert host.requests == ["/m.gguf"] * 2
    assert holding(MARKER, [*places, Path(empty.directory).parent / "store"]) == []


def test_of_another_algorithm_than_the_store_knows_models_by(empty: Store, host: Host, tiny: Model) -> None:
    digest = "sha512:" + hashlib.sha512(tiny.path.read_bytes()).hexdigest()
    served(host, tiny)
    entry = add_to_store(empty, "m", f"{host.url}/m.gguf", checksum=digest, settings=host.settings())
    assert entry.digest == tiny.checksum
    assert set(empty.verify("m").digests) == {digest, tiny.checksum}


def test_the_checks_of_every_download(empty: Store, host: Host, tiny: Model) -> None:
    served(host, tiny)
    proved = {"checksum": tiny.checksum}
    elsewhere = Settings()
    assert code_of(empty, host, settings=elsewhere, **proved) == "fetch.host"
    closed = host.settings(danger_allow_addresses={})
    assert code_of(empty, host, settings=closed, **proved) == "fetch.address"
    small = host.settings(max_size=100)
    assert code_of(empty, host, settings=small, **proved) == "fetch.too_large"
    assert code_of(empty, host, "/none.gguf", **proved) == "fetch.status"

    def under(**policy: Any) -> Settings:
        security = Security(model_verification=ModelVerification(**policy))
        return Settings(sources=host.sources(), security=security)

    assert code_of(empty, host, settings=under(max_size=100), **proved) == "trust.too_large"
    before = len(host.requests)
    revoked = under(revoked=[Revocation(digest=tiny.checksum, reason="poisoned")])
    assert code_of(empty, host, settings=revoked, **proved) == "trust.revoked"
    assert code_of(empty, host) == "trust.no_proof"
    assert len(host.requests) == before, "refused before any host is asked"
    sources = hosts_of(host.settings())
    with pytest.raises(StrongroomError) as caught:
        _core.receive(f"{host.url}/m.gguf", sources=sources, size_limit=tiny.path.stat().st_size - 1)
    assert caught.value.code == "source.over_limit"
    with pytest.raises(StrongroomError) as caught:
        _core.receive("/m.gguf", sources=sources)
    assert caught.value.code == "fetch.reference"


def test_what_progress_raises_ends_it(empty: Store, host: Host, tiny: Model) -> None:
    url = served(host, tiny)

    def enough(*_: int) -> None:
        raise ValueError("enough")

    ways: list[dict[str, Any]] = [{"progress": enough}, {"sealing": enough}]
    for options in ways:
        with pytest.raises(ValueError, match="enough"):
            add_to_store(empty, "m", url, checksum=tiny.checksum, settings=host.settings(), **options)
        assert empty.models() == {}
        assert sealed_files(empty) == [] if Path(empty.directory, "models").exists() else True


@pytest.mark.parametrize("kind", ["p256", "minisign"])
def test_a_signature_proves_it(empty: Store, host: Host, tiny: Model, kind: str) -> None:
    served(host, tiny, "model.gguf")
    public, name = signed(kind, host.folder / "model.gguf")
    proofs: dict[str, Any] = {"public_key": public, "signature": f"{host.url}/{name}"}
    add_to_store(empty, "m", f"{host.url}/model.gguf", settings=host.settings(), **proofs)
    [proof] = empty.verify("m").proofs
    assert isinstance(proof, Signature)
    empty.remove("m")
    with (host.folder / "model.gguf").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    assert code_of(empty, host, "/model.gguf", **proofs) == "signature.invalid"


@pytest.mark.parametrize("options", WAYS)
def test_a_manifest_proves_it(
    empty: Store, host: Host, tiny: Model, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder, pair = published(host, tiny), signing_key(tmp_path)
    sign_manifest(folder, private_key=pair.private, **options)
    proofs: dict[str, Any] = {
        "manifest": SignedManifest(f"{host.url}/published/model.sig", public_key=pair.public)
    }
    for name in ("/published/tiny.gguf", "/published/more/a%20model.gguf"):
        add_to_store(empty, "m", host.url + name, settings=host.settings(), replacing=True, **proofs)
        [proof] = empty.verify("m").proofs
        assert isinstance(proof, Signature)
        assert proof.kind == "oms"
    empty.remove("m")
    served(host, tiny)
    assert code_of(empty, host, **proofs) == "manifest.not_listed"
    with (folder / "tiny.gguf").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    assert code_of(empty, host, "/published/tiny.gguf", **proofs) == (
        "manifest.file_differs" if "shard_size" in options else "checksum.mismatch"
    )


@pytest.fixture
def split(host: Host, specimen: Path) -> list[Path]:
    (folder := host.folder / "split").mkdir()
    subprocess.run([specimen, "parts", folder / "tiny"], check=True)
    return sorted(folder.iterdir())


def test_all_parts_become_one_model(empty: Store, host: Host, split: list[Path]) -> None:
    checksums = [Model.of(part).checksum for part in split]
    told: list[tuple[int, int]] = []
    entry = add_to_store(
        empty,
        "m",
        host.url + FIRST,
        checksum=checksums,
        settings=host.settings(),
        progress=lambda done, total: told.append((done, total)),
    )
    total = sum(part.stat().st_size for part in split)
    assert (total, total) in told
    evidence = empty.verify("m")
    assert set(checksums) <= set(evidence.part_digests)
    assert entry.digest in evidence.digests
    assert entry.size < total


def test_a_manifest_proves_parts(empty: Store, host: Host, split: list[Path], tmp_path: Path) -> None:
    pair = signing_key(tmp_path)
    sign_manifest(host.folder / "split", private_key=pair.private)
    manifest = SignedManifest(f"{host.url}/split/model.sig", public_key=pair.public)
    add_to_store(empty, "m", host.url + FIRST, manifest=manifest, settings=host.settings())
    [proof] = empty.verify("m").proofs
    assert isinstance(proof, Signature)
    empty.remove("m")
    split[1].write_bytes(split[1].read_bytes()[:-1] + b"?")
    assert code_of(empty, host, FIRST, manifest=manifest) == "checksum.mismatch"


def test_a_wrong_part_ends_it_before_the_next_is_asked_for(
    empty: Store, host: Host, split: list[Path]
) -> None:
    checksums = [Model.of(part).checksum for part in split]
    checksums[1] = "sha256:" + "0" * 64
    assert code_of(empty, host, FIRST, checksum=checksums) == "checksum.mismatch"
    assert [path.rpartition("/")[2] for path in host.requests] == [part.name for part in split[:2]]


def test_what_was_received_can_be_taken_once(host: Host, tiny: Model) -> None:
    received = _core.receive(served(host, tiny), sources=hosts_of(host.settings()))
    assert (received.source, received.size) == (f"{host.url}/m.gguf", tiny.path.stat().st_size)
    assert "m.gguf" not in repr(received)
    with pytest.raises(OptionError, match="one per file"):
        _core.Image.load("m", checksum=tiny.checksum, received=[received, received])
    assert _core.Image.load("m", checksum=tiny.checksum, received=[received]).digest == tiny.checksum
    with pytest.raises(OptionError, match="already"):
        _core.Image.load("m", checksum=tiny.checksum, received=[received])


def test_at_the_command_line(empty: Store, host: Host, tiny: Model, tmp_path: Path) -> None:
    url = served(host, tiny)
    config = tmp_path / "strongroom.toml"
    config.write_text(
        f'[sources]\nhosts = ["{host.url}"]\nca_file = "{host.ca_file}"\n'
        f'danger_allow_addresses = {{ "{host.url}" = ["127.0.0.0/8"] }}\n'
        f'[store]\ndirectory = "{empty.directory}"\nkeys = [{{ file = "{tmp_path / "key"}" }}]\n'
    )
    added = strongroom(
        "store", "add", "m", f"{url}?token=SECRET", "--checksum", tiny.checksum, "--config", config, "--json"
    )
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["models"]["m"]["digest"] == tiny.checksum
    assert "SECRET" not in added.stdout + added.stderr
    shown = strongroom("store", "show", "m", "--config", config, "--json")
    assert json.loads(json.loads(shown.stdout)["context"]["strongroom-evidence"])["source"] == {
        "is": "https",
        "host": host.url.removeprefix("https://"),
    }
    assert "SECRET" not in shown.stdout
    keys = [KeyFile(file=tmp_path / "key")]
    with Router(Settings(store=StoreSettings(directory=empty.directory, keys=keys))) as router:
        assert router.load("m").digest == tiny.checksum
