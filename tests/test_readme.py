"""The README's commands run, and its code does what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from strongroom import SecureBuffer, Settings
from tests.conftest import ROOT, Model
from tests.processes import on_one_core

README = (ROOT / "README.md").read_text()
DEMO_ANSWER = re.compile(r"figures .*load .* first token .* tokens/s")
EXECUTABLES = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def run(command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment["PATH"] = f"{EXECUTABLES}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def test_every_command_is_of_a_known_kind() -> None:
    known = {"make", "strongroom", "sudo"}
    assert {shlex.split(command)[0] for command in commands()} == known


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("strongroom ")])
def test_the_commands_run(command: str, smol: Model) -> None:
    without_model = command in {"strongroom doctor", "strongroom config check"}
    assert str(smol.path.relative_to(ROOT)) in command or without_model
    assert smol.checksum in command or "--checksum" not in command
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_signing_runs(tiny: Model, tmp_path: Path) -> None:
    script, _ = blocks("bash")
    assert {shlex.split(line)[0] for line in script.splitlines()} == {"strongroom", "openssl"}
    (tmp_path / "model.gguf").write_bytes(tiny.path.read_bytes())
    (tmp_path / "secret").write_text("correct horse\n")
    done = run(f"cd {shlex.quote(str(tmp_path))} && set -e\n{script}")
    assert done.returncode == 0, done.stderr
    assert "Verified OK" in done.stdout
    assert "signed by sha256:" in done.stderr


def test_the_storing_runs(tiny: Model, tmp_path: Path) -> None:
    _, script = blocks("bash")
    (tmp_path / "model.gguf").write_bytes(tiny.path.read_bytes())
    done = run(f"cd {shlex.quote(str(tmp_path))} && set -e\n{script}")
    assert done.returncode == 0, done.stderr
    assert f"sealed small is {tiny.checksum}" in done.stderr
    assert f"authentic small is {tiny.checksum}" in done.stderr
    assert "removed small" in done.stderr


def test_make_demo_shows_digest_sandbox_answer_and_figures(smol: Model) -> None:
    assert "make demo" in [command.split("#")[0].strip() for command in commands()]
    done = run("make demo PROMPT='Say hello.'")
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    assert smol.checksum in done.stderr
    assert re.search(r"seccomp_serve\s+in force", shown)
    assert re.search(r"landlock_files\s+in force", shown)
    assert DEMO_ANSWER.search(done.stderr)
    assert done.stdout.strip()


@pytest.mark.parametrize("code", [block for block in blocks("python") if "ModelVerification(" in block])
def test_the_settings_in_python_are_sound(code: str) -> None:
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - the README's own
    assert isinstance(names["settings"], Settings)


def test_the_memory_for_secrets_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = [block for block in blocks("python") if "SecureArena(" in block]
    (tmp_path / "token").write_bytes(b"t" * 32)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - the README's own
    token = names["token"]
    assert isinstance(token, SecureBuffer)
    assert token.closed
    assert "ArenaProtection(secret=" in capsys.readouterr().out


def test_the_encryption_of_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = [block for block in blocks("python") if "DataCipher(" in block]
    monkeypatch.chdir(tmp_path)
    for version in (1, 2):
        key = Path(f"data-{version}.key")
        key.touch(mode=0o600)
        key.write_bytes(bytes([version]) * 32)
    names: dict[str, object] = {}
    exec(code.replace("\ncipher.decrypt", "\nopened = cipher.decrypt"), names)  # noqa: S102 - the README's own
    assert names["opened"] == {"messages": ["Hello"]}


def test_the_example_of_many_users_runs(smol: Model, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = [block for block in blocks("python") if "router.publish(" in block]
    code = code.replace('"model.gguf"', repr(str(smol.path)))
    code, replaced = re.subn(r'checksum="sha256:[^"]*"', f'checksum="{smol.checksum}"', code)
    assert replaced == 2
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the README's own
    names["router"].close()
    answer = names["answer"]
    assert answer.cached_tokens > 16
    shown = capsys.readouterr().out
    assert f"{answer.cached_tokens} of {answer.prompt_tokens} tokens were there already" in shown
    assert [summary.completion_tokens > 0 for summary in names["summaries"]] == [True, True]
    similar = names["vectors"] @ names["vectors"].T
    assert similar.shape == (2, 2)
    assert abs(similar[0, 0] - 1) < 1e-4


def test_the_toolchain_named_is_the_one_that_is_demanded() -> None:
    demanded = tomlkit.parse((ROOT / "Cargo.toml").read_text()).unwrap()["workspace"]["package"][
        "rust-version"
    ]
    assert f"(https://rustup.rs) of {demanded} or newer" in README.replace("\n", " ")


def test_every_target_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)\b", README, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_python_runs(smol: Model, tmp_path: Path) -> None:
    [code] = [block for block in blocks("python") if "with Router() as router" in block]
    code = code.replace('"model.gguf"', repr(str(smol.path)))
    code, replaced = re.subn(r'checksum="sha256:[^"]*"', f'checksum="{smol.checksum}"', code)
    assert replaced == 1
    # A busy machine may decode very slowly: the answer needs a bound here, not for the reader.
    code, bounded = re.subn(r'"Hello"}], model="smol"', '"Hello"}], model="smol", max_tokens=32', code)
    assert bounded == 1
    script = tmp_path / "readme.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        preexec_fn=on_one_core,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 5
