"""Adding to a store from Python."""

from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    OptionError,
    Router,
    Settings,
    Store,
    StoreError,
    StoreSettings,
    add_to_store,
)
from strongroom.store.keys import KeyFile
from tests.conftest import Model


def key_in(folder: Path) -> KeyFile:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(bytes(range(32)))
    return KeyFile(file=key)


def test_what_is_added_is_loaded_by_its_name(tmp_path: Path, tiny: Model) -> None:
    key = key_in(tmp_path)
    store = Store(tmp_path / "store", [key])
    told: list[tuple[str, int]] = []
    entry = add_to_store(
        store,
        "tiny",
        tiny.path,
        checksum=tiny.checksum,
        version="1.2",
        progress=lambda done, _: told.append(("read", done)),
        sealing=lambda done, _: told.append(("sealed", done)),
    )
    assert (entry.digest, entry.version) == (tiny.checksum, "1.2")
    assert {what for what, done in told if done == entry.size} == {"read", "sealed"}
    with Router(Settings(store=StoreSettings(directory=store.directory, keys=[key]))) as router:
        assert router.load("tiny").version == "1.2"
    with pytest.raises(StoreError) as caught:
        add_to_store(store, "tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "store.exists"
    add_to_store(store, "tiny", tiny.path, checksum=tiny.checksum, replacing=True)
    assert store.models()["tiny"].version is None


def test_what_is_not_the_model_is_not_added(tmp_path: Path, tiny: Model) -> None:
    store = Store(tmp_path / "store", [key_in(tmp_path)])
    with pytest.raises(ChecksumError):
        add_to_store(store, "tiny", tiny.path, checksum="sha256:" + "0" * 64)
    assert store.models() == {}
    wrong: Any = "store"
    with pytest.raises(OptionError):
        add_to_store(wrong, "tiny", tiny.path)
    with pytest.raises(OptionError):
        add_to_store(store, "tiny", tiny.path, settings=wrong)
