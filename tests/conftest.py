"""Models to test with, and the record of the codes that tests raise."""

import hashlib
import json
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom import Limits, Router, Sandboxing, Security, Settings
from tests import codes

ROOT = Path(__file__).parent.parent

codes.watch()


# A configuration of whoever runs the tests decides nothing in them.
os.environ["XDG_CONFIG_HOME"] = "/nonexistent/configuration"
os.environ.pop("STRONGROOM_CONFIG", None)

# Nor does a shell that started them in the background: what they start would ignore Ctrl-C as they do.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(codes.Ledger(config))


@dataclass(frozen=True)
class Model:
    """A file and its digest."""

    path: Path
    checksum: str

    @classmethod
    def of(cls, path: Path) -> "Model":
        with path.open("rb") as file:
            return cls(path, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


@pytest.fixture(autouse=True)
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one in the home directory, where a test's environment names none."""

    def unknown(_user: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.fixture(scope="session")
def specimen() -> Path:
    """The executable that generates models: STRONGROOM_SPECIMEN, or built here."""
    if named := os.environ.get("STRONGROOM_SPECIMEN"):
        path = Path(named)
        return path / "specimen" if path.is_dir() else path
    built = ROOT / "target/debug/specimen"
    if not built.is_file():
        subprocess.run(
            ["cargo", "build", "--quiet", "--locked", "-p", "strongroom-specimen", "--bins"],
            cwd=ROOT,
            check=True,
        )
    return built


@pytest.fixture(scope="session")
def models(specimen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of generated models: tiny, untemplated, pooled and split, each under a megabyte."""
    folder = tmp_path_factory.mktemp("models")
    for kind in ("tiny", "untemplated", "pooled", "split"):
        subprocess.run([specimen, kind, folder / f"{kind}.gguf"], check=True)
    return folder


@pytest.fixture(scope="session")
def tiny(models: Path) -> Model:
    """A sound model that says printable nonsense until it is stopped."""
    return Model.of(models / "tiny.gguf")


@pytest.fixture(scope="session")
def untemplated(models: Path) -> Model:
    """The same without a chat template."""
    return Model.of(models / "untemplated.gguf")


@pytest.fixture(scope="session")
def pooled(models: Path) -> Model:
    """The same, of which the file says how vectors of texts are pooled: by their mean."""
    return Model.of(models / "pooled.gguf")


@pytest.fixture(scope="session")
def hostile(specimen: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Files with one hand-made fault each, and the code that each has to be refused with."""
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run([specimen, "hostile", folder], check=True)
    manifest: dict[str, str] = json.loads((folder / "manifest.json").read_text())
    files = {folder / f"{name}.gguf": code for name, code in manifest.items()}
    # A file of no bytes is refused before it has a header to look at.
    return {path: code if path.stat().st_size else "source.empty" for path, code in files.items()}


@pytest.fixture(scope="session")
def smol() -> Model:
    """The model of the demonstration."""
    path = os.environ.get("STRONGROOM_TEST_MODEL")
    if path is None:
        pytest.skip("STRONGROOM_TEST_MODEL names no model; `make test` does")
    return Model.of(Path(path))


def settings(**sandboxing: str | int) -> Settings:
    """One core each: tests run side by side. A piece for every token, so that streams can be cut short."""
    options: dict[str, str | int] = {"cpu_limit": 1, "memory_limit": "1GB", "timeout": "60s", **sandboxing}
    return Settings(
        security=Security(sandboxing=Sandboxing(**options)),  # type: ignore[arg-type]
        limits=Limits(concurrent_requests=256, piece_interval=0),
    )


@pytest.fixture
def router(tiny: Model) -> Iterator[Router]:
    """A Router with the tiny model, for a test that may break it."""
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


@pytest.fixture(scope="module")
def shared(tiny: Model) -> Iterator[Router]:
    """A Router with the tiny model, for tests that leave it as it is."""
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router
