"""A keyring of two versions, and a record's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom import DataCipher, DataKey, KeyFile

CONTEXT = {"tenant": "acme", "record": "note/7"}


def key_file(folder: Path, name: str, secret: bytes) -> KeyFile:
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(secret)
    return KeyFile(file=path)


@pytest.fixture
def old(tmp_path: Path) -> DataKey:
    return DataKey(id="app", version=1, key=key_file(tmp_path, "1.key", b"\x01" * 32))


@pytest.fixture
def new(tmp_path: Path) -> DataKey:
    return DataKey(id="app", version=2, key=key_file(tmp_path, "2.key", b"\x02" * 32))


@pytest.fixture
def cipher(old: DataKey, new: DataKey) -> DataCipher:
    return DataCipher([new, old])
