import json
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from strongroom import Router
from tests.cli.commands import COMMAND, at_a_terminal, strongroom
from tests.conftest import Model
from tests.processes import eventually

OPTIONS = ("--max-tokens", "6", "--temperature", "0")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines: list[Any] = [
        "Hello",
        {"id": "b", "prompt": "Second"},
        {"id": 3, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


def command(model: Model, prompts: Path, output: Path, *more: str) -> list[str | Path]:
    return [
        *("batch", model.path, prompts, "--output", output, "--checksum", model.checksum),
        *("--cpu-limit", "1", *OPTIONS, *more),
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_prompt_has_its_result_in_its_place(
    tiny: Model, shared: Router, prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    # One at a time, as those that they are compared with: side by side, sums round otherwise.
    run = strongroom(*command(tiny, prompts, output, "--concurrency", "1"))
    assert (run.returncode, run.stdout) == (0, "")
    assert f"batch 3 of 3 prompts answered, in {output}" in run.stderr
    results = lines(output)
    assert [(line["index"], line.get("id")) for line in results] == [(0, None), (1, "b"), (2, 3)]
    assert results[1]["text"] == shared.chat("Second", max_tokens=6, temperature=0).text
    assert results[1].keys() == {
        *("index", "id", "text", "finish_reason", "prompt_tokens", "completion_tokens", "seed")
    }
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_what_failed_says_why_and_is_asked_again(tiny: Model, tmp_path: Path) -> None:
    prompts, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts.write_text(json.dumps("x") + "\n" + json.dumps("long " * 100))
    run = strongroom(*command(tiny, prompts, output, "--context-length", "256", "--quiet"))
    assert run.returncode == 1
    [answered, failed] = lines(output)
    assert failed["error"]["code"] == "prompt.too_long"
    again = strongroom(*command(tiny, prompts, output))
    assert again.returncode == 1
    assert "[output.exists]" in again.stderr
    assert "--resume" in again.stderr
    # Another context length is another batch.
    before = output.read_bytes()
    other = strongroom(*command(tiny, prompts, output, "--resume"))
    assert other.returncode == 1
    assert "[journal.foreign]" in other.stderr
    assert output.read_bytes() == before
    # Made shorter; what has its answer keeps it.
    prompts.write_text(json.dumps("x") + "\n" + json.dumps("short"))
    resumed = strongroom(*command(tiny, prompts, output, "--resume", "--context-length", "256"))
    assert resumed.returncode == 0
    assert lines(output)[0] == answered
    assert lines(output)[1]["text"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_killed_batch_is_resumed(tiny: Model, tmp_path: Path) -> None:
    prompts, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts.write_text("".join(json.dumps(f"prompt {number}") + "\n" for number in range(300)))
    arguments = command(tiny, prompts, output, "--quiet")
    journal = tmp_path / "out.jsonl.journal"
    with subprocess.Popen([*COMMAND, *map(str, arguments)]) as child:
        assert eventually(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 5)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert not output.exists()
    refused = strongroom(*arguments)
    assert "out.jsonl.journal exists" in refused.stderr
    run = strongroom(*arguments, "--resume")
    assert run.returncode == 0
    assert [line["index"] for line in lines(output)] == list(range(300))
    assert not journal.exists()


def test_resuming_what_never_began_replaces_nothing(tiny: Model, prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    run = strongroom(*command(tiny, prompts, output, "--resume"))
    assert run.returncode == 1
    assert "[output.exists]" in run.stderr
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("not json, secret", "prompt.invalid"),
        ('{"prompt": "secret", "messages": []}', "prompt.invalid"),
        ('{"prompt": "secret", "model": "other"}', "prompt.invalid"),
        ('{"prompt": ["secret"]}', "prompt.invalid"),
        ('{"id": 1.5, "prompt": "secret"}', "prompt.invalid"),
        ('{"messages": [{"role": "secret", "content": "secret"}]}', "prompt.invalid"),
        ('"\\ud800 secret"', "prompt.not_unicode"),
        ('""', "prompt.empty"),
        ("7", "prompt.invalid"),
    ],
)
def test_every_line_is_checked_before_the_model_is_read(tmp_path: Path, line: str, code: str) -> None:
    prompts = tmp_path / "in.jsonl"
    prompts.write_text(f'"fine"\n{line}\n')
    run = strongroom("batch", "./none.gguf", prompts, "--output", tmp_path / "out.jsonl")
    assert run.returncode == 1
    assert f"[{code}]" in run.stderr
    assert "line 2" in run.stderr
    assert "secret" not in run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_prompts_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        run = strongroom("batch", "./none.gguf", path, "--output", tmp_path / "out.jsonl")
        assert "[source.unreadable]" in run.stderr


def test_a_terminal_sees_how_far_it_is(tiny: Model, tmp_path: Path) -> None:
    prompts = tmp_path / "in.jsonl"
    prompts.write_text("".join(json.dumps(f"prompt {number}") + "\n" for number in range(100)))
    terminal = at_a_terminal(*command(tiny, prompts, tmp_path / "out.jsonl"))
    terminal.expect(r"\d+/100")
    terminal.expect("100 of 100 prompts answered")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
