"""`strongroom store` and `run` with a store, as processes with pipes."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

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


def test_every_command_answers_in_json(options: tuple[str | Path, ...], tiny: Model, tmp_path: Path) -> None:
    where, keyed = options[:2], options

    def answer(*arguments: str | Path) -> dict[str, Any]:
        done = strongroom("store", *arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    folder = str(tmp_path / "store")
    added = answer("add", "tiny", tiny.path, "--checksum", tiny.checksum, *keyed)
    listed = answer("list", *where)
    assert listed == added | {"id": listed["id"]}
    assert listed["models"]["tiny"]["bound"] is True
    rekeyed = answer("rekey", "--all", *keyed)
    assert (rekeyed["store"], rekeyed["id"]) == (folder, listed["id"])
    assert rekeyed["models"]["tiny"]["file"] != listed["models"]["tiny"]["file"]
    out = tmp_path / "out.gguf"
    assert answer("export", "tiny", out, *keyed) == {
        "name": "tiny",
        "digest": tiny.checksum,
        "size": tiny.path.stat().st_size,
        "path": str(out),
    }
    removed = answer("remove", "tiny", *where)
    assert removed == {"store": folder, "removed": {"tiny": rekeyed["models"]["tiny"]}}
    loose = f"{'0' * 64}-{'1' * 64}.sealed"
    (tmp_path / "store/models" / loose).touch()
    assert answer("gc", *where) == {"store": folder, "removed": [loose]}


@pytest.mark.parametrize(
    "arguments",
    [
        ("rekey", "none"),
        ("remove", "none"),
        ("export", "none", "out"),
        ("show", "none"),
        ("verify", "none"),
    ],
)
def test_errors_in_json(options: tuple[str | Path, ...], arguments: tuple[str, ...], tmp_path: Path) -> None:
    given = options if arguments[0] in {"rekey", "export", "verify"} else options[:2]
    done = strongroom("store", *arguments, *given, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "store.unknown"
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store/index.json").write_text("{")
    broken = strongroom("store", "gc", *options[:2], "--json")
    assert json.loads(broken.stdout)["error"]["code"] == "store.index_malformed"


def test_doctor_and_trust_why_take_names_in_the_store(
    options: tuple[str | Path, ...], tiny: Model, tmp_path: Path
) -> None:
    assert add(tiny, *options).returncode == 0
    looked = strongroom("doctor", "tiny", *options, "--json")
    assert looked.returncode == 0, looked.stderr
    assert {layer["state"] for layer in json.loads(looked.stdout)["sandbox"]} >= {"in_force"}
    missing = strongroom("doctor", "none", *options)
    assert (missing.returncode, "[store.unknown]" in missing.stderr) == (1, True)

    def why(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        done = strongroom("trust", "why", "tiny", *arguments, *options, "--json")
        return done.returncode, json.loads(done.stdout)

    code, found = why()
    assert (code, found["trusted"], found["digests"]) == (0, True, [tiny.checksum])
    assert found["steps"][0]["rule"] == "store"
    assert f"'tiny' of {tmp_path}/store, authentic" in found["steps"][0]["detail"]
    code, found = why("--checksum", "sha256:" + "0" * 64)
    assert (code, found["trusted"]) == (1, False)
    assert (found["steps"][0]["rule"], found["steps"][0]["code"]) == ("checksum", "checksum.mismatch")
    code, found = why("--public-key", "x")
    assert (code, found["error"]["code"]) == (1, "option.out_of_range")
    # By the policy and the record of today, and nothing is recorded.
    config = tmp_path / "strongroom.toml"
    lock = tmp_path / "strongroom.lock"
    config.write_text(
        f'[trust]\nlock = "{lock}"\nrevoked = [{{ digest = "{tiny.checksum}", reason = "poisoned" }}]\n'
    )
    code, found = why("--config", config)
    assert (code, found["trusted"]) == (1, False)
    assert "trust.revoked" in {step["code"] for step in found["steps"]}
    assert found["steps"][-1]["detail"] == "'tiny' is recorded as nothing yet"
    assert not lock.exists()
    damaged = next((tmp_path / "store/models").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    code, found = why()
    assert (code, found["error"]["code"]) == (1, "seal.authentication")


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
