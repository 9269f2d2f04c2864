"""Configurations for tests."""

import os
from pathlib import Path

BARE = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent"}
"""An environment in which nothing is set."""


def written(folder: Path, text: str | bytes, name: str = "strongroom.toml") -> Path:
    """Write a configuration that is only ours."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path
