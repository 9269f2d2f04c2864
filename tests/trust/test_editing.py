"""Changing the policy's file: what an operator wrote stays, letter by letter."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from strongroom import SettingsError, load_settings
from strongroom.trust import editing
from strongroom.trust.editing import append, appended
from tests.configuration.files import BARE, written

DIGEST = {"digest": "sha256:" + "1" * 64, "name": "smol"}
OTHER = {"digest": "sha256:" + "2" * 64}

CODES = {"settings.file_unwritable", "settings.invalid", "settings.unknown_option"}

LAID_OUT = """\
# The operator's own words.
[limits]   # about
context_length = 0x10   # sixteen

[trust]\t# policy
max_size  =  "20GB"
trusted_sources = [
    "/srv/models",  # ours
]

[[trust.digests]]  # checked by hand
digest = 'sha256:3333333333333333333333333333333333333333333333333333333333333333'

# The end.
[security]
isolation = "maximum"
"""


def test_comments_and_layout_stay() -> None:
    changed = appended(LAID_OUT, "digests", DIGEST, "file")
    rest = changed.replace(f'\n[[trust.digests]]\ndigest = "{DIGEST["digest"]}"\nname = "smol"\n', "", 1)
    assert rest == LAID_OUT
    assert tomllib.loads(changed)["trust"]["digests"][1] == DIGEST


@pytest.mark.parametrize(
    ("text", "option", "entry"),
    [
        ("", "digests", DIGEST),
        ("# nothing yet\n", "digests", DIGEST),
        ("# no newline at the end", "digests", DIGEST),
        ("[limits]\ncontext_length = 1", "digests", DIGEST),
        ("[trust]", "digests", DIGEST),
        ("[trust]\nproof = 'digest'", "digests", DIGEST),
        ("trust.proof = 'digest'\n", "digests", DIGEST),
        ("[[trust.signers]]\nname = 'a'\nkey = 'b'\n", "digests", DIGEST),
        (f"[[trust.digests]]\ndigest = '{OTHER['digest']}'\n", "digests", DIGEST),
        (
            f"[[trust.digests]]\ndigest = '{OTHER['digest']}'\n[limits]\ncontext_length = 1\n",
            "digests",
            DIGEST,
        ),
        (f"[trust]\ndigests = [\n  {{ digest = '{OTHER['digest']}' }}, # one\n]\n", "digests", DIGEST),
        ("[trust]\ndigests = []\n", "digests", DIGEST),
        ("", "trusted_sources", {"source": "/srv/models"}),
        ("[trust]\n", "trusted_sources", {"source": "https://example.com:8443"}),
        ("[trust]\nproof='digest'\n[limits]\n", "trusted_sources", {"source": "hf://acme"}),
        ("[trust]\ntrusted_sources = ['/srv'] # mine\n", "trusted_sources", {"source": "/other"}),
        ("[trust]\ntrusted_sources = ['/srv']\n", "trusted_sources", {"source": "/x", "proof": "oms"}),
    ],
)
def test_wherever_the_list_stands(text: str, option: str, entry: dict[str, Any]) -> None:
    changed = appended(text, option, entry, "file")
    before = tomllib.loads(text)
    after = tomllib.loads(changed)
    [*rest, added] = after["trust"][option]
    assert rest == before.get("trust", {}).get(option, [])
    assert "source" not in added
    for line in text.splitlines():
        assert line.partition("]")[0].rstrip() in changed
        assert line.partition("#")[2] in changed
    assert {name: table for name, table in after.items() if name != "trust"} == {
        name: table for name, table in before.items() if name != "trust"
    }


def test_a_source_as_a_table_in_an_array_of_tables() -> None:
    text = "[[trust.trusted_sources]]\nroot = '/srv'\n"
    changed = tomllib.loads(appended(text, "trusted_sources", {"source": "/other"}, "file"))
    assert changed["trust"]["trusted_sources"] == [{"root": "/srv"}, {"root": "/other"}]


@pytest.mark.parametrize(
    "text",
    [
        *("trust = {}\n", "trust = { proof = 'digest' }\n", "trust = 5\n", "[[trust]]\n"),
        "trust.architectures = " + "[" * 300 + "]" * 300,
        *("trust.digests = 5\n", "[trust.digests]\ndigest = 'x'\n", "[trust]\nunknown = 1\n"),
    ],
)
def test_a_layout_that_cannot_take_it_is_refused_or_right(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    try:
        append(path, "digests", DIGEST)
    except SettingsError as error:
        assert error.code in CODES  # noqa: PT017
        assert path.read_text() == text
    else:
        assert tomllib.loads(path.read_text())["trust"]["digests"] == [DIGEST]


def test_a_change_that_would_touch_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def placed(document: Any, _option: str, _entry: Any) -> Any:
        document["limits"]["context_length"] = 5
        return document

    monkeypatch.setattr(editing, "placed", placed)
    with pytest.raises(SettingsError, match="touch more than it should") as caught:
        appended(LAID_OUT, "digests", DIGEST, "file")
    assert caught.value.code == "settings.file_unwritable"


def test_what_is_written_is_in_effect(tmp_path: Path) -> None:
    path = written(tmp_path, LAID_OUT)
    assert append(path, "revoked", OTHER | {"reason": 'a "reason"\\ of [sorts]'}) == str(path)
    [entry] = load_settings(path, environment=BARE).security.model_verification.revoked
    assert (entry.digest, entry.reason) == (OTHER["digest"], 'a "reason"\\ of [sorts]')
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_file_the_users_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path.resolve()))
    path = append(None, "digests", DIGEST)
    assert path == str(tmp_path.resolve() / "strongroom/strongroom.toml")
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert Path(path).stat().st_mode & 0o777 == 0o600
    append(None, "digests", OTHER)
    assert len(load_settings().security.model_verification.digests) == 2


def test_without_a_place_for_one_it_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(SettingsError, match="no configuration directory"):
        append(None, "digests", DIGEST)


@pytest.mark.parametrize(
    ("option", "entry"),
    [
        ("digests", {"digest": "sha256:00"}),
        ("digests", DIGEST | {"name": "**"}),
        ("digests", {"unknown": "x"}),
        ("trusted_sources", {"source": "https://user@example.com"}),
        ("trusted_sources", {"source": "/srv", "signers": ["nobody"], "proof": "oms"}),
        ("trusted_sources", {"source": "/srv/models"}),
        ("revoked", OTHER | {"reason": ""}),
    ],
)
def test_what_the_policy_refuses_is_not_written(option: str, entry: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, LAID_OUT)
    with pytest.raises(SettingsError):
        append(path, option, entry)
    assert path.read_text() == LAID_OUT
    assert not Path(f"{path}.new").exists()


def test_a_damaged_file_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "[trust")
    with pytest.raises(SettingsError):
        append(path, "digests", DIGEST)
    assert path.read_text() == "[trust"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    target = written(tmp_path, LAID_OUT, "target.toml")
    link = tmp_path / "strongroom.toml"
    link.symlink_to(target)
    with pytest.raises(SettingsError) as caught:
        append(link, "digests", DIGEST)
    assert caught.value.code == "settings.file_special"
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError):
        append(link, "digests", DIGEST)
    assert target.read_text() == LAID_OUT
    assert not (tmp_path / "nowhere").exists()


def test_a_file_or_directory_of_others_is_not_written(tmp_path: Path) -> None:
    path = written(tmp_path, LAID_OUT)
    path.chmod(0o666)
    for folder in (0o700, 0o777):
        tmp_path.chmod(folder)
        with pytest.raises(SettingsError) as caught:
            append(path, "digests", DIGEST)
        assert caught.value.code == "settings.file_permissions"
    tmp_path.chmod(0o700)
    assert path.read_text() == LAID_OUT


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, os.strerror(28))

    path = written(tmp_path, LAID_OUT)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SettingsError) as caught:
        append(path, "digests", DIGEST)
    assert caught.value.code == "settings.file_unwritable"
    assert path.read_text() == LAID_OUT
    assert not Path(f"{path}.new").exists()


def test_two_operators_do_not_undo_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom import keeping
    from strongroom.configuration import file

    path = written(tmp_path, LAID_OUT)
    monkeypatch.setattr(keeping, "PATIENCE", 0.01)
    with keeping.guarded(str(path), file.REFUSALS), pytest.raises(SettingsError) as caught:
        append(path, "digests", DIGEST)
    assert caught.value.code == "settings.file_busy"
    append(path, "digests", DIGEST)
