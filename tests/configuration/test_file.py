"""The configuration file: where it is looked for, and what is refused about it."""

import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

from strongroom import Settings, SettingsError, load_settings
from strongroom.configuration.file import MOST_BYTES, MOST_COLUMNS
from strongroom.configuration.load import configure
from strongroom.configuration.schema import leaves
from tests.configuration.files import BARE, written

SOUND = "[limits]\ncontext_length = 2048\n"


def refused(path: Path | str, environment: dict[str, str] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environment=environment or BARE)
    return caught.value


def test_every_option_of_the_tree_can_be_written(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [security]
        trust_level = "zero"
        verification = "always"
        isolation = "maximum"
        erasure = "danger-none"
        separation = "danger-none"
        sandboxing.memory_limit = "2GB"
        sandboxing.cpu_limit = 1
        sandboxing.network_access = false
        sandboxing.file_system_access = "none"
        sandboxing.timeout = 30

        [limits]
        context_length = 2048
        concurrent_requests = 5
        tenant_requests = 4
        max_concurrent = 2
        total_context = 4096
        batch_tokens = 64
        threads = 1
        prefix_cache = "1MB"
        prefix_tenants = 3
        prefix_idle = "1m"
        total_memory = "8GB"
        unload_idle = false
        load_timeout = "1m"
        piece_interval = "1s"
        instruction_set = "avx2"
        device = "cpu"
        gpu_layers = 0
        n_gpu_layers = 0

        [sources]
        hosts = ["https://models.test:8443"]
        hf_organisations = ["org"]
        hf_endpoint = "https://mirror.test"
        max_size = "1GB"
        pins = {}
        danger_allow_addresses."https://models.test:8443" = ["10.0.0.0/8"]

        [store]
        directory = "/srv/store"
        id = "0123456789abcdef0123456789abcdef"
        keys = [{file = "/etc/key"}]
        """,
    )
    given = {
        name for name, origin in configure(path, environment=BARE).origins.items() if origin.kind == "file"
    }
    expected = {name for name in leaves() if not name.startswith("trust.")} - {
        "security.audit_level",
        "sources.ca_file",
    }
    assert given == expected
    settings = load_settings(path, environment=BARE)
    assert settings.security.isolation == "maximum"
    assert settings.security.sandboxing.address_space == 2 * 10**9
    assert settings.security.sandboxing.cores == 1
    assert settings.security.sandboxing.timeout_seconds == 30
    assert settings.limits.context_length == 2048
    assert settings.limits.concurrent_requests == 5
    assert settings.limits.tenant_requests == 4
    assert settings.limits.load_timeout_seconds == 60
    assert settings.sources.hosts == ("https://models.test:8443",)
    assert settings.sources.danger_allow_addresses == {"https://models.test:8443": ("10.0.0.0/8",)}


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, ""), environment=BARE) == load_settings(environment=BARE)


def test_the_callers_file_comes_before_the_variables_and_that_before_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "home/.config/strongroom"
    folder.mkdir(parents=True)
    users = written(folder, "limits.concurrent_requests = 1")
    variables = written(tmp_path, "limits.concurrent_requests = 2", "variables.toml")
    callers = written(tmp_path, "limits.concurrent_requests = 3", "callers.toml")
    environment = {"HOME": str(tmp_path / "home")}
    assert configure(environment=environment).file == str(users)
    assert load_settings(environment=environment).limits.concurrent_requests == 1
    environment["STRONGROOM_CONFIG"] = str(variables)
    assert load_settings(environment=environment).limits.concurrent_requests == 2
    assert load_settings(callers, environment=environment).limits.concurrent_requests == 3


def test_the_users_directory_is_the_one_that_xdg_names(tmp_path: Path) -> None:
    (tmp_path / "strongroom").mkdir()
    path = written(tmp_path / "strongroom", SOUND)
    assert configure(environment={"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/"}).file == str(path)


@pytest.mark.parametrize(
    "environment",
    [{"XDG_CONFIG_HOME": ".", "HOME": "."}, {"XDG_CONFIG_HOME": "", "HOME": "."}, {"HOME": "strongroom/.."}],
)
def test_the_working_directory_is_never_looked_in(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "strongroom", tmp_path / ".config/strongroom"):
        folder.mkdir(parents=True, exist_ok=True)
        written(folder, "limits.concurrent_requests = 1")
    monkeypatch.chdir(tmp_path)
    configuration = configure(environment=environment)
    assert configuration.file is None
    assert configuration.settings.limits.concurrent_requests == 64


@pytest.mark.parametrize("named", ["", "strongroom.toml", "./strongroom.toml"])
def test_the_variable_names_no_file_of_the_working_directory(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, SOUND)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="STRONGROOM_CONFIG must be an absolute path"):
        load_settings(environment={"STRONGROOM_CONFIG": named})


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    for error in (
        refused(tmp_path / "strongroom.toml"),
        refused(tmp_path / "strongroom.toml/strongroom.toml"),
        refused("a\0b"),
        refused("a\ud800b"),
    ):
        assert error.code == "settings.file_missing"
    with pytest.raises(SettingsError) as caught:
        load_settings(environment={"STRONGROOM_CONFIG": str(tmp_path / "none")})
    assert caught.value.code == "settings.file_missing"


@pytest.mark.parametrize("path", [5, b"strongroom.toml", ["strongroom.toml"]])
def test_what_is_no_path(path: object) -> None:
    with pytest.raises(SettingsError, match="the configuration must be a path"):
        load_settings(path)  # type: ignore[arg-type]


def test_a_link_a_directory_a_fifo_a_socket_and_a_device(tmp_path: Path) -> None:
    sound = written(tmp_path, SOUND)
    (tmp_path / "link").symlink_to(sound)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, word in {
            "link": "a symbolic link",
            "loop": "a symbolic link",
            "fifo": "no regular file",
            "socket": "no regular file",
            ".": "a directory",
        }.items():
            error = refused(tmp_path / name)
            assert error.code == "settings.file_special", name
            assert word in error.message
    assert refused("/dev/null").code == "settings.file_special"


def test_a_dangling_link_in_the_users_directory_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "strongroom").mkdir()
    (tmp_path / "strongroom/strongroom.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="symbolic link"):
        load_settings(environment={"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to(mode: int, tmp_path: Path) -> None:
    path = written(tmp_path, SOUND)
    path.chmod(mode)
    error = refused(path)
    assert error.code == "settings.file_permissions"
    assert str(path) in error.message
    assert f"chmod go-w {path}" in error.next_step


@pytest.mark.parametrize("above", [".", ".."])
def test_a_directory_that_others_can_write_to(above: str, tmp_path: Path) -> None:
    folder = tmp_path / "outer/inner"
    folder.mkdir(parents=True)
    path = written(folder, SOUND)
    assert load_settings(path, environment=BARE).limits.context_length == 2048
    (folder / above).chmod(0o777)
    error = refused(path)
    assert error.code == "settings.file_permissions"
    assert str((folder / above).resolve()) in error.message
    (folder / above).chmod(0o1777)  # as /tmp: nobody else can replace what is in it
    assert load_settings(path, environment=BARE).limits.context_length == 2048


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, SOUND)
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    error = refused(path)
    assert error.code == "settings.file_permissions"
    assert "belongs to user" in error.message


def test_a_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = written(folder, SOUND)
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert refused(path).code == "settings.file_permissions"


def test_a_directory_by_way_of_a_link_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    written(folder, SOUND)
    (tmp_path / "link").symlink_to(folder)
    through = tmp_path / "link/strongroom.toml"
    assert load_settings(through, environment=BARE).limits.context_length == 2048
    if os.geteuid() == 0:
        os.chown(tmp_path / "link", 65534, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert refused(through).code == "settings.file_permissions"


def test_a_directory_by_way_of_a_link_that_somebody_else_could_turn(tmp_path: Path) -> None:
    """It is neither above the path as it is written nor above the one that the links lead to."""
    for name in ("real/deep", "shared"):
        (tmp_path / name).mkdir(parents=True)
    written(tmp_path / "real", SOUND)
    (tmp_path / "shared/hop").symlink_to("../real")
    (tmp_path / "conf").symlink_to(tmp_path / "shared/hop/deep")
    through = f"{tmp_path}/conf/../strongroom.toml"
    assert load_settings(through, environment=BARE).limits.context_length == 2048
    (tmp_path / "shared").chmod(0o777)
    error = refused(through)
    assert error.code == "settings.file_permissions"
    assert str(tmp_path / "shared") in error.message
    (tmp_path / "shared").chmod(0o1777)  # nobody else can turn our link there
    assert load_settings(through, environment=BARE).limits.context_length == 2048


def test_links_that_lead_to_each_other(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    error = refused(tmp_path / "one/strongroom.toml")
    assert error.code == "settings.file_special"
    assert "more than 40 links" in error.message


def test_a_directory_that_is_turned_after_the_look_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    written(tmp_path / "ours", SOUND)
    written(tmp_path / "theirs", "limits.context_length = 1")
    (tmp_path / "hop").symlink_to("ours")
    original = os.readlink

    def turning(*arguments: Any, **options: Any) -> Any:
        target = original(*arguments, **options)
        (tmp_path / "hop").unlink()
        (tmp_path / "hop").symlink_to("theirs")
        return target

    monkeypatch.setattr(os, "readlink", turning)
    through = tmp_path / "hop/strongroom.toml"
    assert load_settings(through, environment=BARE).limits.context_length == 2048


def test_without_a_home_in_the_environment_it_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".config/strongroom"
    folder.mkdir(parents=True)
    path = written(folder, SOUND)
    entry = pwd.struct_passwd(("name", "x", 1, 1, "", str(tmp_path), ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _user: entry)
    assert configure(environment={}).file == str(path)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: object) -> int:
        raise PermissionError(13, os.strerror(13))

    path = written(tmp_path, SOUND)
    monkeypatch.setattr(os, "open", denied)
    error = refused(path)
    assert error.code == "settings.file_unreadable"
    assert os.strerror(13) in error.message


def test_a_file_that_is_too_large_or_has_a_line_that_is_too_long(tmp_path: Path) -> None:
    assert refused(written(tmp_path, "#\n" * (MOST_BYTES // 2 + 1))).code == "settings.file_too_large"
    assert load_settings(written(tmp_path, "#\n" * (MOST_BYTES // 2)), environment=BARE) == Settings()
    error = refused(written(tmp_path, f"\n#{'x' * MOST_COLUMNS}"))
    assert error.code == "settings.file_malformed"
    assert "line 2" in error.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff", "not UTF-8: byte 1"),
        (b"[limits]\n# \xed\xa0\x80", "not UTF-8: byte 12"),
        ("[limits", "no TOML"),
        ("\ufeff[limits]", "no TOML"),
        ("limits = ", "no TOML"),
        ("[limits]\ncontext_length = 1\ncontext_length = 1", "no TOML: Cannot overwrite a value (at"),
        ("[limits]\n[limits]", "no TOML: Cannot declare"),
        ('[limits]\n"context_length" = 1\ncontext_length = 2', "no TOML"),
        ("limits.context_length = 1\n[limits]", "no TOML"),
        ("x = " + "[" * 2000, "nested too deeply"),
        ("[limits]\0", "no TOML"),
    ],
)
def test_what_is_no_toml(text: str | bytes, says: str, tmp_path: Path) -> None:
    error = refused(written(tmp_path, text))
    assert error.code == "settings.file_malformed"
    assert says in error.message
    assert str(tmp_path / "strongroom.toml") in error.message


def test_keys_of_many_parts_take_no_endless_time(tmp_path: Path) -> None:
    line = ".".join("a" * (MOST_COLUMNS // 2 - 4)) + " = 1\n"
    text = "".join(f"{chr(98 + number)}.{line}" for number in range(24))
    assert refused(written(tmp_path, text)).code == "settings.unknown_option"


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("[security]\nisolaton = 1", "[security] has no option 'isolaton': did you mean 'isolation'?", 2),
        ("securty = 1", "the configuration has no option 'securty': did you mean 'security'?", 1),
        ("\n[limit]\n", "the configuration has no option 'limit': did you mean 'limits'?", 2),
        ("[security.sandbox]", "did you mean 'sandboxing'?", 1),
        ("[security.sandboxing]\nlimits = 1", "[security.sandboxing] has no option 'limits'", 2),
        ('"limits.context_length" = 1', "the configuration has an unknown option", 1),
        ('"" = 1', "the configuration has an unknown option", 1),
        ('[security]\n"sandboxing.timeout" = 1', "[security] has an unknown option", 2),
        ("[security]\nIsolation = 'maximum'", "did you mean 'isolation'?", 2),
    ],
)
def test_a_name_that_nothing_has(text: str, says: str, line: int, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    error = refused(path)
    assert error.code == "settings.unknown_option"
    assert says in error.message
    assert f"{path}:{line})" in error.message


@pytest.mark.parametrize(
    ("text", "code", "says", "line"),
    [
        ("limits = 5", "invalid", "limits must be a table, as in [limits], not 5", 1),
        ("[[limits]]", "invalid", "limits must be a table", 1),
        ("[security]\nsandboxing = 'none'", "invalid", "security.sandboxing must be a table", 2),
        ("[limits]\n\ncontext_length = '1'", "invalid", "context_length must be a whole number", 3),
        ("[limits]\ncontext_length = true", "invalid", "context_length must be a whole number", 2),
        ("[limits]\ncontext_length = []", "invalid", "context_length must be a whole number", 2),
        ("[limits.context_length]\n", "invalid", "context_length must be a whole number", 1),
        ("limits.load_timeout = 1979-05-27", "invalid", "load_timeout must be a duration", 1),
        ("limits.load_timeout = nan", "invalid", "load_timeout must be a duration", 1),
        ("[security]\nisolation = 1.5", "invalid", "isolation must be", 2),
        ("[security]\naudit_level = 'full'", "unavailable", "audit_level='full' is not yet available", 2),
        ("[security]\n[security.sandboxing]\ncpu_limit = 99999", "machine", "cpu_limit asks for 99999", 3),
        ('[security]\nisolation = """\n\nprocess"""', "invalid", "isolation must be", 2),
    ],
)
def test_a_refused_value_names_its_line(text: str, code: str, says: str, line: int, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    error = refused(path)
    assert error.code == f"settings.{code}"
    assert says in error.message
    assert f"{path}:{line})" in error.message
    assert error.next_step
