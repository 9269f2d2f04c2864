"""Kills before every call that changes the disk, and calls that fail: the store is old or new."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom import StoreError
from strongroom.store.store import Store
from tests.conftest import ROOT, Model
from tests.store.conftest import enter_model, key_in, sealed_files, state_of, store_in

CHANGING = ("link", "replace", "fsync", "unlink", "write", "fchmod", "mkdir")
"""What changes the disk, of the calls that Python makes."""

Work = Callable[[Store, Model, Model], object]

WORKS: dict[str, Work] = {
    "add": lambda store, tiny, _: enter_model(store, "new", tiny),
    "replace": lambda store, _, other: enter_model(store, "tiny", other, replacing=True),
    "rekey": lambda store, *_: store.rekey("tiny", store),
    "remove": lambda store, *_: store.remove("tiny"),
}


def harmed(monkeypatch: pytest.MonkeyPatch, at: int, harm: Callable[[], None]) -> list[str]:
    """Do harm before the call `at` of those that change the disk; returns the calls that were made."""
    made: list[str] = []

    def wrapped(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            made.append(name)
            if len(made) == at + 1:
                harm()
            return real(*arguments, **options)

        return call

    for name in CHANGING:
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))
    return made


def consistent(store: Store) -> dict[str, str]:
    """Check that every model in the store is whole, and that `gc` leaves nothing else; returns digests."""
    models = store.models()
    for name, entry in models.items():
        assert store.verify(name).digest == entry.digest
    store.gc()
    assert sealed_files(store) == sorted(entry.file for entry in models.values())
    return {name: entry.digest for name, entry in models.items()}


@pytest.mark.parametrize("what", WORKS)
def test_killed_before_each_call_that_changes_the_disk(
    what: str, tmp_path: Path, key: Path, tiny: Model, untemplated: Model
) -> None:
    at, ended = 0, False
    while not ended:
        store = store_in(tmp_path / str(at), key)
        enter_model(store, "tiny", tiny)
        before = {name: entry.digest for name, entry in store.models().items()}
        child = os.fork()
        if child == 0:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    harmed(patch, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
                    WORKS[what](store, tiny, untemplated)
                os._exit(0)
            finally:  # or the child would run the other tests
                os._exit(1)
        _, status = os.waitpid(child, 0)
        ended = os.WIFEXITED(status)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        after = {
            "add": {"tiny": tiny.checksum, "new": tiny.checksum},
            "replace": {"tiny": untemplated.checksum},
            "rekey": {"tiny": tiny.checksum},
            "remove": {},
        }[what]
        found = consistent(store)
        assert found in (before, after)
        assert not ended or found == after
        at += 1
    assert at >= 5, "calls were counted"


@pytest.mark.parametrize("what", WORKS)
def test_a_disk_that_fails_at_each_call(
    what: str, tmp_path: Path, key: Path, tiny: Model, untemplated: Model
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    at, refused = 0, 0
    while True:
        store = store_in(tmp_path / str(at), key)
        enter_model(store, "tiny", tiny)
        before, state = store.models(), state_of(store)
        with pytest.MonkeyPatch.context() as patch:
            made = harmed(patch, at, full)
            try:
                WORKS[what](store, tiny, untemplated)
            except StoreError as error:
                refused += 1
                told = f"{error.code} {error.message}"
                assert re.match(r"store\.(index_)?unwritable .*No space left", told)
        if len(made) <= at:
            break
        models = store.models()
        if models == before and what != "rekey":
            assert state_of(store) == state, made
        consistent(store)
        at += 1
    assert refused >= 4


LIMITED = """
import resource, sys
from pathlib import Path
from tests.conftest import Model
from tests.store.conftest import enter_model, store_in
from strongroom import StoreError
folder, key, path, limit, what = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
store = store_in(Path(folder), Path(key))
try:
    if what == "add":
        enter_model(store, "big", Model.of(Path(path)))
    elif what == "export":
        store.export("tiny", Path(folder) / "out.gguf")
    else:
        getattr(store, what)("tiny", *([store] if what == "rekey" else []))
except Exception as error:
    print(type(error).__name__, error.code)
"""


@pytest.mark.parametrize(
    ("what", "limit", "told"),
    [
        (
            "add",
            518_304,  # as the image in memory has: the sealed file has a few more
            "StoreError store.unwritable",
        ),
        ("rekey", 100_000, "StoreError store.unwritable"),
        ("remove", 10, "StoreError store.index_unwritable"),
        ("export", 100_000, "OutputError output.unwritable"),
    ],
)
def test_the_kernel_takes_no_more_bytes(  # noqa: PLR0917
    what: str, limit: int, told: str, store: Store, tmp_path: Path, key: Path, tiny: Model
) -> None:
    state = state_of(store)
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path, key, tiny.path, str(limit), what],
        capture_output=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert run.stdout.decode().strip() == told
    assert state_of(store) == state
    assert not (tmp_path / "out.gguf").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


BUSY = """
import sys
from pathlib import Path
from tests.conftest import Model
from tests.store.conftest import enter_model, store_in
folder, key, one, other = map(Path, sys.argv[1:])
store, models = store_in(folder, key), [Model.of(one), Model.of(other)]
print("ready", flush=True)
while True:
    for model in models:
        enter_model(store, "kept", model, replacing=True)
        store.rekey("kept", store)
        enter_model(store, "passing", model)
        store.remove("passing")
"""


def test_killed_at_random(tmp_path: Path, key: Path, tiny: Model, untemplated: Model) -> None:
    store = store_in(tmp_path, key)
    enter_model(store, "kept", tiny)
    enter_model(store, "beside", tiny)
    chance = random.Random(7)  # noqa: S311
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", BUSY, tmp_path, key, tiny.path, untemplated.path],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.04))
            child.kill()
        found = consistent(store)
        assert found.keys() - {"passing"} == {"kept", "beside"}
        assert found["kept"] in {tiny.checksum, untemplated.checksum}
        if "passing" in found:
            store.remove("passing")


def test_the_keys_of_a_killed_rekeying_still_open_it(tmp_path: Path, key: Path, tiny: Model) -> None:
    """Killed after the index was replaced: the old file is loose, and `gc` removes it."""
    store = store_in(tmp_path, key)
    enter_model(store, "tiny", tiny)
    target = store_in(tmp_path, key_in(tmp_path, "new"))
    [old] = sealed_files(store)
    child = os.fork()
    if child == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(target._files, "unlink", lambda _: os._exit(9))
                patch.setattr(store._files, "unlink", lambda _: os._exit(9))
                store.rekey("tiny", target)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert target.verify("tiny").digest == tiny.checksum
    assert old in sealed_files(store)
    assert store.gc() == [old]
    assert target.verify("tiny").digest == tiny.checksum
