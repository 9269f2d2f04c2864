"""Options from environment variables."""

import re
from pathlib import Path

import pytest

from strongroom import Settings, SettingsError, load_settings
from strongroom.configuration.environment import NO_OPTIONS, variable_of
from strongroom.configuration.schema import leaves
from tests.configuration.files import BARE, written
from tests.conftest import ROOT


def test_names_are_mechanical() -> None:
    name = "security.sandboxing.memory_limit"
    assert variable_of(name) == "STRONGROOM_SECURITY__SANDBOXING__MEMORY_LIMIT"
    assert len({variable_of(name) for name in leaves()}) == len(leaves())


def test_the_kinds_of_values() -> None:
    settings = load_settings(
        environment={
            "STRONGROOM_SECURITY__ISOLATION": "maximum",
            "STRONGROOM_SECURITY__SANDBOXING__MEMORY_LIMIT": "2000000000",
            "STRONGROOM_SECURITY__SANDBOXING__CPU_LIMIT": "1",
            "STRONGROOM_SECURITY__SANDBOXING__NETWORK_ACCESS": "False",
            "STRONGROOM_SECURITY__SANDBOXING__TIMEOUT": "2.5",
            "STRONGROOM_LIMITS__CONTEXT_LENGTH": "512",
            "STRONGROOM_LIMITS__LOAD_TIMEOUT": "2m",
        }
    )
    assert settings.security.isolation == "maximum"
    assert settings.security.sandboxing.address_space == 2 * 10**9
    assert settings.security.sandboxing.cpu_limit == 1
    assert settings.security.sandboxing.network_access is False
    assert settings.security.sandboxing.timeout_seconds == 2.5
    assert settings.limits.context_length == 512
    assert settings.limits.load_timeout == "2m"


def test_the_aliases() -> None:
    environment = {"MAX_MEMORY_USAGE": "4GB", "MAX_CPU_USAGE": "80%", "MAX_CONCURRENT_REQUESTS": "100"}
    settings = load_settings(environment=environment)
    assert settings.security.sandboxing.memory_limit == "4GB"
    assert settings.security.sandboxing.cpu_limit == "80%"
    assert settings.limits.concurrent_requests == 100


def test_a_variable_takes_precedence_over_the_file_and_code_over_both(tmp_path: Path) -> None:
    path = written(tmp_path, "[limits]\nconcurrent_requests = 1\ncontext_length = 100")
    environment = {"MAX_CONCURRENT_REQUESTS": "2"}
    settings = load_settings(path, environment=environment)
    assert (settings.limits.concurrent_requests, settings.limits.context_length) == (2, 100)
    overrides = {"limits.concurrent_requests": 3}
    assert load_settings(path, environment=environment, overrides=overrides).limits.concurrent_requests == 3


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("MAX_MEMORY_USAGE", "much", "invalid"),
        ("MAX_MEMORY_USAGE", "", "invalid"),
        ("MAX_MEMORY_USAGE", "4gb", "invalid"),
        ("MAX_CPU_USAGE", "101%", "invalid"),
        ("MAX_CPU_USAGE", "99999", "machine"),
        ("MAX_CONCURRENT_REQUESTS", "all", "invalid"),
        ("MAX_CONCURRENT_REQUESTS", "-1", "invalid"),
        ("MAX_CONCURRENT_REQUESTS", "1.0", "invalid"),
        ("MAX_CONCURRENT_REQUESTS", "٣", "invalid"),
        ("MAX_CONCURRENT_REQUESTS", "9" * 100, "invalid"),
        ("STRONGROOM_LIMITS__CONTEXT_LENGTH", " 1", "invalid"),
        ("STRONGROOM_SECURITY__SANDBOXING__NETWORK_ACCESS", "true", "unavailable"),
        ("STRONGROOM_SECURITY__SANDBOXING__NETWORK_ACCESS", "no", "unavailable"),
        ("STRONGROOM_SECURITY__AUDIT_LEVEL", "full", "unavailable"),
        ("STRONGROOM_SECURITY__ISOLATION", "Maximum", "invalid"),
        ("STRONGROOM_SECURITY__ISOLATION", "process\udcff", "invalid"),
        ("STRONGROOM_SECURITY__ISOLATION", "x" * 100_000, "invalid"),
    ],
)
def test_a_refused_value_names_the_variable(variable: str, value: str, code: str) -> None:
    with pytest.raises(SettingsError, match=variable) as caught:
        load_settings(environment={variable: value})
    assert caught.value.code == f"settings.{code}"
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("trust", ["", "proof = 'digest'", "max_size = '1MB'"])
def test_a_variable_waives_no_proof_that_the_policy_of_a_file_asks_for(trust: str, tmp_path: Path) -> None:
    danger = {**BARE, "STRONGROOM_SECURITY__VERIFICATION": "danger-none"}
    path = written(tmp_path, f"[trust]\n{trust}")
    with pytest.raises(
        SettingsError, match=rf"VERIFICATION would switch off what \[trust\] in {path} asks for"
    ) as caught:
        load_settings(path, environment=danger)
    assert caught.value.code == "settings.conflict"
    path = written(tmp_path, f"[security]\nverification = 'danger-none'\n[trust]\n{trust}")
    assert load_settings(path, environment=danger).security.verification == "danger-none"


@pytest.mark.parametrize(
    ("option", "said", "other"),
    [
        ("hf_endpoint", None, "https://hf.example.org"),
        ("hf_endpoint", "https://mirror.example.org", "https://huggingface.co"),
        ("ca_file", None, "{root}"),
    ],
)
def test_a_variable_makes_no_other_host_of_a_trusted_source(
    option: str, said: str | None, other: str, tmp_path: Path
) -> None:
    root = ROOT / "rust/fuzz/keys/root.crt"
    table = "" if said is None else f"[sources]\n{option} = '{said}'"
    variable = f"STRONGROOM_SOURCES__{option.upper()}"
    environment = {**BARE, variable: other.format(root=root)}
    path = written(tmp_path, f"[trust]\ntrusted_sources = ['hf://acme']\n{table}")
    with pytest.raises(SettingsError, match=f"{variable} would change what the trusted sources") as caught:
        load_settings(path, environment=environment)
    assert caught.value.code == "settings.conflict"
    if said is not None:
        assert load_settings(path, environment={**BARE, variable: said}).sources.hf_endpoint == said
    # Where no source is named, each proof stands for itself.
    path = written(tmp_path, f"[trust]\n{table}")
    assert str(getattr(load_settings(path, environment=environment).sources, option)) == environment[variable]


@pytest.mark.parametrize(
    ("name", "value"),
    [("verification", "always"), ("isolation", "maximum"), ("erasure", "always"), ("separation", "tenant")],
)
def test_a_variable_switches_off_nothing_that_the_file_asks_for(
    tmp_path: Path, name: str, value: str
) -> None:
    variable = f"STRONGROOM_SECURITY__{name.upper()}"
    danger = {variable: "danger-none"}
    path = written(tmp_path, f"[security]\n{name} = '{value}'")
    with pytest.raises(SettingsError, match=f"{variable} would switch off what .* asks for") as caught:
        load_settings(path, environment=danger)
    assert caught.value.code == "settings.conflict"
    # Where the file says nothing, or the same, it does what it says; and so does code.
    assert getattr(load_settings(environment={**BARE, **danger}).security, name) == "danger-none"
    path = written(tmp_path, f"[security]\n{name} = 'danger-none'")
    assert getattr(load_settings(path, environment=danger).security, name) == "danger-none"
    overrides = {f"security.{name}": "danger-none"}
    path = written(tmp_path, f"[security]\n{name} = '{value}'")
    assert getattr(load_settings(path, environment={}, overrides=overrides).security, name) == "danger-none"


@pytest.mark.parametrize(
    "variable",
    [
        "STRONGROOM_SECURITY__ISOLATON",
        "STRONGROOM_SECURITY_ISOLATION",
        "STRONGROOM_SECURITY",
        "STRONGROOM_SECURITY__SANDBOXING",
        "STRONGROOM_",
        "STRONGROOM_CONFIGURATION",
        "STRONGROOM_limits__context_length",
    ],
)
def test_an_unknown_variable_is_an_error(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment={variable: "1"})
    assert caught.value.code == "settings.unknown_option"
    assert "strongroom config check" in caught.value.next_step


def test_a_misspelt_variable_is_told_what_was_meant() -> None:
    with pytest.raises(SettingsError, match="did you mean 'STRONGROOM_LIMITS__LOAD_TIMEOUT'"):
        load_settings(environment={"STRONGROOM_LIMITS__LOADTIMEOUT": "1s"})


def test_variables_that_exist_for_other_ends_pass_and_others_are_none_of_ours() -> None:
    others = dict.fromkeys(NO_OPTIONS - {"STRONGROOM_CONFIG"}, "/nonexistent")
    assert load_settings(environment={**BARE, **others, "MAX_MEMORY": "x", "strongroom_x": "1"}) == Settings()


def test_those_variables_exist() -> None:
    sources = [*ROOT.glob("rust/**/*.rs"), *ROOT.glob("tests/**/*.py"), ROOT / "Makefile"]
    text = "\n".join(path.read_text() for path in sources if "target" not in path.parts)
    for name in NO_OPTIONS:
        assert re.search(rf"\b{name}\b", text), name


def test_an_option_that_is_set_twice_is_a_conflict() -> None:
    for value in ("4GB", "5GB"):
        with pytest.raises(SettingsError, match="MAX_MEMORY_USAGE and STRONGROOM_SECURITY") as caught:
            load_settings(
                environment={
                    "MAX_MEMORY_USAGE": "4GB",
                    "STRONGROOM_SECURITY__SANDBOXING__MEMORY_LIMIT": value,
                }
            )
        assert caught.value.code == "settings.conflict"
