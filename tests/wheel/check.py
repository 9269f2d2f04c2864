"""`make wheel-check`: a wheel for publishing, installed where there is Python and nothing else, answers.

    python -m tests.wheel.check WHEEL MODEL

It needs `unshare` of util-linux, and root or user namespaces. With `qemu-x86_64-static` (Debian's package
qemu-user-static) it also sees what becomes of it on a processor without AVX2.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strongroom import _core
from tests.wheel.bare_root import BareRoot
from tests.wheel.contents import faults

PROMPT = "Why is the sky blue?"
INSTALLED = "/installed"
EMULATOR = "qemu-x86_64-static"
VARIABLE = "STRONGROOM_LIMITS__INSTRUCTION_SET"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def install(wheel: Path, root: BareRoot) -> None:
    """Install the wheel in the root by pip, from files: what it depends on is fetched outside, as wheels."""
    wheels = root.directory / "wheels"
    command = [*PIP, "download", "--only-binary", ":all:", "--dest", str(wheels), str(wheel), "pip"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    [pip] = wheels.glob("pip-*.whl")
    options = ["--quiet", "--no-index", "--find-links", "/wheels", "--no-warn-script-location"]
    done = root.run(
        [f"/wheels/{pip.name}/pip", "install", *options, "--target", INSTALLED, f"/wheels/{wheel.name}"],
        {"HOME": "/root"},
    )
    if done.returncode:
        sys.exit(f"the wheel can't be installed: {done.stderr}")


class Installation:
    """The installed wheel in the root."""

    def __init__(self, root: BareRoot) -> None:
        """Take a root in which it is installed."""
        self.root = root

    def strongroom(
        self, *arguments: str, instruction_set: str, emulator: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        environment = {"PYTHONPATH": INSTALLED, "HOME": "/root", VARIABLE: instruction_set}
        return self.root.run(["-m", "strongroom", *arguments], environment, emulator)

    def json(self, *arguments: str, instruction_set: str) -> Any:
        """Run a command that has to succeed; return what it prints."""
        done = self.strongroom(*arguments, "--json", instruction_set=instruction_set)
        if done.returncode:
            sys.exit(f"strongroom {arguments[0]} with {instruction_set} failed: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)

    def answer(self, checksum: str, instruction_set: str) -> str:
        """Ask the model, held to the worker that was asked for."""
        command = ("run", "/model.gguf", PROMPT, "--checksum", checksum)
        said = self.json(
            *command, "--max-tokens", "32", "--temperature", "0", instruction_set=instruction_set
        )
        if said["model"]["instruction_set"] != instruction_set:
            sys.exit(f"{instruction_set} was asked for, {said['model']['instruction_set']} answered")
        if said["completion_tokens"] < 1 or not said["text"].strip():
            sys.exit(f"the worker for {instruction_set} answers nothing")
        rate = said["completion_tokens"] / said["timings"]["decode"]
        print(f"{instruction_set}: {said['text'].strip()!r}, {rate:.0f} tokens/s")
        return str(said["text"])


def check(wheel: Path, model: Path, root: BareRoot) -> None:
    """Install, ask `doctor`, and ask a model by every worker."""
    start = time.perf_counter()
    install(wheel, root)
    print(f"installed in {time.perf_counter() - start:.1f} s")
    shutil.copyfile(model, root.directory / "model.gguf")
    with model.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    here = Installation(root)
    chosen = here.json("doctor", instruction_set="auto")["worker"]
    print(f"doctor: {chosen}")
    wide = "avx512vnni" in _core.Processor.detect().features
    if chosen != {"instruction_set": "avx512" if wide else "avx2", "installed": ["avx512", "avx2"]}:
        sys.exit("that is not the fastest of both workers for this processor")
    plain = here.answer(checksum, "avx2")
    if wide:
        same = here.answer(checksum, "avx512") == plain
        print(f"the answers are {'the same' if same else 'different, as their rounding is'}")
    else:
        refuse(here)
    emulate(here)


def refuse(here: Installation) -> None:
    """See that the AVX-512 worker is not started by a processor that hasn't all of it."""
    refused = here.strongroom("doctor", instruction_set="avx512")
    if refused.returncode != 1 or "[settings.unavailable]" not in refused.stderr:
        sys.exit(f"avx512 was not refused on a processor without it: {refused.stderr}")
    print("avx512: refused, this processor hasn't all of it")


def emulate(here: Installation) -> None:
    """See that a processor without AVX2 gets an error."""
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        print(f"not tried without AVX2: there is no {EMULATOR}")
        return
    shutil.copy2(emulator, here.root.directory / EMULATOR)
    old = here.strongroom("doctor", instruction_set="auto", emulator=(f"/{EMULATOR}", "-cpu", "Nehalem"))
    if old.returncode != 1 or "[worker.unsupported_processor]" not in old.stderr:
        sys.exit(f"a processor without AVX2 got no clear error: {old.returncode} {old.stderr}")
    print("without AVX2: refused, by a clear error")


def main() -> None:
    """Check the wheel's contents, then what it does."""
    wheel, model = (Path(argument).resolve() for argument in sys.argv[1:])
    if found := faults(wheel):
        sys.exit("\n".join(found))
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        check(wheel, model, BareRoot(Path(folder)))


if __name__ == "__main__":
    main()
