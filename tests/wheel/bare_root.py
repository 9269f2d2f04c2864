"""A root directory with Python and nothing else: no shell, no compiler, no package manager."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["BareRoot"]

EVERYWHERE = (
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
)
"""What PEP 600 lets a wheel expect of every system, of C alone."""


NOT_COPIED = shutil.ignore_patterns(
    "__pycache__", "test", "EXTERNALLY-MANAGED", "site-packages", "dist-packages", "config-3*", "idlelib"
)

DEVICES = ("null", "urandom")
"""Of those that every container has, what Python and a worker open."""


class BareRoot:
    """A root that programs are started in: in namespaces of their own, without a network."""

    def __init__(self, directory: Path) -> None:
        """Copy this Python's interpreter, its standard library, and the libraries that both need."""
        self.directory = directory
        self.python = Path(os.path.realpath(sys.executable))
        standard = Path(sysconfig.get_path("stdlib"))
        modules = [*standard.glob("lib-dynload/*.so")]
        shutil.copytree(standard, self.inside(standard), ignore=NOT_COPIED)
        needed = libraries(self.python, *modules)
        [c] = [found for found in needed if found.name == "libc.so.6"]
        needed += [c.with_name(name) for name in EVERYWHERE]
        for file in [self.python, *needed]:
            self.inside(file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, self.inside(file))
        for place in ("proc", "tmp", "dev", "root"):
            (directory / place).mkdir(exist_ok=True)
        for device in DEVICES:
            (directory / "dev" / device).touch()

    def inside(self, path: Path) -> Path:
        """Return where a path of the root is outside of it."""
        return self.directory / path.relative_to("/")

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], emulator: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the root as user 0, with this environment and no other, perhaps in an emulator."""
        places = [(f"/dev/{device}", shlex.quote(f"{self.directory}/dev/{device}")) for device in DEVICES]
        devices = [f"mount --bind {device} {place}" for device, place in places]
        script = " && ".join([*devices, 'exec chroot "$@"'])
        unshare = ["unshare", "--mount", "--pid", "--fork", "--net", f"--mount-proc={self.directory}/proc"]
        if os.getuid() != 0:
            unshare += ["--user", "--map-root-user"]
        command = [*unshare, "sh", "-c", script, "sh", str(self.directory), *emulator]
        command += [str(self.python), *arguments]
        tools = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            command, env={**tools, **environment}, capture_output=True, text=True, check=False
        )


def libraries(*files: Path) -> list[Path]:
    """Return the shared libraries that these files are loaded with."""
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True).stdout
    words = {word for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    return [Path(word) for word in sorted(words) if not word.endswith(":")]
