import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import strongroom as package
from strongroom.cli import doctor
from tests.cli.commands import strongroom
from tests.conftest import Model

NAMES = {"kernel", "landlock", "seccomp", "rlimits", "memfd", "locked memory", "cpu", "cores", "keys"}


def test_a_table() -> None:
    run = strongroom("doctor")
    assert run.returncode == 0
    for name in NAMES:
        assert name in run.stdout
    assert "The sandbox around a worker before it loads a model: 15 of 15 layers in force" in run.stdout


def test_json() -> None:
    run = strongroom("doctor", "--json")
    machine = json.loads(run.stdout)
    assert {row["name"] for row in machine["capabilities"]} >= NAMES
    assert {row["ok"] for row in machine["capabilities"]} <= {True, False, None}
    layers = {layer["name"]: layer["state"] for layer in machine["sandbox"]}
    # The sixteenth, the filter for serving, follows the loading of a model.
    assert len(layers) == 15
    assert set(layers.values()) == {"in_force"}
    assert "seccomp_load" in layers


def test_it_says_what_holds_keys() -> None:
    rows = json.loads(strongroom("doctor", "--json").stdout)["capabilities"]
    machine = {row["name"]: row for row in rows}
    assert machine["keys"]["value"] == "memfd_secret"
    assert machine["wiped stack"]["value"] == "locked"
    assert {machine[name]["ok"] for name in ("keys", "wiped stack")} == {None}


UNPRIVILEGED = """
import os, resource
from strongroom import _core
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for row in _core.doctor():
    if row.name in ("keys", "wiped stack"):
        print(row.name, row.value, row.ok, "ulimit -l" in row.detail, sep=", ")
"""


def test_it_says_that_keys_may_be_swapped() -> None:
    ended = subprocess.run([sys.executable, "-c", UNPRIVILEGED], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == [
        "keys, swappable, None, True",
        "wiped stack, swappable, None, True",
    ], ended.stderr


def test_with_a_model_it_reports_the_sandbox(tiny: Model) -> None:
    run = strongroom("doctor", tiny.path, "--checksum", tiny.checksum, "--json")
    layers = {layer["name"]: layer["state"] for layer in json.loads(run.stdout)["sandbox"]}
    assert layers["seccomp_serve"] == "in_force"
    table = strongroom("doctor", tiny.path, "--checksum", tiny.checksum)
    assert "layers in force" in table.stdout
    assert "seccomp_serve" in table.stdout


def test_with_a_model_that_nothing_proves(tiny: Model) -> None:
    run = strongroom("doctor", tiny.path)
    assert run.returncode == 1
    assert "[trust.no_proof]" in run.stderr


def test_the_version() -> None:
    run = strongroom("--version")
    assert run.returncode == 0
    assert run.stdout == f"strongroom {package.__version__}\n"


def test_help_names_the_commands_and_exit_codes() -> None:
    run = strongroom("--help")
    assert run.returncode == 0
    for word in ("run", "inspect", "doctor", "130"):
        assert word in run.stdout


def test_a_worker_that_cannot_start_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("strongroom.cli.doctor.WORKERS", tmp_path)
    with pytest.raises(typer.Exit) as caught:
        doctor.doctor()
    assert caught.value.exit_code == 1
    shown = capsys.readouterr()
    assert "landlock" in shown.out
    assert "[worker.not_started]" in shown.err
