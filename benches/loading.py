"""From open to the sealed, preflighted image, against copying and hashing one after the other."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from pathlib import Path

from strongroom import _core

CHUNK = 1 << 20


def image_seconds(model: Path, checksum: str) -> float:
    """Open, hash, copy, seal, compare and preflight, as `Router.load` does."""
    start = time.perf_counter()
    image = _core.Image.load(str(model), checksum=checksum)
    seconds = time.perf_counter() - start
    del image
    return seconds


def sequential_seconds(model: Path, checksum: str) -> float:
    """Read the file into a memfd with 1 MiB copies, then SHA-256 of the memfd's pages."""
    buffer = memoryview(bytearray(CHUNK))
    start = time.perf_counter()
    descriptor = os.memfd_create("reference", os.MFD_CLOEXEC)
    try:
        with model.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                os.write(descriptor, buffer[:count])
        with mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ) as pages:
            found = hashlib.sha256(pages).hexdigest()
        seconds = time.perf_counter() - start
    finally:
        os.close(descriptor)
    assert checksum == f"sha256:{found}"
    return seconds
