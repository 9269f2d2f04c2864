import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pexpect
import pytest

from strongroom import Router
from strongroom import __main__ as entry
from tests.cli.commands import COMMAND, at_a_terminal, strongroom
from tests.conftest import Model
from tests.processes import eventually, gone

ON = ("--logit-bias", "2=-100")
"""Keeps the tiny model from ending its answer."""


def checked(model: Model) -> tuple[str | Path, ...]:
    return ("run", model.path, "--checksum", model.checksum, "--cpu-limit", "1")


def test_the_answer_alone_is_on_standard_output(tiny: Model, shared: Router) -> None:
    run = strongroom(*checked(tiny), "Hello", "--max-tokens", "10", "--temperature", "0")
    assert run.returncode == 0
    assert run.stdout == shared.chat("Hello", max_tokens=10, temperature=0).text + "\n"


def test_what_is_said_beside_it(tiny: Model) -> None:
    run = strongroom(*checked(tiny), "Hello", "--max-tokens", "10")
    assert f"checked {tiny.checksum}" in run.stderr
    assert re.search(r"seccomp_serve +in force", run.stderr)
    assert re.search(r"landlock_files +in force", run.stderr)
    figures = run.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"figures load \d+\.\d\d s · first token \d+\.\d\d s · \d+\.\d tokens/s · "
        r"\d+ \+ 10 tokens · ended by length · seed \d+",
        figures,
    )
    assert "\x1b" not in run.stdout + run.stderr


def test_quiet_says_nothing_beside_it(tiny: Model) -> None:
    run = strongroom(*checked(tiny), "Hello", "--max-tokens", "3", "--quiet")
    assert run.returncode == 0
    assert run.stderr == ""
    assert run.stdout


def test_the_prompt_may_come_from_standard_input(tiny: Model, shared: Router) -> None:
    run = strongroom(*checked(tiny), "--max-tokens", "10", "--temperature", "0", stdin=b"Hello")
    assert run.stdout == shared.chat("Hello", max_tokens=10, temperature=0).text + "\n"


def test_complete_and_system(tiny: Model, shared: Router) -> None:
    options = ("--max-tokens", "10", "--temperature", "0")
    raw = strongroom(*checked(tiny), "the sky", "--complete", *options)
    assert raw.stdout == shared.complete("the sky", max_tokens=10, temperature=0).text + "\n"
    told = strongroom(*checked(tiny), "Hello", "--system", "Be brief.", *options)
    messages = [("system", "Be brief."), ("user", "Hello")]
    expected = shared.chat(
        [{"role": role, "content": content} for role, content in messages],  # type: ignore[misc]
        max_tokens=10,
        temperature=0,
    )
    assert told.stdout == expected.text + "\n"


def test_json(tiny: Model) -> None:
    run = strongroom(*checked(tiny), "Hello", "--max-tokens", "5", "--seed", "7", "--json")
    assert run.returncode == 0
    assert run.stderr == ""
    answer = json.loads(run.stdout)
    assert answer["completion_tokens"] == 5
    assert answer["seed"] == 7
    assert answer["text"]
    assert answer["model"]["digest"] == tiny.checksum
    assert answer["model"]["verified"] is True
    assert {"name": "cores", "state": "in_force"}.items() <= {
        **next(layer for layer in answer["model"]["sandbox"] if layer["name"] == "cores")
    }.items()


def test_every_option_reaches_the_model(tiny: Model, shared: Router) -> None:
    options = (
        "--temperature 1.5 --top-k 50 --top-p 0.9 --min-p 0.01 --repeat-penalty 1.1 --presence-penalty 0.5"
    )
    more = "--frequency-penalty 0.25 --seed 9 --max-tokens 30 --logit-bias 300=5 --stop zq --timeout 30s"
    run = strongroom(*checked(tiny), "Hello", *options.split(), *more.split(), "--context-length", "512")
    expected = shared.chat(
        "Hello",
        temperature=1.5,
        top_k=50,
        top_p=0.9,
        min_p=0.01,
        repeat_penalty=1.1,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        seed=9,
        max_tokens=30,
        logit_bias={300: 5.0},
        stop="zq",
    )
    assert run.stdout == expected.text + "\n", run.stderr


def test_a_template_from_a_file(untemplated: Model, tmp_path: Path) -> None:
    run = strongroom(*checked(untemplated), "Hello")
    assert run.returncode == 1
    assert "[template.missing]" in run.stderr
    assert "next: pass --chat-template FILE" in run.stderr
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    run = strongroom(*checked(untemplated), "Hello", "--chat-template", template, "--max-tokens", "3")
    assert run.returncode == 0
    for bad in (tmp_path / "missing", tmp_path):
        run = strongroom(*checked(untemplated), "Hello", "--chat-template", bad)
        assert run.returncode == 1
        assert "[source.unreadable]" in run.stderr
    os.mkfifo(fifo := tmp_path / "fifo")
    for special in (fifo, Path("/dev/zero")):  # the one would be waited for, the other has no end
        run = strongroom(*checked(untemplated), "Hello", "--chat-template", special, timeout=30)
        assert run.returncode == 1
        assert "it is no regular file" in run.stderr
    template.write_bytes(b"x" * ((256 << 10) + 1))
    run = strongroom(*checked(untemplated), "Hello", "--chat-template", template)
    assert "it has more than 262144 bytes" in run.stderr
    template.write_bytes(b"\xff")
    assert "it is not UTF-8" in strongroom(*checked(untemplated), "Hello", "--chat-template", template).stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "smol", "Hello"], "store.unknown"),
        (["run", "hf:smol", "Hello"], "fetch.reference"),
        (["run", "hf://org/smol/m.gguf", "Hello", "--checksum", "sha256:" + "0" * 64], "fetch.organisation"),
        (["run", "/nonexistent.gguf", "Hello"], "source.missing"),
        (["run", "MODEL", "Hello"], "trust.no_proof"),
        (["run", "MODEL", "Hello", "--checksum", "sha256:00"], "checksum.malformed"),
        (["run", "MODEL", "Hello", "--checksum", "sha256:" + "0" * 64], "checksum.mismatch"),
        (["run", "MODEL", "Hello", "--temperature", "-1"], "option.out_of_range"),
        (["run", "MODEL", "Hello", "--temperature", "nan"], "option.out_of_range"),
        (["run", "MODEL", "Hello", "--logit-bias", "x"], "option.wrong_type"),
        (["run", "MODEL", "Hello", "--memory-limit", "much"], "settings.invalid"),
        (["run", "MODEL", "Hello", "--isolation", "container"], "settings.unavailable"),
        (["run", "MODEL", "Hello", "--cpu-limit", "99999"], "settings.machine"),
    ],
)
def test_an_error_is_two_lines_and_exit_code_1(tiny: Model, arguments: list[str], code: str) -> None:
    run = strongroom(*(str(tiny.path) if word == "MODEL" else word for word in arguments))
    assert run.returncode == 1
    assert run.stdout == ""
    [error, following] = run.stderr.splitlines()
    assert error.startswith("error: ")
    assert error.endswith(f"[{code}]")
    assert following.startswith("next: ")


def test_an_error_for_programs(tiny: Model) -> None:
    run = strongroom("run", tiny.path, "Hello", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["error"]["code"] == "trust.no_proof"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "MODEL", "--no-such-option"],
        ["run", "MODEL", "Hello", "--max-tokens", "many"],
        ["run", "MODEL", "Hello", "--complete", "--system", "Be brief."],
        ["fly"],
    ],
)
def test_misuse_is_exit_code_2(arguments: list[str]) -> None:
    run = strongroom(*arguments)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


def test_the_named_danger(tiny: Model) -> None:
    run = strongroom("run", tiny.path, "Hello", "--danger-no-verification", "--max-tokens", "3")
    assert run.returncode == 0
    assert f"NOT CHECKED {tiny.checksum}" in run.stderr


@pytest.mark.parametrize("prompt", [b"Hello \xff", b"\xed\xa0\x80"])
def test_a_prompt_that_is_not_utf8(tiny: Model, prompt: bytes) -> None:
    for run in (strongroom(*checked(tiny), prompt), strongroom(*checked(tiny), stdin=prompt)):
        assert run.returncode == 1
        assert "[prompt.not_unicode]" in run.stderr
        assert "Hello" not in run.stderr
        assert "Traceback" not in run.stderr


def test_a_mebibyte_on_standard_input(tiny: Model) -> None:
    run = strongroom(*checked(tiny), stdin=b"a" * (4 << 20))
    assert run.returncode == 1
    assert "[prompt.too_long]" in run.stderr


def test_a_reader_that_leaves(tiny: Model) -> None:
    with subprocess.Popen(
        [*COMMAND, *map(str, checked(tiny)), "Hello", *ON, "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.read(1)
        run.stdout.close()
        assert b"Traceback" not in run.stderr.read()
        assert run.wait(60) in {0, 1}


def worker_in(text: str) -> int:
    match = re.search(r"worker (\d+)", text)
    assert match is not None, text
    return int(match[1])


def settled(terminal: "pexpect.spawn[str]") -> list[object]:
    import termios

    return termios.tcgetattr(terminal.child_fd)[:4]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_in_order(smol: Model, kind: signal.Signals) -> None:
    terminal = at_a_terminal(*checked(smol), "Count from one to a thousand.", "--temperature", "0")
    before = settled(terminal)
    terminal.expect(r"seccomp_serve .*\n")
    worker = worker_in(terminal.before or "")
    terminal.expect(r"\w+ \w+")
    if kind is signal.SIGINT:
        terminal.sendintr()
    else:
        assert terminal.pid is not None
        os.kill(terminal.pid, kind)
    terminal.expect(pexpect.EOF)
    rest = terminal.before or ""
    if not terminal.closed:
        assert settled(terminal) == before
    terminal.close()
    assert terminal.exitstatus == 128 + kind
    assert eventually(lambda: gone(worker))
    assert "Traceback" not in rest
    assert rest.count("\x1b[?25l") <= rest.count("\x1b[?25h")
    assert "figures" not in rest


def test_ctrl_c_while_the_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    terminal = at_a_terminal("run", path, "Hello", "--checksum", "sha256:" + "0" * 64)
    terminal.expect("checking")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def test_control_characters_of_a_model_do_not_reach_a_terminal(tiny: Model) -> None:
    escape = 3 + 0x1B  # the byte token of ESC, after <unk>, <s> and </s>
    options = ("--logit-bias", f"{escape}=100", "--max-tokens", "4", "--temperature", "0", "--complete")
    piped = strongroom(*checked(tiny), "the", *options)
    assert "\x1b" in piped.stdout
    terminal = at_a_terminal(*checked(tiny), "the", *options, "--quiet")
    terminal.expect(pexpect.EOF)
    shown = terminal.before or ""
    terminal.close()
    assert "\\x1b" in shown
    assert "\x1b\x1b" not in shown
    assert "control characters; they are shown escaped" in shown


def test_markup_of_a_model_is_text(tiny: Model) -> None:
    bracket = 3 + ord("[")
    options = ("--logit-bias", f"{bracket}=100", "--max-tokens", "4", "--temperature", "0", "--complete")
    terminal = at_a_terminal(*checked(tiny), "the", *options, "--quiet")
    terminal.expect(pexpect.EOF)
    assert "[[" in (terminal.before or "")
    terminal.close()


def prompt_tokens_in(terminal: "pexpect.spawn[str]") -> int:
    """Wait for the figures of an answer; the tokens of its prompt."""
    terminal.expect(r"figures[^\n]*tokens/s · (\d+) \+ \d+ tokens")
    assert isinstance(terminal.match, re.Match)
    return int(terminal.match[1])


def test_a_chat(smol: Model) -> None:
    terminal = at_a_terminal(*checked(smol), "--temperature", "0", "--max-tokens", "200")
    terminal.expect("Ctrl-D leaves")
    terminal.expect("> ")
    terminal.sendline("My name is Ada. Say hello.")
    first = prompt_tokens_in(terminal)
    terminal.expect("> ")
    terminal.sendline("Count from one to a thousand, in words.")
    terminal.expect(r"in words\.\s+\S*[A-Za-z]")  # the echo of the question, then the answer's first letters
    terminal.sendintr()
    terminal.expect(r"stopped|figures[^\n]*tokens/s")
    terminal.expect("> ")
    terminal.sendline("What is my name?")
    assert prompt_tokens_in(terminal) > 2 * first
    terminal.expect(r"\d+ of them known")  # the turns before, which are not read again
    terminal.expect("> ")
    terminal.sendintr()
    terminal.expect("> ")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_complete_is_not_for_a_chat(tiny: Model) -> None:
    terminal = at_a_terminal(*checked(tiny), "--complete")
    terminal.expect("needs a PROMPT")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "MODEL", "my", "secret", "words"],
        ["run", "MODEL", "-secret words"],
        ["run", "MODEL", "--secret words"],
        ["run", "MODEL", "Hello", "--logit-bias", "secret words=1"],
        ["doctor", "MODEL", "secret"],
        ["secret words"],
    ],
)
def test_words_of_a_prompt_are_not_repeated(tiny: Model, arguments: list[str]) -> None:
    run = strongroom(*(str(tiny.path) if word == "MODEL" else word for word in arguments))
    assert run.returncode in {1, 2}
    assert "secret" not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_a_misspelt_option_is_shown_with_what_was_meant() -> None:
    run = strongroom("run", "MODEL", "--temprature", "1")
    assert run.returncode == 2
    assert "--temprature" in run.stderr
    assert "--temperature" in run.stderr


def redirected(words: str, model: Model, *arguments: str) -> tuple[int, str, str]:
    """Run a command with the redirections of a shell."""
    run = subprocess.run(
        ["sh", "-c", f'exec "$@" {words}', "sh", *COMMAND, *map(str, checked(model)), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in run.stderr
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("kind", ["--quiet", "--json"])
@pytest.mark.parametrize("words", [">&-", ">/dev/full"])
def test_an_answer_that_cannot_be_written(tiny: Model, words: str, kind: str) -> None:
    code, _, errors = redirected(words, tiny, "Hello", "--max-tokens", "3", kind)
    assert code == 1
    [line] = errors.splitlines()
    assert line.startswith("error: input or output failed: ")


def test_without_standard_input_there_is_no_prompt(tiny: Model) -> None:
    code, _, errors = redirected("<&-", tiny)
    assert code == 1
    assert "[prompt.empty]" in errors


def test_without_standard_error_there_is_an_answer(tiny: Model) -> None:
    for words in ("2>&-", "<&- 2>&-"):
        code, answer, errors = redirected(words, tiny, "Hello", "--max-tokens", "3")
        assert (code, errors) == (0, "")
        assert answer
    code, _, errors = redirected(">/dev/full 2>/dev/full", tiny, "Hello", "--max-tokens", "3")
    assert (code, errors) == (1, "")
    assert redirected("<&- >&- 2>&-", tiny, "Hello")[0] == 1


INTERRUPTING = """
import atexit, os, runpy, signal, sys

place = sys.argv.pop(1)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == place:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
if place == "the end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
runpy.run_module("strongroom", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "place",
    ["strongroom.cli", "strongroom._core", "strongroom.errors", "typer", "strongroom.cli.verify", "the end"],
)
def test_ctrl_c_at_any_time_ends_in_order(place: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTING, place, "verify", "--help"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (130, b"")


ROUTER = {"strongroom.router.router", "strongroom.settings", "strongroom.store.store", "asyncio", "tomlkit"}


@pytest.mark.parametrize(
    ("arguments", "needed", "others"),
    [
        (["--version"], "cli", ROUTER | {"strongroom.cli.verify"}),
        (["verify", "--help"], "cli.verify", ROUTER | {"strongroom.cli.run"}),
        (["run", "--help"], "router.router", {"strongroom.cli.verify", "asyncio", "tomlkit"}),
    ],
)
def test_a_command_imports_what_it_needs(arguments: list[str], needed: str, others: set[str]) -> None:
    script = "import sys, runpy, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    start = [sys.executable, "-c", script + "runpy.run_module('strongroom', run_name='__main__')"]
    run = subprocess.run([*start, *arguments], capture_output=True, text=True, check=True)
    imported = set(run.stderr.split())
    assert f"strongroom.{needed}" in imported
    assert not imported & others


def test_importing_the_package_is_not_worth_an_interrupt() -> None:
    script = "import sys; old = set(sys.modules); import strongroom; print(*sorted(set(sys.modules) - old))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert run.stdout == b"strongroom\n"


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    command = 'trap "" INT; exec "$0" -c "$1" strongroom.cli --version'
    run = subprocess.run(
        ["sh", "-c", command, sys.executable, INTERRUPTING], capture_output=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.fixture
def heeded() -> Iterator[None]:
    """Give Ctrl-C back to pytest."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_while_the_command_line_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "strongroom.cli", Interrupted("strongroom.cli"))
    with pytest.raises(SystemExit) as left:
        entry.main()
    assert left.value.code == 130


def test_the_command_is_the_module_of_that_name() -> None:
    [command] = entry_points(group="console_scripts", name="strongroom")
    assert command.value == "strongroom.__main__:main"
