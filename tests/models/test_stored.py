"""Out of the store into a router: the policy of today decides on what was found when a model entered."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    ChecksumError,
    KeyFile,
    Limits,
    ModelRule,
    ModelVerification,
    OptionError,
    Revocation,
    Router,
    Sandboxing,
    SealError,
    Security,
    Settings,
    StoreSettings,
    StrongroomError,
    TrustedSource,
)
from strongroom.models.proofs import Given
from strongroom.models.stored import enter
from tests.conftest import ROOT, Model
from tests.signers import key_pair, openssl_sign
from tests.store.conftest import MARKER, enter_model, key_in, marked, store_in

__all__ = ["marked"]  # a fixture


def settings(folder: Path, **policy: Any) -> Settings:
    return Settings(
        security=Security(
            sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB"),
            model_verification=ModelVerification(**policy),
        ),
        limits=Limits(context_length=64),
        store=StoreSettings(directory=folder / "store", keys=[KeyFile(file=folder / "key")]),
    )


@pytest.fixture
def folder(tmp_path: Path, tiny: Model) -> Path:
    enter_model(store_in(tmp_path, key_in(tmp_path)), "tiny", tiny)
    return tmp_path


@pytest.mark.asyncio
async def test_both_routers_serve_it_and_say_where_it_came_from(folder: Path, tiny: Model) -> None:
    with Router(settings(folder)) as router:
        info = router.load("tiny", checksum=tiny.checksum.upper().replace("SHA", "sha"))
        assert router.chat("Hello", max_tokens=1).completion_tokens == 1
    assert (info.digest, info.verified) == (tiny.checksum, True)
    assert info.path.startswith(f"{folder}/store/models/")
    assert info.why[0].startswith(f"store: 'tiny' of {folder}/store, authentic")
    assert isinstance(info.pinned, bool)
    async with AsyncRouter(settings(folder)) as served:
        assert (await served.load("other", "tiny")).digest == tiny.checksum


def code_of(settings: Settings, name: str = "tiny", **options: Any) -> str:
    with Router(settings) as router:
        with pytest.raises(StrongroomError) as caught:
            router.load(name, **options)
        assert router.models() == []
    return caught.value.code


def test_the_policy_of_today_decides(folder: Path, tiny: Model) -> None:
    revoked = Revocation(digest=tiny.checksum, reason="poisoned")
    assert code_of(settings(folder, revoked=[revoked])) == "trust.revoked"
    rule = ModelRule(name="tiny", minimum_version="2.0")
    assert code_of(settings(folder, models=[rule])) == "trust.version"
    (folder / "place").mkdir()
    narrowed = TrustedSource(root=str(folder / "place"))
    assert code_of(settings(folder, trusted_sources=[narrowed])) == "trust.source"
    assert code_of(settings(folder, proof="signature")) == "trust.unsigned"
    assert code_of(settings(folder), "unknown") == "store.unknown"


def test_a_record_of_another_model(folder: Path, untemplated: Model) -> None:
    recording = settings(folder, lock=str(folder / "strongroom.lock"))
    with Router(recording) as router:
        router.load("tiny")
    enter_model(store_in(folder, folder / "key"), "tiny", untemplated, replacing=True)
    assert code_of(recording) == "trust.changed"


def test_a_key_that_was_revoked_after_a_signed_model_entered(folder: Path, tiny: Model) -> None:
    private, public = key_pair("p256", folder)
    signed = folder / "signed.gguf"
    signed.write_bytes(tiny.path.read_bytes())
    openssl_sign("p256", private, signed, folder / "signed.gguf.sig")
    store = store_in(folder, folder / "key")
    enter(store, "signed", str(signed), given=Given(public_key=public), settings=Settings())
    with Router(settings(folder, proof="signature")) as router:
        signer = router.load("signed").signer
    assert signer is not None
    gone = Revocation(key=signer, reason="stolen")
    assert code_of(settings(folder, revoked=[gone]), "signed") == "trust.revoked"


def test_checksums_and_proofs_of_the_call(folder: Path) -> None:
    assert code_of(settings(folder), checksum="sha256:" + "0" * 64) == "checksum.mismatch"
    assert code_of(settings(folder), checksum="sha256:0") == "checksum.malformed"
    with Router(settings(folder)) as router:
        for options in ({"checksum": ["sha256:" + "0" * 64]}, {"public_key": "x"}):
            with pytest.raises(OptionError):
                router.load("tiny", **options)
        with pytest.raises(ChecksumError):
            router.load("tiny", checksum="sha256:" + "1" * 64)


SCANNED = """
import re, sys
from pathlib import Path
from strongroom import KeyFile, SealError, Store
folder, how = Path(sys.argv[1]), sys.argv[2]
half = b"plaintext of the weights, ", b"which no disk has"
def count():
    found = 0
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps"):
            begin, end, mode = re.match(r"(\\w+)-(\\w+) (\\S+)", line).groups()
            if mode[0] != "r" or "[v" in line:
                continue
            memory.seek(int(begin, 16))
            left = int(end, 16) - int(begin, 16)
            try:
                data = memory.read(left)
            except OSError:  # keys, which the kernel itself can't read
                continue
            place = data.find(half[0])
            while place >= 0:
                after = place + len(half[0])
                found += data[after : after + len(half[1])] == half[1]
                place = data.find(half[0], after)
            del data
    return found
store = Store(folder / "store", [KeyFile(file=folder / "key")])
try:
    image = store.open("marked").image
    print("opened", end=" ")
except SealError as error:
    print(error.code, end=" ")
if how == "control":
    import os
    kept = next(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY) for fd in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{fd}") and "strongroom-image" in os.readlink(f"/proc/self/fd/{fd}"))
    kept = os.read(kept, 1 << 20)
print(count() > 0)
"""


def test_of_a_model_with_one_bad_frame_nothing_stays_in_memory(folder: Path, marked: Model) -> None:
    store = store_in(folder, folder / "key")
    enter_model(store, "marked", marked)

    def scanned(how: str) -> str:
        command = [sys.executable, "-c", SCANNED, str(folder), how]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
        assert run.returncode == 0, run.stderr.decode()
        return run.stdout.decode().strip()

    assert MARKER in marked.path.read_bytes()
    assert scanned("control") == "opened True"
    path = Path(store.directory, "models", store.models()["marked"].file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert scanned("harmed") == "seal.authentication False"
    with pytest.raises(SealError, match="can't be opened"):
        store.verify("marked")
