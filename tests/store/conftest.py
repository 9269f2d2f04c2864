"""Stores of small models."""

import contextlib
import os
from pathlib import Path

import pytest

from strongroom import KeyFile, Settings, Store
from strongroom.models.proofs import Given
from strongroom.models.stored import enter
from tests.conftest import Model

MARKER = b"plaintext of the weights, which no disk has"


def key_in(folder: Path, name: str = "key") -> Path:
    """Make a key of 32 random bytes."""
    path = folder / name
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return path


def store_in(folder: Path, *keys: Path) -> Store:
    return Store(folder / "store", [KeyFile(file=key) for key in keys])


def enter_model(store: Store, name: str, model: Model, *, replacing: bool = False) -> None:
    enter(
        store,
        name,
        str(model.path),
        given=Given(checksum=model.checksum),
        settings=Settings(),
        replacing=replacing,
    )


def state_of(store: Store) -> dict[str, bytes]:
    """Every file of a store, but for the guard, which is empty."""
    root = Path(store.directory)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "index.json.guard"
    }


def sealed_files(store: Store) -> list[str]:
    """The names of the sealed files."""
    return sorted(path.name for path in Path(store.directory, "models").iterdir())


def open_files(store: Store) -> list[bytes]:
    """What this process has open in a store, files without a name too."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if store.directory in str(link.readlink()) and link.is_file():
                found.append(link.read_bytes())
    return found


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_in(tmp_path)


@pytest.fixture(scope="session")
def marked(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A sound model of several frames, whose bytes after the weights hold the marker in each frame."""
    path = tmp_path_factory.mktemp("marked") / "marked.gguf"
    path.write_bytes(tiny.path.read_bytes() + (MARKER + os.urandom(4096)) * 2400)
    return Model.of(path)


@pytest.fixture
def store(tmp_path: Path, key: Path, tiny: Model) -> Store:
    """A store with one model, `tiny`."""
    made = store_in(tmp_path, key)
    enter_model(made, "tiny", tiny)
    return made
