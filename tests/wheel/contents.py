"""What a wheel for publishing has to be, read off the file."""

import re
import struct
import zipfile
from pathlib import Path

__all__ = ["INTERPRETER", "WORKERS", "faults", "program_headers"]

WORKERS = ("strongroom/strongroom-worker-avx2", "strongroom/strongroom-worker-avx512")
TAGS = re.compile(r"strongroom-[\w.]+-cp3\d+-abi3-manylinux_2_\d+_x86_64\.whl")

INTERPRETER = 3
"""PT_INTERP of the ELF specification: the program that loads a program's libraries."""


def program_headers(elf: bytes) -> set[int]:
    """Types of the segments of a little-endian 64-bit ELF file."""
    (start,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return {struct.unpack_from("<I", elf, start + index * size)[0] for index in range(count)}


def faults(wheel: Path) -> list[str]:
    """Say what is wrong with a wheel: tags, workers, run bits, what the workers would load."""
    found = []
    if not TAGS.fullmatch(wheel.name):
        found.append(f"{wheel.name} is not tagged abi3 and manylinux")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        executables = {name: archive.read(name) for name in WORKERS if name in names}
        found += [f"{name} is missing" for name in WORKERS if name not in names]
        for name, content in executables.items():
            if not archive.getinfo(name).external_attr >> 16 & 0o111:
                found.append(f"{name} has no run bit")
            if content[:4] != b"\x7fELF":
                found.append(f"{name} is no executable")
            elif INTERPRETER in program_headers(content):
                found.append(f"{name} is not static")
        if len(executables) == len(WORKERS) and len({*executables.values()}) == 1:
            found.append("the workers are the same")
        if "strongroom/_core.abi3.so" not in names:
            found.append("strongroom/_core.abi3.so is missing")
    return found
