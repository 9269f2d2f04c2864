"""A store that can't be written to is read as any other; and the environment says where one is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import strongroom
from tests.conftest import ROOT, Model
from tests.store.conftest import enter_model, key_in, state_of, store_in
from tests.store.ordinary import as_nobody, give_to_nobody, open_folder

WORKS = """
import sys
from pathlib import Path
from strongroom import KeyFile, Store, StoreError, add_to_store
from tests.store.ordinary import become_nobody
if sys.argv[4:]:
    become_nobody()
folder, gguf, checksum = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = Store(folder / "store", [KeyFile(file=folder / "key")])
print(store.open("tiny").image.digest, store.verify("tiny").digest, list(store.models()))
print(store.show("tiny").header.keys)
works = {
    "add": lambda: add_to_store(store, "new", gguf, checksum=checksum),
    "replace": lambda: add_to_store(store, "tiny", gguf, checksum=checksum, replacing=True),
    "rekey": lambda: store.rekey("tiny", store),
    "remove": lambda: store.remove("tiny"),
    "gc": store.gc,
}
for name, work in works.items():
    try:
        work()
        print(name, "worked")
    except StoreError as error:
        print(name, error.code)
"""

EXPECTED = [
    "['strongroom/store']",
    "add store.unwritable",
    "replace store.unwritable",
    "rekey store.unwritable",
    "remove store.index_unwritable",
    "gc store.index_unwritable",
]


def test_as_a_user_who_may_read_it(tiny: Model) -> None:
    with open_folder() as folder:
        store = store_in(folder, key_in(folder))
        enter_model(store, "tiny", tiny)
        shutil.copy(tiny.path, folder / "tiny.gguf")
        Path(store.directory, "index.json.guard").unlink()
        give_to_nobody(folder)
        before = state_of(store)
        places = [Path(store.directory, "models"), Path(store.directory)]
        for place in places:
            place.chmod(0o500)
        told = as_nobody(WORKS, folder, folder / "tiny.gguf", tiny.checksum, "nobody")
        assert told.splitlines() == [f"{tiny.checksum} {tiny.checksum} ['tiny']", *EXPECTED]
        assert state_of(store) == before
        for place in places:
            place.chmod(0o700)


MOUNTED = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


def test_on_a_file_system_that_is_mounted_read_only(tmp_path: Path, tiny: Model) -> None:
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a name space of mounts")
    store = store_in(tmp_path, key_in(tmp_path))
    enter_model(store, "tiny", tiny)
    before = state_of(store)
    inside: list[str | Path] = [sys.executable, "-c", WORKS, tmp_path, tiny.path, tiny.checksum]
    command: list[str | Path] = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", store.directory, *inside]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f"{tiny.checksum} {tiny.checksum} ['tiny']", *EXPECTED]
    assert state_of(store) == before


def test_the_environment_says_where_it_is(tmp_path: Path, tiny: Model) -> None:
    key = key_in(tmp_path)
    environment = {"STRONGROOM_STORE__DIRECTORY": str(tmp_path / "named"), "HOME": str(tmp_path / "home")}
    added = strongroom(
        "store",
        "add",
        "tiny",
        tiny.path,
        "--checksum",
        tiny.checksum,
        "--key-file",
        key,
        environment=environment,
    )
    assert added.returncode == 0, added.stderr
    assert list((tmp_path / "named/models").iterdir())
    listed = json.loads(strongroom("store", "list", "--json", environment=environment).stdout)
    assert (listed["store"], list(listed["models"])) == (str(tmp_path / "named"), ["tiny"])
    run = strongroom(
        "run",
        "tiny",
        "Hello",
        "--key-file",
        key,
        "--max-tokens",
        "2",
        "--cpu-limit",
        "1",
        "--quiet",
        environment=environment,
    )
    assert run.returncode == 0, run.stderr
    # What the command line names goes before it.
    other = strongroom("store", "list", "--store", tmp_path / "other", "--json", environment=environment)
    assert json.loads(other.stdout)["models"] == {}
    pinned = environment | {"STRONGROOM_STORE__ID": "0" * 32}
    refused = strongroom("store", "list", environment=pinned)
    assert refused.returncode == 1
    assert "[store.other]" in refused.stderr
