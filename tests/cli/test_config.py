import json
import os
from pathlib import Path

import pytest

from strongroom.configuration.schema import leaves
from tests.cli.commands import strongroom
from tests.configuration.files import written
from tests.conftest import Model


def test_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "[limits]\ncontext_length = 2048\n")
    monkeypatch.setenv("MAX_CPU_USAGE", "80%")
    run = strongroom("config", "check", "--config", path)
    assert run.returncode == 0
    rows = {line.split()[0]: line.split() for line in run.stdout.splitlines() if line.split()}
    assert rows["limits.context_length"][1:3] == ["2048", f"{path}:2"]
    assert rows["security.sandboxing.cpu_limit"][1:3] == ["80%", "MAX_CPU_USAGE"]
    assert rows["security.isolation"][1:4] == ["process", "default", "STRONGROOM_SECURITY__ISOLATION"]
    assert leaves().keys() <= rows.keys()


def test_json(tmp_path: Path) -> None:
    path = written(tmp_path, "[security.sandboxing]\nmemory_limit = '2GB'\n")
    run = strongroom("config", "check", "--config", path, "--json")
    told = json.loads(run.stdout)
    assert told["file"] == str(path)
    assert told["settings"].keys() == leaves().keys()
    assert told["settings"]["security.sandboxing.memory_limit"] == {
        "value": "2GB",
        "origin": {"kind": "file", "where": f"{path}:2"},
        "variables": ["STRONGROOM_SECURITY__SANDBOXING__MEMORY_LIMIT", "MAX_MEMORY_USAGE"],
    }
    assert told["settings"]["security.audit_level"]["origin"] == {"kind": "default", "where": ""}


def test_a_refused_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, "[limits]\ncontext_length = 'much'\n")
    run = strongroom("config", "check", "--config", path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert f"{path}:2" in run.stderr
    assert "[settings.invalid]" in run.stderr
    error = json.loads(strongroom("config", "check", "--config", path, "--json").stdout)["error"]
    assert error["code"] == "settings.invalid"


def test_a_path_that_would_be_obeyed_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    run = strongroom("config", "check", "--config", written(folder, ""))
    assert run.returncode == 0
    assert "\x1b" not in run.stdout
    assert "\x1b" not in strongroom("config", "check", "--config", folder / "none").stderr


def test_the_file_of_the_variable_and_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strongroom").mkdir()
    users = written(tmp_path / "strongroom", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert json.loads(strongroom("config", "check", "--json").stdout)["file"] == str(users)
    other = written(tmp_path, "", "other.toml")
    monkeypatch.setenv("STRONGROOM_CONFIG", str(other))
    assert json.loads(strongroom("config", "check", "--json").stdout)["file"] == str(other)


def test_run_takes_the_file_and_its_options_override_it(tiny: Model, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "[limits]\ncontext_length = 64\n[security.sandboxing]\nmemory_limit = '900MB'\ncpu_limit = 1\n",
    )
    command = ("run", tiny.path, "Hi", "--checksum", tiny.checksum, "--config", path, "--json")
    model = json.loads(strongroom(*command, "--max-tokens", "2").stdout)["model"]
    assert model["context_length"] == 64
    assert model["threads"] == 1
    layers = {layer["name"]: layer["detail"] for layer in model["sandbox"]}
    assert any("900000000" in detail.replace(",", "") for detail in layers.values()), layers
    more = ("--max-tokens", "2", "--context-length", "32")
    assert json.loads(strongroom(*command, *more).stdout)["model"]["context_length"] == 32


def test_run_and_doctor_refuse_a_bad_configuration(tiny: Model, tmp_path: Path) -> None:
    path = written(tmp_path, "[limit]")
    for command in (["run", tiny.path, "Hi"], ["doctor", tiny.path], ["doctor"]):
        run = strongroom(*command, "--config", path)
        assert run.returncode == 1
        assert "[settings.unknown_option]" in run.stderr


def test_doctor_takes_the_file(tiny: Model, tmp_path: Path) -> None:
    path = written(tmp_path, "[security]\nisolation = 'danger-none'\n")
    run = strongroom("doctor", tiny.path, "--checksum", tiny.checksum, "--config", path, "--json")
    states = {layer["state"] for layer in json.loads(run.stdout)["sandbox"]}
    assert "in_force" not in states


def test_run_reads_the_environment(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_LIMITS__CONTEXT_LENGTH", "48")
    command = ("run", tiny.path, "Hi", "--checksum", tiny.checksum, "--cpu-limit", "1", "--json")
    run = strongroom(*command, "--max-tokens", "2")
    assert json.loads(run.stdout)["model"]["context_length"] == 48
    monkeypatch.setenv("STRONGROOM_LIMITS__CONTEXTLENGTH", "48")
    assert "[settings.unknown_option]" in strongroom(*command).stderr


def test_without_a_command_there_is_help() -> None:
    run = strongroom("config")
    assert "check" in run.stdout + run.stderr
    assert os.environ["XDG_CONFIG_HOME"].startswith("/nonexistent")
