"""What is left of keys in the memory of a process that seals and loads: nothing that can be read."""

import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.conftest import Model
from tests.store.traces import found, looks, message_key, schedule

KEY = bytes.fromhex("c0ffee5ca1ab1e00d15ea5edfacade99b16b00b5deadbea75caff01d0b5e55ed")

STAGES = (
    "key read",
    "sealed",
    "verified",
    "resealed",
    "loaded",
    "asked",
    "unloaded",
    "refused",
    "closed",
)

CHILD = """
import os, sys
from pathlib import Path
from strongroom import Router, Settings, StrongroomError, _core
from strongroom.models.proofs import Given
from strongroom.models.stored import enter
from strongroom.settings import Security
from strongroom.store.keys import KeyFile
from strongroom.store.settings import StoreSettings
from strongroom.store.store import Store

path, checksum, directory, key = sys.argv[1:]
control = bytes.fromhex(sys.stdin.readline().strip())

def pause(what):
    sys.stdout.write(what + chr(10))
    sys.stdout.flush()
    sys.stdin.readline()

store = Store(directory, [KeyFile(file=key)])
store.open_keys()
pause("key read")
enter(store, "model", path, given=Given(checksum=checksum), settings=Settings())
pause("sealed")
store.verify("model")
pause("verified")
store.rekey("model", store)
pause("resealed")
settings = Settings(store=StoreSettings(directory=directory, keys=[KeyFile(file=key)]))
with Router(settings) as router:
    router.load("model")
    pause("loaded")
    router.complete("Hello", max_tokens=2)
    pause("asked")
    router.unload("model")
    pause("unloaded")
    damaged = Path(directory, "models", store.models()["model"].file)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    try:
        router.load("model")
    except StrongroomError as error:
        assert error.code == "seal.authentication", error
    else:
        raise AssertionError("a damaged model was loaded")
    pause("refused")
pause("closed")
shown = bytes(byte ^ 0x55 for byte in control)
pause("control")
del shown
"""


class Child:
    """A process that stops at each of its stages."""

    def __init__(self, model: Model, directory: Path) -> None:
        key = directory / "key"
        key.write_bytes(KEY)
        key.chmod(0o600)
        self.store = directory / "store"
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, model.path, model.checksum, self.store, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.say(bytes(byte ^ 0x55 for byte in KEY).hex())
        self.until("key read")

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, stage: str) -> None:
        ready, _, _ = select.select([self.output], [], [], 60)
        assert ready, f"it hangs before {stage}"
        line = self.output.readline().strip()
        assert line == stage, (line, self.process.poll())

    def keys(self) -> dict[str, set[bytes]]:
        """Return the traces of every key that its sealed files are under now."""
        wanted = {"wrapping key": looks(KEY)}
        for file in self.store.glob("models/*.sealed"):
            data_key, identity = opened(file)
            wanted[f"data key {identity.hex()[:8]}"] = looks(data_key)
            wanted[f"message key {identity.hex()[:8]}"] = looks(message_key(data_key, identity))
        return wanted


def opened(file: Path) -> tuple[bytes, bytes]:
    """Unwrap the data key of a sealed file, by its specification alone."""
    content = file.read_bytes()[: 64 << 10]
    identity, place = content[3:35], 35

    def counted() -> bytes:
        nonlocal place
        length = int.from_bytes(content[place : place + 2])
        place += 2 + length
        return content[place - length : place]

    context = counted()
    assert int.from_bytes(content[place : place + 2]) == 1
    place += 2
    _provider, info, wrapped = counted(), counted(), counted()
    return AESGCM(KEY).decrypt(info[-12:], wrapped, context), identity


@pytest.fixture
def child(tmp_path: Path, tiny: Model) -> Iterator[Child]:
    child = Child(tiny, tmp_path)
    yield child
    child.process.kill()
    child.process.communicate()


def test_the_schedule_is_that_of_aes() -> None:
    # FIPS 197, appendix C.3: the schedule of the example's last round.
    assert schedule(bytes(range(32)))[14].hex() == "24fc79ccbf0979e9371ac23c6d68de36"


def test_no_key_is_left_where_it_could_be_read(child: Child) -> None:
    wanted = child.keys()
    for stage in STAGES:
        if stage != "key read":
            child.say("")
            child.until(stage)
        if stage != "refused":
            wanted |= child.keys()
        counts = found(child.process.pid, wanted)
        assert not any(counts.values()), (stage, counts)
    child.say("")
    child.until("control")
    assert found(child.process.pid, wanted)["wrapping key"] > 0
