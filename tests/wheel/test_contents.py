"""A wheel that isn't fit for publishing is told apart; `make wheel-check` then asks one that is."""

import struct
import zipfile
from pathlib import Path

import pytest

from tests.wheel.contents import WORKERS, faults

NAME = "strongroom-0.1.0-cp311-abi3-manylinux_2_34_x86_64.whl"


def elf(segment: int, content: bytes) -> bytes:
    """An executable of one segment, as far as it is looked at."""
    header = b"\x7fELF".ljust(32, b"\0") + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 1)
    return header.ljust(64, b"\0") + struct.pack("<I", segment).ljust(56, b"\0") + content


def wheel(folder: Path, files: dict[str, tuple[bytes, int]], name: str = NAME) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for inside, (content, mode) in files.items():
            entry = zipfile.ZipInfo(inside)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return path


def good() -> dict[str, tuple[bytes, int]]:
    workers = {name: (elf(1, name.encode()), 0o100755) for name in WORKERS}
    return {**workers, "strongroom/_core.abi3.so": (b"", 0o100755)}


def test_one_that_is_fit(tmp_path: Path) -> None:
    assert faults(wheel(tmp_path, good())) == []


@pytest.mark.parametrize("tags", ["cp311-cp311-manylinux_2_34_x86_64", "cp311-abi3-linux_x86_64"])
def test_its_tags(tmp_path: Path, tags: str) -> None:
    name = f"strongroom-0.1.0-{tags}.whl"
    assert faults(wheel(tmp_path, good(), name)) == [f"{name} is not tagged abi3 and manylinux"]


@pytest.mark.parametrize(
    ("worker", "fault"),
    [
        (None, "is missing"),
        ((elf(1, b""), 0o100644), "has no run bit"),
        ((b"#!/bin/sh", 0o100755), "is no executable"),
        ((elf(3, b""), 0o100755), "is not static"),
    ],
)
@pytest.mark.parametrize("name", WORKERS)
def test_its_workers(tmp_path: Path, name: str, worker: tuple[bytes, int] | None, fault: str) -> None:
    files = good()
    if worker is None:
        del files[name]
    else:
        files[name] = worker
    assert faults(wheel(tmp_path, files)) == [f"{name} {fault}"]


def test_one_worker_under_both_names(tmp_path: Path) -> None:
    files = good() | dict.fromkeys(WORKERS, (elf(1, b"same"), 0o100755))
    assert faults(wheel(tmp_path, files)) == ["the workers are the same"]


def test_its_module(tmp_path: Path) -> None:
    files = good()
    del files["strongroom/_core.abi3.so"]
    assert faults(wheel(tmp_path, files)) == ["strongroom/_core.abi3.so is missing"]
