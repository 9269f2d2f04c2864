"""Work of a process that isn't root's: permissions are no hindrance to root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

NOBODY = 65534


@contextmanager
def open_folder() -> Iterator[Path]:
    """A directory that every user can get to: those of pytest are the user's alone."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give_to_nobody(folder: Path) -> None:
    """Make everything in a directory that user's."""
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)


def become_nobody(umask: int = 0o022) -> None:
    """Be that user from here on, where this process is root's; to be called once all is imported."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    os.umask(umask)


def as_nobody(script: str, *arguments: str | Path) -> str:
    """Run a script that calls `become_nobody`; returns what it prints."""
    command = [sys.executable, "-c", script, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout
