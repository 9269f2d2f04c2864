"""What is rare: a strange umask, a fork in a callback, an interrupt while a key is derived."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from strongroom import (
    EnvironmentKey,
    KeyFile,
    OutputError,
    PassphraseKey,
    SealError,
    SourceError,
    Store,
    _core,
)
from strongroom.store.keys import Key
from tests.conftest import ROOT, Model
from tests.store.conftest import enter_model, key_in, marked, sealed_files
from tests.store.ordinary import as_nobody, give_to_nobody, open_folder

__all__ = ["marked"]  # a fixture


def test_a_variable_is_not_used_up_when_another_key_cannot_be_read(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", "5c" * 32)
    keys: list[Key] = [
        EnvironmentKey(variable="STORE_KEY", name="one"),
        KeyFile(file=tmp_path / "late", name="two"),
    ]
    with pytest.raises(SealError) as caught:
        Store(tmp_path / "store", keys).open_keys()
    assert caught.value.code == "seal.key_file"
    assert "STORE_KEY" in os.environ
    key_in(tmp_path, "late")
    with pytest.raises(SealError) as caught:
        Store(tmp_path / "store", [*keys, EnvironmentKey(variable="NOT_THERE")]).open_keys()
    assert caught.value.code == "seal.no_variable"
    assert "STORE_KEY" in os.environ
    store = Store(tmp_path / "store", keys)
    enter_model(store, "tiny", tiny)
    assert "STORE_KEY" not in os.environ
    assert store.show("tiny").header.keys == ["strongroom/one", "strongroom/two"], "in the order of the keys"


def test_directories_with_the_names_of_its_files_stay(store: Store) -> None:
    loose, models = "0" * 64 + "-" + "1" * 64 + ".sealed", Path(store.directory, "models")
    kept = ["2" * 64 + "-" + "3" * 64 + ".sealed", "a.partial"]
    for name in kept:
        (models / name).mkdir()
        (models / name / "inside").touch()
    (models / loose).touch()
    (models / "b.partial").touch()
    assert store.gc() == [loose, "b.partial"]
    assert sorted(sealed_files(store)) == sorted([*kept, store.models()["tiny"].file])


FORKS = """
import os, sys
from pathlib import Path
from strongroom import KeyFile, Store
folder = Path(sys.argv[1])
store = Store(folder / "store", [KeyFile(file=folder / "key")])
parent, children = os.getpid(), []
reading, writing = os.pipe()
def fork(done, total):
    if os.getpid() == parent and not children:
        children.append(os.fork())
        if not children[0]:
            os.close(writing)
            os.read(reading, 1)  # until its parent is done
            return  # goes on as if it were its parent
work = {"open": lambda: store.open("m", progress=fork), "verify": lambda: store.verify("m", progress=fork),
    "rekey": lambda: store.rekey("m", store, progress=fork)}[sys.argv[2]]
work()
assert os.getpid() == parent
assert children
os.close(writing)
print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
"""


@pytest.mark.parametrize("work", ["open", "verify", "rekey"])
def test_a_child_that_a_callback_forks_ends(store: Store, tmp_path: Path, marked: Model, work: str) -> None:
    enter_model(store, "m", marked)
    run = subprocess.run(
        [sys.executable, "-c", FORKS, tmp_path, work],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (0, b"70\n"), run.stderr.decode()
    assert b"a forked child can't go on" in run.stderr
    assert store.verify("m").digest == marked.checksum


@pytest.mark.parametrize("target", ["sub/", "there/", ".", "..", "there/."])
def test_a_directory_is_no_file_to_export_to(
    store: Store, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="is the name of a directory") as caught:
        store.export("tiny", f"./{target}")
    assert caught.value.code == "output.unwritable"
    assert sorted(tmp_path.rglob("*")) == before


MASKED = """
import os, sys
from pathlib import Path
from strongroom import KeyFile, Store, add_to_store
from tests.store.ordinary import become_nobody
become_nobody(0o777)
folder = Path(sys.argv[1])
store = Store(folder / "above/store", [KeyFile(file=folder / "key")])
add_to_store(store, "tiny", str(folder / "tiny.gguf"), checksum=sys.argv[2])
store.rekey("tiny", store)
add_to_store(store, "again", str(folder / "tiny.gguf"), checksum=sys.argv[2])
print(store.verify("tiny").digest, store.remove("again").digest, store.gc())
store.export("tiny", folder / "out.gguf")
for path in sorted(folder.rglob("*")):
    assert path.lstat().st_mode & 0o077 == 0 or path.name == "tiny.gguf", path
"""


def test_a_umask_that_takes_everything(tiny: Model) -> None:
    with open_folder() as folder:
        key_in(folder)
        (folder / "tiny.gguf").write_bytes(tiny.path.read_bytes())
        give_to_nobody(folder)
        assert as_nobody(MASKED, folder, tiny.checksum) == f"{tiny.checksum} {tiny.checksum} []\n"
        assert (folder / "out.gguf").read_bytes() == tiny.path.read_bytes()


class EnoughError(Exception):
    pass


def timed(work: Callable[[], object]) -> float:
    """The seconds until work ends, by being refused or interrupted."""
    start = time.monotonic()
    with pytest.raises((SealError, EnoughError)):
        work()
    return time.monotonic() - start


def test_an_interrupt_while_a_key_is_derived_that_asks_for_gibibytes(tmp_path: Path, tiny: Model) -> None:
    (secret := tmp_path / "passphrase").write_text("correct horse\n")
    secret.chmod(0o600)
    store = Store(tmp_path / "store", [PassphraseKey(passphrase_file=secret)])
    enter_model(store, "tiny", tiny)
    path = Path(store.directory, "models", store.models()["tiny"].file)
    # As whoever can write to the disk could have it: as costly as is allowed, 512 MiB filled 8 times.
    whole = path.read_bytes()
    place = whole.index(b"$argon2id$")
    length = int.from_bytes(whole[place - 2 : place])
    asked = whole[place:].replace(b"m=65536,t=3,p=1", b"m=524288,t=8,p=1", 1)
    path.write_bytes(whole[: place - 2] + (length + 1).to_bytes(2) + asked)

    whole_time = timed(lambda: store.verify("tiny"))

    def enough(_number: int, _frame: FrameType | None) -> None:
        raise EnoughError

    before = signal.signal(signal.SIGALRM, enough)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        interrupted = timed(lambda: store.verify("tiny"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert whole_time > 1, "it was long enough to be interrupted"
    assert interrupted < whole_time / 2


KILLED = """
import os, signal, sys
from strongroom import _core
digits = bytearray(b"00" * 32)
key = _core.Keyring.from_hex(digits, namespace="t", name="t", source="the test")
def kill(done, total):
    os.kill(os.getpid(), signal.SIGKILL)
work = _core.seal_file if sys.argv[1] == "seal" else _core.open_sealed
more = {"context": {}} if sys.argv[1] == "seal" else {}
work(sys.argv[2], sys.argv[3], keyrings=[key], progress=kill, **more)
"""


def test_killed_while_a_file_is_written_leaves_none(tmp_path: Path) -> None:
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(os.urandom(9 << 20))

    def killed(*arguments: str | Path) -> None:
        run = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False, timeout=60)
        assert run.returncode == -signal.SIGKILL

    killed("seal", plain, sealed)
    assert list(tmp_path.iterdir()) == [plain]
    key = _core.Keyring.from_hex(bytearray(b"00" * 32), namespace="t", name="t", source="the test")
    _core.seal_file(str(plain), str(sealed), keyrings=[key], context={})
    killed("open", sealed, opened)
    assert sorted(tmp_path.iterdir()) == [plain, sealed]

    def touched(_done: int, _total: int) -> None:
        os.utime(sealed)

    with pytest.raises(SourceError) as caught:
        _core.open_sealed(str(sealed), str(opened), keyrings=[key], progress=touched)
    assert caught.value.code == "source.changed"
    assert sorted(tmp_path.iterdir()) == [plain, sealed], "not named before that is seen"
    _core.open_sealed(str(sealed), str(opened), keyrings=[key])
    assert opened.read_bytes() == plain.read_bytes()
