import json
import re
from pathlib import Path

import pexpect

from tests.cli.commands import at_a_terminal, strongroom
from tests.conftest import Model


def test_a_table(tiny: Model) -> None:
    run = strongroom("inspect", tiny.path)
    assert run.returncode == 0
    assert run.stderr == ""
    rows = dict(line.split(maxsplit=1) for line in run.stdout.splitlines() if len(line.split()) > 1)
    assert rows["digest"].strip() == tiny.checksum
    assert rows["architecture"].strip() == "llama"
    assert "tokens" in run.stdout
    assert "<|im_start|>" in run.stdout
    assert re.search(r"findings +none", run.stdout)


def test_json(tiny: Model) -> None:
    run = strongroom("inspect", tiny.path, "--json")
    seen = json.loads(run.stdout)
    assert seen["digest"] == tiny.checksum
    assert seen["size"] == tiny.path.stat().st_size
    assert seen["refusal"] is None
    assert seen["header"]["architecture"] == "llama"
    assert {"bos", "eos"} <= {token["role"] for token in seen["header"]["tokenizer"]["special_tokens"]}


def test_a_refused_file(models: Path) -> None:
    run = strongroom("inspect", models / "split.gguf")
    assert run.returncode == 1
    assert "gguf.split" in run.stdout
    assert "[gguf.split]" in run.stderr
    run = strongroom("inspect", models / "split.gguf", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["refusal"]["code"] == "gguf.split"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    run = strongroom("inspect", tmp_path / "model.gguf", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["error"]["code"] == "source.missing"
    assert run.stderr.startswith("error: ")


def test_texts_of_the_file_are_shown_and_not_obeyed(tiny: Model, tmp_path: Path) -> None:
    name = b"Strongroom specimen"
    hostile = b"\x1b[31m[bold]\x9b2J".ljust(len(name), b"\x07").replace(b"\x9b", b"?")
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny.path.read_bytes().replace(name, hostile))
    terminal = at_a_terminal("inspect", path)
    terminal.expect(pexpect.EOF)
    shown = terminal.before or ""
    terminal.close()
    assert "\\x1b[31m[bold]" in shown
    assert "\x07" not in shown
    assert "\x1b[31m" not in shown
    assert "\x1b[31m" not in strongroom("inspect", path).stdout
