"""What the Makefile needs, and that it says so before it starts anything."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

ALWAYS_THERE = ("bash", "env", "expand", "find", "make", "sed")


def tools(folder: Path, *names: str) -> Path:
    """A folder with nothing but the tools named, for PATH."""
    for name in (*ALWAYS_THERE, *names):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def prerequisites(path: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(path / "make"), "--no-print-directory", "prerequisites", *variables],
        cwd=ROOT,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def python(folder: Path, script: str) -> str:
    """A Python that answers as `script` does."""
    stub = folder / "some-python"
    stub.write_text(f"#!/usr/bin/env bash\n{script}\n")
    stub.chmod(0o755)
    return f"PYTHON={stub}"


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    done = prerequisites(tools(tmp_path, "git"), python(tmp_path, "exit 0"))
    assert done.returncode != 0
    [line, *rest] = done.stderr.splitlines()
    assert line == "missing: c++ cargo rustc (README.md names the packages)"
    assert all(line.startswith("make: ***") for line in rest)
    assert not done.stdout


def test_an_old_python_is_named(tmp_path: Path) -> None:
    old = python(tmp_path, 'case "$2" in *version_info*) exit 1;; esac')
    done = prerequisites(tools(tmp_path, "git"), old)
    assert "Python>=3.11" in done.stderr.splitlines()[0]
    assert "python3-venv" not in done.stderr


def test_a_python_without_venv_is_named(tmp_path: Path) -> None:
    bare = python(tmp_path, 'case "$2" in *ensurepip*) exit 1;; esac')
    done = prerequisites(tools(tmp_path, "git"), bare)
    assert "python3-venv" in done.stderr.splitlines()[0]
    assert "Python>=3.11" not in done.stderr
