"""The one tree out of all places, and where each value came from."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom import Limits, Router, Sandboxing, Security, Settings, SettingsError, load_settings
from strongroom.configuration.load import configure
from strongroom.configuration.origin import Origin
from strongroom.configuration.schema import leaves
from tests.configuration.files import BARE, written
from tests.paths import Pathless


def test_nothing_is_the_defaults() -> None:
    configuration = configure(environment=BARE)
    assert configuration.settings == Settings()
    assert {str(origin) for origin in configuration.origins.values()} == {"default"}


def test_every_option_has_an_origin_and_a_value(tmp_path: Path) -> None:
    path = written(tmp_path, "[limits]\nload_timeout = '5s'\n[security]\nsandboxing.timeout = '7s'\n")
    configuration = configure(
        path,
        environment={"MAX_CONCURRENT_REQUESTS": "2"},
        command_line={"security.isolation": "maximum"},
        code={"limits.context_length": 9},
    )
    assert configuration.origins.keys() == leaves().keys()
    assert configuration.origins["limits.load_timeout"] == Origin("file", f"{path}:2")
    assert configuration.origins["security.sandboxing.timeout"] == Origin("file", f"{path}:4")
    assert configuration.origins["limits.concurrent_requests"] == Origin(
        "variable", "MAX_CONCURRENT_REQUESTS"
    )
    assert configuration.origins["security.isolation"] == Origin("command line")
    assert configuration.origins["limits.context_length"] == Origin("code")
    assert configuration.origins["security.verification"] == Origin("default")
    assert configuration.value("limits.load_timeout") == "5s"
    assert configuration.value("security.sandboxing.timeout") == "7s"
    assert configuration.value("security.isolation") == "maximum"


def test_precedence(tmp_path: Path) -> None:
    name = "limits.concurrent_requests"
    path = written(tmp_path, f"{name} = 1")
    variable = {"STRONGROOM_LIMITS__CONCURRENT_REQUESTS": "2"}

    def configured(*, file: bool, **layers: dict[str, object]) -> object:
        environment = variable if "environment" in layers else BARE
        layers.pop("environment", None)
        return configure(path if file else None, environment=environment, **layers).value(name)

    assert configured(file=False) == 64
    assert configured(file=True) == 1
    assert configured(file=True, environment={}) == 2
    assert configured(file=True, environment={}, command_line={name: 3}) == 3
    assert configured(file=True, environment={}, command_line={name: 3}, code={name: 4}) == 4


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("limits.context_lenght", "settings.unknown_option"),
        ("limits", "settings.unknown_option"),
        ("context_length", "settings.unknown_option"),
        ("", "settings.unknown_option"),
    ],
)
def test_an_unknown_override(name: str, code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment=BARE, overrides={name: 1})
    assert caught.value.code == code


@pytest.mark.parametrize(
    "options",
    [
        {"environment": []},
        {"environment": {"MAX_CPU_USAGE": 2}},
        {"environment": {5: "2"}},
        {"overrides": 1},
        {"overrides": []},
        {"path": "/" + "a" * 100_000},
        {"path": Pathless()},
        {"environment": {"STRONGROOM_CONFIG": "/" + "a" * 100_000}},
    ],
)
def test_what_settings_can_not_be_read_from(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**({"environment": BARE} | options))
    assert caught.value.code == "settings.invalid"
    assert len(str(caught.value)) < 300


def test_a_refused_override_names_its_origin() -> None:
    with pytest.raises(SettingsError, match=r"limits.context_length is set in code"):
        load_settings(environment=BARE, overrides={"limits.context_length": 0})


def test_of_several_values_the_refused_one_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "[limits]\nconcurrent_requests = 1\nload_timeout = 'later'\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environment=BARE, overrides={"limits.context_length": 9})
    assert f"(limits.load_timeout is set in {path}:3)" in caught.value.message
    assert "concurrent" not in caught.value.message


def test_the_process_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_REQUESTS", "7")
    assert load_settings().limits.concurrent_requests == 7


def test_a_router_without_settings_reads_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "no TOML at all")
    script = "from strongroom import Router; Router(); print('made')"
    environment = os.environ | {"STRONGROOM_CONFIG": str(path), "MAX_MEMORY_USAGE": "nonsense"}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == "made\n"


def test_a_router_takes_what_was_read(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "limits.context_length = 64"), environment=BARE)
    assert settings == Settings(limits=Limits(context_length=64))
    with Router(settings):
        pass


def test_the_same_dataclasses_check(tmp_path: Path) -> None:
    branches: list[tuple[Any, str]] = [(Security, "isolation"), (Sandboxing, "memory_limit")]
    for branch, option in branches:
        with pytest.raises(SettingsError) as direct:
            branch(**{option: "nonsense"})
        name = next(name for name in leaves() if name.endswith(f".{option}"))
        with pytest.raises(SettingsError) as outside:
            load_settings(written(tmp_path, f"{name} = 'nonsense'"), environment=BARE)
        assert outside.value.message.startswith(direct.value.message)
        assert outside.value.code == direct.value.code
