"""`strongroom store` and `run` with a store, as processes with pipes."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, strongroom
from tests.conftest import Model
from tests.processes import eventually
from tests.store.conftest import key_in, marked

__all__ = ["marked"]  # a fixture


@pytest.fixture
def options(tmp_path: Path) -> tuple[str | Path, ...]:
    return ("--store", tmp_path / "store", "--key-file", key_in(tmp_path))


def add(model: Model, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return strongroom("store", "add", "tiny", model.path, "--checksum", model.checksum, *options)


def test_from_adding_to_removing(options: tuple[str | Path, ...], tiny: Model, tmp_path: Path) -> None:
    where, keyed = options[:2], options
    done = add(tiny, *keyed)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"sealed tiny is {tiny.checksum}" in done.stderr
    listed = json.loads(strongroom("store", "list", *where, "--json").stdout)
    assert listed["models"]["tiny"]["digest"] == tiny.checksum
    assert "tiny" in strongroom("store", "list", *where).stdout
    shown = json.loads(strongroom("store", "show", "tiny", *where, "--json").stdout)
    assert shown["keys"] == ["strongroom/store"]
    verified = strongroom("store", "verify", "tiny", *keyed, "--json")
    assert json.loads(verified.stdout)["digest"] == tiny.checksum
    run = strongroom("run", "tiny", "Hello", *keyed, "--max-tokens", "3", "--cpu-limit", "1", "--json")
    assert run.returncode == 0, run.stderr
    new = key_in(tmp_path, "new")
    assert strongroom("store", "rekey", "--all", *keyed, "--new-key-file", new).returncode == 0
    refused = strongroom("store", "verify", "tiny", *keyed, "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "seal.authentication"
    keyed = (*where, "--key-file", new)
    assert strongroom("store", "export", "tiny", tmp_path / "out", *keyed).returncode == 0
    assert (tmp_path / "out").read_bytes() == tiny.path.read_bytes()
    assert strongroom("store", "remove", "tiny", *where).returncode == 0
    assert strongroom("store", "gc", *where).returncode == 0
    assert json.loads(strongroom("store", "list", *where, "--json").stdout)["models"] == {}


def test_what_is_refused_or_misused(options: tuple[str | Path, ...], tiny: Model) -> None:
    assert add(tiny, *options[:2]).returncode == 1
    for command in ("show", "verify", "remove", "rekey"):
        done = strongroom("store", command, "none", *options[:2])
        assert done.returncode == 1
        assert "[store.unknown]" in done.stderr
    assert strongroom("store", "rekey", *options).returncode == 1
    assert strongroom("store", "add", "--nonsense").returncode == 2
    assert strongroom("store", "add", "tiny", "other", *options).returncode == 1  # a name is no path


def test_ctrl_c_while_adding_leaves_nothing(
    options: tuple[str | Path, ...], marked: Model, tmp_path: Path
) -> None:
    big = tmp_path / "big.gguf"
    with big.open("wb") as file:
        file.write(marked.path.read_bytes())
        file.truncate(400 << 20)
    found = Model.of(big)
    command = [*COMMAND, "store", "add", "big", big, "--checksum", found.checksum, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert eventually(lambda: (tmp_path / "store/models").is_dir() or child.poll() is not None)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert child.returncode == 130
    assert list((tmp_path / "store/models").iterdir()) == []
    assert json.loads(strongroom("store", "list", *options[:2], "--json").stdout)["models"] == {}
