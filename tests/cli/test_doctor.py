import json

import strongroom as package
from tests.cli.commands import strongroom
from tests.conftest import Model

NAMES = {"kernel", "landlock", "seccomp", "rlimits", "memfd", "locked memory", "cpu", "cores"}


def test_a_table() -> None:
    run = strongroom("doctor")
    assert run.returncode == 0
    for name in NAMES:
        assert name in run.stdout


def test_json() -> None:
    run = strongroom("doctor", "--json")
    machine = json.loads(run.stdout)
    assert {row["name"] for row in machine["capabilities"]} >= NAMES
    assert {row["ok"] for row in machine["capabilities"]} <= {True, False, None}
    assert machine["sandbox"] is None


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
