"""Every option of the tree acts, or raises; tests/backends proves the acting on a worker."""

import dataclasses
from typing import Any

import pytest

from strongroom import Limits, Sandboxing, Security, Settings, SettingsError, Sources

DOCUMENT = Security(
    trust_level="zero",
    verification="always",
    isolation="maximum",
    sandboxing=Sandboxing(
        memory_limit="2GB",
        cpu_limit=1,
        network_access=False,
        file_system_access="none",
        timeout="30s",
    ),
)


def test_the_words_of_the_document_are_kept() -> None:
    settings = Settings(security=DOCUMENT)
    assert settings.security.isolation == "maximum"
    assert settings.security.sandboxing.address_space == 2_000_000_000
    assert settings.security.sandboxing.cores == 1
    assert settings.security.sandboxing.timeout_seconds == 30


def test_defaults() -> None:
    settings = Settings()
    assert settings.security.verification == "always"
    assert settings.security.isolation == "process"
    assert settings.security.sandboxing.address_space == 4 * 10**9
    assert settings.security.sandboxing.timeout_seconds == 300
    assert settings.limits.load_timeout_seconds == 120
    assert settings.limits.context_length is None
    assert settings.limits.instruction_set == "auto"
    assert settings.limits.concurrent_requests == 64


@pytest.mark.parametrize(
    ("branch", "options", "names"),
    [
        (Security, {"audit_level": "full"}, "audit_level='full' is not yet available"),
        (Security, {"audit_level": False}, "audit_level=False is not yet available"),
        (Security, {"trust_level": "high"}, "trust_level='high' is not yet available"),
        (Security, {"isolation": "container"}, "isolation='container' is not yet available"),
        (
            Sandboxing,
            {"file_system_access": "readonly"},
            "file_system_access='readonly' is not yet available",
        ),
        (Sandboxing, {"network_access": True}, "network_access=True is not yet available"),
        (Sandboxing, {"network_access": 0}, "network_access=0 is not yet available"),
        (Limits, {"gpu_layers": 99}, "gpu_layers=99 is not yet available: no worker computes on a GPU"),
        (Limits, {"gpu_layers": -1}, "gpu_layers=-1 is not yet available"),
        (Limits, {"gpu_layers": True}, "gpu_layers=True is not yet available"),
        (Limits, {"n_gpu_layers": 1}, "n_gpu_layers=1 is not yet available"),
        (Limits, {"device": "cuda"}, "device='cuda' is not yet available: no worker computes on a GPU"),
        (Limits, {"device": None}, "device=None is not yet available"),
    ],
)
def test_what_nothing_enforces_yet_raises_and_says_so(
    branch: Any, options: dict[str, Any], names: str
) -> None:
    with pytest.raises(SettingsError, match=names) as caught:
        branch(**options)
    assert caught.value.code == "settings.unavailable"


@pytest.mark.parametrize(
    ("branch", "options", "names"),
    [
        (Settings, {"security": {"isolation": "maximum"}}, "security must be a Security"),
        (Settings, {"limits": 5}, "limits must be a Limits"),
        (Security, {"sandboxing": None}, "sandboxing must be a Sandboxing"),
        (Security, {"verification": "never"}, "verification must be"),
        (Security, {"verification": False}, "verification must be"),
        (Security, {"isolation": "none"}, "isolation must be"),
        (Security, {"isolation": ["process"]}, "isolation must be"),
        (Security, {"erasure": "never"}, "erasure must be"),
        (Security, {"erasure": False}, "erasure must be"),
        (Security, {"separation": "none"}, "separation must be"),
        (Security, {"separation": ["tenant"]}, "separation must be"),
        (Sandboxing, {"memory_limit": "much"}, "memory_limit must be"),
        (Sandboxing, {"memory_limit": "31.9MB"}, "memory_limit must be at least 32MB"),
        (Sandboxing, {"memory_limit": 1}, "memory_limit must be at least 32MB"),
        (Sandboxing, {"cpu_limit": "most"}, "cpu_limit must be"),
        (Sandboxing, {"timeout": "later"}, "timeout must be"),
        (Limits, {"context_length": 0}, "context_length must be"),
        (Limits, {"context_length": True}, "context_length must be"),
        (Limits, {"context_length": "4096"}, "context_length must be"),
        (Limits, {"concurrent_requests": 0}, "concurrent_requests must be"),
        (Limits, {"concurrent_requests": 10**6}, "concurrent_requests must be"),
        (Limits, {"tenant_requests": 0}, "tenant_requests must be"),
        (Limits, {"tenant_requests": 65}, "tenant_requests must be at most concurrent_requests, 64"),
        (Limits, {"load_timeout": -1}, "load_timeout must be"),
        (Settings, {"sources": ("https://models.test",)}, "sources must be a Sources"),
        (Sources, {"hosts": "https://models.test"}, "hosts must be a list"),
        (Sources, {"hosts": [5]}, "hosts must be a list"),
        (Sources, {"hosts": ["http://models.test"]}, "hosts can't be used: .* the scheme is not https"),
        (Sources, {"hosts": ["https://models.test/x"]}, "hosts can't be used: .* without a path"),
        (Sources, {"hf_organisations": ["a/b"]}, "hf_organisations can't be used"),
        (Sources, {"hf_endpoint": "huggingface.co"}, "hf_endpoint can't be used"),
        (Sources, {"hf_endpoint": 5}, "hf_endpoint must be"),
        (Sources, {"ca_file": 5}, "ca_file must be a path"),
        (Sources, {"pins": ["sha256:00"]}, "pins must be a mapping"),
        (Sources, {"pins": {"https://a.test": ["sha256:00"]}}, "pins can't be used"),
        (Sources, {"pins": {"https://a.test": ["sha256:" + "0" * 64]}}, "kept in reserve"),
        (Sources, {"danger_allow_addresses": {"https://a.test": "10.0.0.0/8"}}, "must be a list"),
        (Sources, {"danger_allow_addresses": {"https://a.test": ["10.0.0.1/8"]}}, "beyond its prefix"),
        (Sources, {"max_size": 2**70}, "max_size"),
        (Limits, {"instruction_set": "sse2"}, 'instruction_set must be "auto", "avx2" or "avx512"'),
        (Limits, {"instruction_set": None}, "instruction_set must be"),
        (Limits, {"instruction_set": ["avx2"]}, "instruction_set must be"),
        (Limits, {"piece_interval": -1}, "piece_interval must be"),
        (Limits, {"piece_interval": False}, "piece_interval must be"),
        (Limits, {"piece_interval": "often"}, "piece_interval must be"),
    ],
)
def test_a_value_that_cannot_be_read_raises_and_names_the_option(
    branch: Any, options: dict[str, Any], names: str
) -> None:
    with pytest.raises(SettingsError, match=names) as caught:
        branch(**options)
    assert caught.value.code == "settings.invalid"


@pytest.mark.parametrize("branch", [Settings, Security, Sandboxing, Limits, Sources])
def test_every_option_is_refused_when_it_is_misspelt(branch: Any) -> None:
    for field in dataclasses.fields(branch):
        misspelt = field.name[:-1]
        with pytest.raises(
            SettingsError, match=f"no option '{misspelt}': did you mean '{field.name}'"
        ) as caught:
            branch(**{misspelt: None})
        assert caught.value.code == "settings.unknown_option"


def test_a_word_that_is_near_to_none_lists_what_there_is() -> None:
    with pytest.raises(SettingsError, match="Limits has no option 'zzz': it has batch_tokens, "):
        Limits(zzz=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("branch", [Settings(), Security(), Sandboxing(), Limits(), Sources()])
def test_the_tree_is_frozen(branch: Any) -> None:
    name = dataclasses.fields(branch)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(branch, name, None)


def test_a_changed_copy_is_checked_too() -> None:
    assert dataclasses.replace(Sandboxing(), memory_limit="1GB").address_space == 10**9
    with pytest.raises(SettingsError):
        dataclasses.replace(Sandboxing(), memory_limit="none")
