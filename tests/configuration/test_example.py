"""The annotated example shows every option, and what it says of defaults is so."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ModelRule,
    ModelVerification,
    Revocation,
    Settings,
    Signer,
    TrustedDigest,
    TrustedSource,
)
from strongroom.configuration.load import Configuration, configure
from strongroom.configuration.schema import leaves
from tests.configuration.files import BARE, written
from tests.conftest import ROOT

TEXT = (ROOT / "docs/strongroom.toml").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Configuration:
    return configure(written(tmp_path, TEXT), environment=BARE)


def test_it_loads_and_sets_every_option(example: Configuration) -> None:
    unset = {name for name, origin in example.origins.items() if origin.kind != "file"}
    assert unset == {"security.audit_level", "sources.ca_file"}


def test_every_option_of_every_table_is_shown() -> None:
    trust: dict[str, Any] = tomllib.loads(TEXT)["trust"]
    for name, kind in {
        "trusted_sources": TrustedSource,
        "digests": TrustedDigest,
        "signers": Signer,
        "models": ModelRule,
        "revoked": Revocation,
    }.items():
        shown = {option for entry in trust[name] for option in entry}
        assert shown == {field.name for field in dataclasses.fields(kind)}
    assert trust.keys() == {field.name for field in dataclasses.fields(ModelVerification)}


def test_what_is_not_called_an_example_is_the_default(example: Configuration) -> None:
    defaults = configure(environment=BARE)
    examples = {
        match[1] for match in re.finditer(r"^(\w+) = .*# .*left out", TEXT, re.MULTILINE | re.IGNORECASE)
    }
    examples |= {"cpu_limit", "lock", "trusted_sources", "digests", "signers", "models", "revoked"}
    examples |= {"keys"}
    examples |= {"hosts", "hf_organisations", "pins", "danger_allow_addresses"}
    differ = {name for name in leaves() if example.value(name) != defaults.value(name)}
    assert {name.rpartition(".")[2] for name in differ} <= examples
    assert example.settings != Settings()


def test_the_readme_points_to_it() -> None:
    assert "(docs/strongroom.toml)" in (ROOT / "README.md").read_text()
