"""What an attack found: each of it once, so that it doesn't come back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from strongroom import OptionError, Store, StoreError, StrongroomError
from strongroom.store.keys import PassphraseKey
from tests.conftest import ROOT, Model
from tests.store.conftest import enter_model, sealed_files, store_in
from tests.store.traces import found

SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from strongroom import DataCipher, DataKey, KeyFile, StrongroomError
cipher = DataCipher([DataKey(id="a", version=1, key=KeyFile(file=sys.argv[1]))])
context = {"tenant": "t", "record": "r"}
plain = b"x" * (60 << 20)
envelope = cipher.encrypt(plain, context)
items = [0] * (12 << 20)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20),) * 2)
for work in (lambda: cipher.encrypt(plain, context), lambda: cipher.decrypt(envelope, context),
             lambda: cipher.encrypt(items, context)):
    try:
        work()
    except StrongroomError as error:
        print(error.code)
"""


def test_a_record_for_which_there_is_no_memory(key: Path) -> None:
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(key)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["seal.no_memory"] * 3


class Liar(list[int]):
    def __len__(self) -> int:
        return 1 << 46


class Service:
    provider, name = "somebody", "else"

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def wrap(self, _key: bytearray, _context: object) -> tuple[Any, bytes]:
        return self.wrapped, b"x"

    def unwrap(self, _info: bytes, wrapped: bytes, _context: object) -> bytearray:
        return bytearray(wrapped)


@pytest.mark.parametrize("wrapped", [Liar(), [1, 2], "text", None])
def test_a_service_that_answers_with_something_else(tmp_path: Path, tiny: Model, wrapped: Any) -> None:
    store = Store(tmp_path / "store", [Service(wrapped)])
    with pytest.raises(StrongroomError) as caught:
        enter_model(store, "tiny", tiny)
    assert caught.value.code == "seal.service"
    assert sealed_files(store) == []


def test_gc_without_an_index_removes_nothing(store: Store) -> None:
    index = Path(store.directory, "index.json")
    kept = index.read_bytes()
    before = sealed_files(store)
    assert before
    index.unlink()
    with pytest.raises(StoreError) as caught:
        store.gc()
    assert caught.value.code == "store.index_missing"
    index.write_bytes(kept)
    assert sealed_files(store) == before
    assert store.gc() == []


def test_a_child_that_was_forked_while_keys_were_made(store: Store, tiny: Model) -> None:
    ended = threading.Event()

    def busy() -> None:
        while not ended.is_set():
            store.verify("tiny")

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(25):
            child = os.fork()
            if child == 0:
                try:
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)
                    signal.alarm(20)  # ends it where it hangs
                    os._exit(store.verify("tiny").digest != tiny.checksum)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_the_callback_of_opening_hears_of_the_end(store: Store, tiny: Model) -> None:
    size = tiny.path.stat().st_size
    for _ in range(5):
        told: list[tuple[int, int]] = []
        store.open("tiny", progress=lambda done, total, told=told: told.append((done, total)))  # type: ignore[misc]
        assert told[-1] == (size, size)


PASSPHRASE = """
import sys
from strongroom import Store
from strongroom.store.keys import PassphraseKey
store = Store(sys.argv[1], [PassphraseKey(passphrase_file=sys.argv[2])])
store.verify("tiny")
print("verified", flush=True)
sys.stdin.readline()
"""


def test_a_passphrase_is_nowhere_in_memory_that_can_be_read(tmp_path: Path, tiny: Model) -> None:
    line = tmp_path / "passphrase"
    line.touch(mode=0o600)
    line.write_text("seventeen wombats under a bridge\n")
    store = Store(tmp_path / "store", [PassphraseKey(passphrase_file=line)])
    enter_model(store, "tiny", tiny)
    command = [sys.executable, "-c", PASSPHRASE, store.directory, str(line)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "verified\n"
        traces = found(process.pid, {"passphrase": [b"seventeen wombats"], "control": [b"verified"]})
        process.communicate("\n", timeout=30)
    assert traces["passphrase"] == 0
    assert traces["control"] > 0


def test_names_are_not_all_listed(tmp_path: Path, key: Path, tiny: Model) -> None:
    store = store_in(tmp_path, key)
    for number in range(12):
        enter_model(store, f"model-{number:02}", tiny)
    with pytest.raises(StoreError, match="and 2 more") as caught:
        store.show("other")
    assert "model-11" not in caught.value.message


def test_a_new_name_without_a_new_key_does_not_pass_for_one(tmp_path: Path) -> None:
    from strongroom.cli.store.changing import rekey

    with pytest.raises(OptionError, match="--new-key-name"):
        rekey(names=["tiny"], store=tmp_path / "store", new_key_name=["other"])
