"""Many prompts at once: in order, as many under way as may be, errors in their places, resumable."""

import asyncio
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    Completion,
    JournalError,
    Limits,
    OptionError,
    PromptError,
    RequestError,
    Router,
    Sandboxing,
    Security,
    Settings,
    StrongroomError,
)
from strongroom.router import batching
from strongroom.router.batch import AHEAD, Batch, Item
from strongroom.router.journal import Journal
from strongroom.router.request import begin
from tests.conftest import ROOT, Model
from tests.processes import eventually

EOS = 2
OPTIONS: dict[str, Any] = {"max_tokens": 4, "temperature": 0, "logit_bias": {EOS: -100.0}}
PROMPTS = [f"prompt {number}" for number in range(10)]
HELD = 4
"""Requests that the model holds at once."""


def settings() -> Settings:
    return Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB", timeout="60s")),
        limits=Limits(concurrent_requests=HELD, context_length=256, max_concurrent=1),
    )


@pytest.fixture(scope="module")
def held(tiny: Model) -> Iterator[Router]:
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The prompts that are asked, in that order."""
    seen: list[Any] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        begun = begin(*arguments, **options)
        seen.append(arguments[1])
        return begun

    monkeypatch.setattr(batching, "begin", watched)
    return seen


def texts(results: list[Completion | StrongroomError]) -> list[str]:
    return [result.text for result in results if isinstance(result, Completion)]


def test_the_results_are_those_of_the_prompts_one_by_one(held: Router) -> None:
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    prompts: list[Any] = [*PROMPTS, conversation]
    results = held.generate_batch(prompts, **OPTIONS)
    assert texts(results) == [held.chat(prompt, **OPTIONS).text for prompt in prompts]
    assert {result.model for result in results if isinstance(result, Completion)} == {"tiny"}
    assert texts(held.generate_batch(PROMPTS, raw=True, **OPTIONS)) == [
        held.complete(prompt, **OPTIONS).text for prompt in PROMPTS
    ]


@pytest.mark.asyncio
async def test_an_event_loop_s_results_are_the_same(held: Router, tiny: Model, tmp_path: Path) -> None:
    expected = texts(held.generate_batch(PROMPTS, **OPTIONS))
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        journal = tmp_path / "journal"
        assert texts(await router.generate_batch(PROMPTS, resume=journal, **OPTIONS)) == expected
        lines = journal.read_text().splitlines()
        assert len(lines) == 1 + len(PROMPTS)
        # One journal for both: the call goes on where the other ended.
        assert texts(held.generate_batch(PROMPTS, resume=journal, **OPTIONS)) == expected
        assert journal.read_text().splitlines() == lines
        results = await router.generate_batch(["x", "", "y"], **OPTIONS)
        assert [type(result) for result in results] == [Completion, PromptError, Completion]
        with pytest.raises(PromptError):
            await router.generate_batch(["x", "", "y"], on_error="raise", **OPTIONS)


def test_as_many_are_under_way_as_the_model_holds_and_no_more(
    held: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = []
    original = Batch.begin

    def watched(batch: Any) -> Any:
        begun = original(batch)
        under_way.append(batch.asked)
        return begun

    monkeypatch.setattr(Batch, "begin", watched)
    results = held.generate_batch(PROMPTS, **OPTIONS)
    assert max(under_way) == HELD
    assert len(texts(results)) == len(PROMPTS)
    under_way.clear()
    held.generate_batch(PROMPTS, concurrency=2, **OPTIONS)
    assert max(under_way) == 2


def test_places_that_others_hold_are_waited_for(held: Router) -> None:
    streams = [held.stream("x", raw=True, max_tokens=100, logit_bias={EOS: -100.0}) for _ in range(HELD)]
    with pytest.raises(RequestError) as caught:
        held.complete("x")
    assert caught.value.code == "request.busy"
    results = held.generate_batch(PROMPTS[:3], **OPTIONS)
    assert len(texts(results)) == 3
    assert [stream.read().completion_tokens for stream in streams] == [100] * HELD


def test_prompts_are_drawn_as_they_are_needed(held: Router) -> None:
    drawn, done = 0, 0
    ahead = []

    def prompts() -> Iterator[str]:
        nonlocal drawn
        for number in range(60):
            drawn += 1
            ahead.append(drawn - done)
            yield f"prompt {number}"

    def progress(count: int, total: int | None) -> None:
        nonlocal done
        assert total is None
        done = count

    assert len(held.generate_batch(prompts(), progress=progress, **OPTIONS)) == 60
    assert max(ahead) <= AHEAD * HELD


def test_errors_stay_in_their_places(held: Router) -> None:
    prompts: Any = ["x", "", 7, "y " * 2000, "z"]
    results = held.generate_batch(prompts, **OPTIONS)
    assert [isinstance(result, Completion) for result in results] == [True, False, False, False, True]
    codes = [result.code for result in results if isinstance(result, StrongroomError)]
    assert codes == ["prompt.empty", "prompt.invalid", "prompt.too_long"]
    with pytest.raises(PromptError) as caught:
        held.generate_batch(prompts, on_error="raise", **OPTIONS)
    assert caught.value.code == "prompt.empty"
    # What was under way was stopped, though the error is kept: nothing holds the model.
    assert held._registry._entries["tiny"].users == 0
    assert eventually(lambda: len(texts(held.generate_batch(PROMPTS, **OPTIONS))) == len(PROMPTS))


@pytest.mark.parametrize(
    ("prompts", "options", "names"),
    [
        ("one text", {}, "prompts must be several prompts, not a str"),
        ({"role": "user"}, {}, "prompts must be several prompts, not a dict"),
        (7, {}, "prompts must be several prompts, not a int"),
        ([], {"concurrency": 0}, "concurrency must be from 1 to concurrent_requests, 4"),
        ([], {"concurrency": 5}, "concurrency must be from 1 to concurrent_requests, 4"),
        ([], {"concurrency": True}, "concurrency must be a whole number"),
        ([], {"on_error": "ignore"}, "on_error must be"),
        ([], {"progress": 1}, "progress must be"),
        ([], {"raw": None}, "raw must be True or False"),
        ([], {"resume": 7}, "resume must be a path"),
        ([], {"temperature": 9}, "temperature must be"),
        ([], {"tempo": 1}, "tempo"),
    ],
)
def test_options_are_checked_before_anything_is_asked(
    held: Router, asked: list[Any], prompts: Any, options: dict[str, Any], names: str
) -> None:
    with pytest.raises(OptionError, match=names):
        held.generate_batch(prompts, **options)
    assert asked == []


def test_no_prompts_are_no_results(held: Router) -> None:
    assert held.generate_batch([]) == []


def test_progress_is_told(held: Router) -> None:
    seen: list[tuple[int, int | None]] = []
    held.generate_batch(PROMPTS, progress=lambda done, total: seen.append((done, total)), **OPTIONS)
    assert seen == [(done, len(PROMPTS)) for done in range(len(PROMPTS) + 1)]


def test_the_bar_is_for_terminals(held: Router, capsys: pytest.CaptureFixture[str]) -> None:
    held.generate_batch(PROMPTS[:2], progress=True, **OPTIONS)
    assert capsys.readouterr() == ("", "")


def test_a_journal_has_the_answers_and_only_the_rest_is_asked(
    held: Router, asked: list[Any], tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    first = held.generate_batch(PROMPTS[:6], resume=journal, **OPTIONS)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    asked.clear()
    results = held.generate_batch(PROMPTS, resume=journal, **OPTIONS)
    assert results[:6] == first
    assert sorted(message.content for (message,) in asked) == PROMPTS[6:]
    assert len(texts(results)) == len(PROMPTS)


def test_the_same_prompt_twice_has_two_answers(held: Router, asked: list[Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {**OPTIONS, "temperature": 5}
    journal = tmp_path / "journal"
    first = held.generate_batch(["x", "y", "x"], resume=journal, **options)
    assert len(asked) == 3
    assert held.generate_batch(["x", "x", "y"], resume=journal, **options) == [first[0], first[2], first[1]]
    assert len(asked) == 3


def test_what_failed_is_asked_again(held: Router, asked: list[Any], tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    results = held.generate_batch(["x", "y " * 2000], resume=journal, **OPTIONS)
    assert isinstance(results[1], PromptError)
    asked.clear()
    held.generate_batch(["x", "y " * 2000], resume=journal, **OPTIONS)
    assert len(asked) == 1


@pytest.mark.parametrize("torn", [b'{"key": "', b"\0\0\0\0", b'{"key":"k","answer":{},"sum":"0"}'])
def test_a_line_that_a_kill_tore_off_is_dropped(
    held: Router, asked: list[Any], tmp_path: Path, torn: bytes
) -> None:
    journal = tmp_path / "journal"
    expected = held.generate_batch(PROMPTS[:3], resume=journal, **OPTIONS)
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    asked.clear()
    assert held.generate_batch(PROMPTS[:3], resume=journal, **OPTIONS) == expected
    assert (asked, journal.read_bytes()) == ([], whole)


@pytest.mark.parametrize("line", [0, 1, 3])
def test_a_damaged_journal_is_refused(held: Router, asked: list[Any], tmp_path: Path, line: int) -> None:
    journal = tmp_path / "journal"
    held.generate_batch(PROMPTS[:3], resume=journal, **OPTIONS)
    lines = journal.read_bytes().splitlines(keepends=True)
    middle = len(lines[line]) // 2
    flipped = bytes([lines[line][middle] ^ 1])
    lines[line] = lines[line][:middle] + flipped + lines[line][middle + 1 :]
    journal.write_bytes(b"".join(lines))
    asked.clear()
    with pytest.raises(JournalError, match=f"damaged in line {line + 1}") as caught:
        held.generate_batch(PROMPTS, resume=journal, **OPTIONS)
    assert caught.value.code == "journal.damaged"
    assert asked == []


@pytest.mark.parametrize("other", ["options", "raw", "seed", "model"])
def test_the_journal_of_another_batch_is_refused(
    held: Router, untemplated: Model, tmp_path: Path, other: str
) -> None:
    journal = tmp_path / "journal"
    if other == "model":
        with Router(settings()) as router:
            router.load("tiny", untemplated.path, checksum=untemplated.checksum)
            router.generate_batch(PROMPTS[:1], raw=True, resume=journal, **OPTIONS)
        changed: dict[str, Any] = {"raw": True}
    else:
        held.generate_batch(PROMPTS[:1], resume=journal, **OPTIONS)
        changes: dict[str, dict[str, Any]] = {
            "options": {"max_tokens": 5},
            "raw": {"raw": True},
            "seed": {"seed": 1},
        }
        changed = changes[other]
    before = journal.read_bytes()
    told = "another model" if other == "model" else "other options"
    with pytest.raises(JournalError, match=told) as caught:
        held.generate_batch(PROMPTS[:1], resume=journal, **{**OPTIONS, **changed})
    assert caught.value.code == "journal.foreign"
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ({}, {"chat_template": "{{ messages[0].content }}!"}, "another chat template"),
        ({"chat_template": "{{ messages[0].content }}!"}, {}, "another chat template"),
        ({"chat_template": "{{ messages[0].content }}"}, {"chat_template": ""}, "another chat template"),
        ({}, {"context_length": 128}, "another context length"),
    ],
)
def test_a_journal_is_of_a_model_as_it_was_loaded(
    tiny: Model, tmp_path: Path, first: dict[str, Any], then: dict[str, Any], told: str
) -> None:
    journal = tmp_path / "journal"
    with Router(settings()) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum, **first)
        given = first.get("chat_template")
        assert info.template_digest == (given and hashlib.sha256(given.encode()).hexdigest())
        expected = router.generate_batch(PROMPTS[:1], resume=journal, **OPTIONS)
        assert len(texts(expected)) == 1
        router.unload("tiny")
        router.load("tiny", tiny.path, checksum=tiny.checksum, **then)
        before = journal.read_bytes()
        with pytest.raises(JournalError, match=told) as caught:
            router.generate_batch(PROMPTS[:1], resume=journal, **OPTIONS)
        assert caught.value.code == "journal.foreign"
        assert journal.read_bytes() == before
        router.unload("tiny")
        router.load("tiny", tiny.path, checksum=tiny.checksum, **first)
        assert router.generate_batch(PROMPTS[:1], resume=journal, **OPTIONS) == expected


def test_an_item_does_not_show_its_prompt() -> None:
    assert "secret" not in repr(Item(0, "secret", None))


def test_a_file_that_is_no_journal_is_left_as_it_is(held: Router, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text('{"a": 1}\nmine')
    path.chmod(0o600)
    with pytest.raises(JournalError) as caught:
        held.generate_batch(PROMPTS, resume=path)
    assert caught.value.code == "journal.damaged"
    assert path.read_text() == '{"a": 1}\nmine'


@pytest.mark.parametrize(
    "held_there",
    [
        b"hf_secret",
        b'{"token":"secret"}',
        b"\0\0\0\0",
        b'{"journal":"strongroom batch"}',
        b'{"k":"' + b"x" * 5000,
    ],
    ids=["token", "json", "zeros", "almost", "long"],
)
def test_a_file_without_a_line_s_end_is_left_as_it_is(
    held: Router, asked: list[Any], tmp_path: Path, held_there: bytes
) -> None:
    path = tmp_path / "token"
    path.write_bytes(held_there)
    path.chmod(0o600)
    with pytest.raises(JournalError) as caught:
        held.generate_batch(PROMPTS, resume=path, **OPTIONS)
    assert caught.value.code == "journal.foreign"
    assert "secret" not in str(caught.value)
    assert (asked, path.read_bytes()) == ([], held_there)


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_first_line_that_a_kill_tore_off_is_written_again(held: Router, tmp_path: Path, kept: int) -> None:
    journal = tmp_path / "journal"
    expected = held.generate_batch(PROMPTS[:2], resume=journal, **OPTIONS)
    header = journal.read_bytes().splitlines(keepends=True)[0]
    journal.write_bytes(header[:-1])
    with pytest.raises(JournalError) as caught:  # another batch's
        held.generate_batch(PROMPTS[:2], resume=journal, **{**OPTIONS, "max_tokens": 5})
    assert caught.value.code == "journal.foreign"
    journal.write_bytes(header[:kept])
    assert texts(held.generate_batch(PROMPTS[:2], resume=journal, **OPTIONS)) == texts(expected)
    assert journal.read_bytes().startswith(header)


def test_a_journal_that_others_can_read_is_refused(held: Router, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch(mode=0o644)
    with pytest.raises(JournalError) as caught:
        held.generate_batch(PROMPTS, resume=journal)
    assert caught.value.code == "journal.permissions"


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_what_is_no_regular_file_is_refused(held: Router, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "journal"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    with pytest.raises(JournalError) as caught:
        held.generate_batch(PROMPTS, resume=path)
    assert caught.value.code == ("journal.unusable" if kind == "folder" else "journal.special")
    assert not (tmp_path / "elsewhere").exists()


def test_one_batch_at_a_time_uses_a_journal(held: Router, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    refused = []

    def progress(done: int, _total: int | None) -> None:
        if done == 1:
            with pytest.raises(JournalError) as caught:
                held.generate_batch(PROMPTS, resume=journal, **OPTIONS)
            refused.append(caught.value.code)

    held.generate_batch(PROMPTS, resume=journal, progress=progress, **OPTIONS)
    assert refused == ["journal.busy"]


def test_no_error_shows_a_prompt_or_an_answer(held: Router, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    [answer] = texts(held.generate_batch(["secret words"], resume=journal, **OPTIONS))
    journal.write_bytes(journal.read_bytes().replace(b'"seed"', b'"sEed"'))
    with pytest.raises(JournalError) as caught:
        held.generate_batch(["secret words"], resume=journal, **OPTIONS)
    assert "secret" not in str(caught.value)
    assert answer not in str(caught.value)


CHILD = """
import sys
from strongroom import Router
from tests.router.test_batch import OPTIONS, settings

with Router(settings()) as router:
    router.load("tiny", sys.argv[1], checksum=sys.argv[2])
    prompts = [f"prompt {number}" for number in range(400)]
    print("ready", flush=True)
    router.generate_batch(prompts, resume=sys.argv[3], **OPTIONS)
"""


def test_a_killed_batch_goes_on_where_it_was(
    held: Router, asked: list[Any], tiny: Model, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, tiny.path, tiny.checksum, journal], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert eventually(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 10)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    written = journal.read_bytes().count(b"\n") - 1
    assert 10 <= written < 400
    prompts = [f"prompt {number}" for number in range(400)]
    results = held.generate_batch(prompts, resume=journal, **OPTIONS)
    assert len(asked) == 400 - written
    assert len(texts(results)) == 400
    for index in (0, 200, 399):
        assert texts(results)[index] == held.chat(prompts[index], **OPTIONS).text
    kept = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert len({line["key"] for line in kept}) == len(kept) == 400


@pytest.mark.asyncio
async def test_a_cancelled_batch_stops_what_is_under_way(tiny: Model, tmp_path: Path) -> None:
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        long: dict[str, Any] = {"max_tokens": 200, "logit_bias": {EOS: -100.0}}
        journal = tmp_path / "journal"
        batch = asyncio.create_task(router.generate_batch(PROMPTS, raw=True, resume=journal, **long))
        await asyncio.sleep(0.1)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        # Its journal is free, and so is every place.
        results = await router.generate_batch(PROMPTS, raw=True, resume=journal, **long)
        assert len(texts(results)) == len(PROMPTS)


@pytest.mark.asyncio
@pytest.mark.parametrize("slow", ["__init__", "__enter__", "write"])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_batch_has_let_go_of_its_journal(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str, times: int
) -> None:
    path = tmp_path / "journal"
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()
    original = getattr(Journal, slow)

    def slowly(*arguments: Any, **options: Any) -> Any:
        begun.set()
        gate.wait(5)
        result = original(*arguments, **options)
        ended.set()
        return result

    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        with monkeypatch.context() as patched:
            patched.setattr(Journal, slow, slowly)
            batch = asyncio.create_task(router.generate_batch(PROMPTS, resume=path, **OPTIONS))
            assert await asyncio.to_thread(begun.wait, 30)
            assert not ended.is_set()  # the loop isn't held up
            for _ in range(times):
                batch.cancel()
                await asyncio.sleep(0.05)
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await batch
            assert ended.is_set()
        written = path.read_bytes().count(b"\n") - 1
        assert written == (slow == "write")
        assert len(texts(await router.generate_batch(PROMPTS, resume=path, **OPTIONS))) == len(PROMPTS)
        assert path.read_bytes().count(b"\n") == 1 + len(PROMPTS)


FORKS = """
import os, sys
from strongroom import JournalError, Router
from strongroom.router.journal import Journal
from tests.router.test_batch import OPTIONS, PROMPTS, settings

with Router(settings()) as router:
    info = router.load("tiny", sys.argv[1], checksum=sys.argv[2])
    ends, end = os.pipe()
    if sys.argv[4] == "goes on":
        def fork(done, total):
            if done == 1 and os.fork() == 0:
                os.close(end)
                os.read(ends, 1)
                os._exit(0)
        router.generate_batch(PROMPTS, resume=sys.argv[3], progress=fork, **OPTIONS)
        print(len(router.generate_batch(PROMPTS, resume=sys.argv[3], **OPTIONS)))
    else:
        journal = Journal(sys.argv[3], info, options="x")
        child = os.fork()
        if child == 0:
            journal.close()
            os._exit(0)
        os.waitpid(child, 0)
        try:
            Journal(sys.argv[3], info, options="x")
        except JournalError as error:
            print(error.code)
"""


@pytest.mark.parametrize(("child", "told"), [("goes on", str(len(PROMPTS))), ("closes it", "journal.busy")])
def test_the_lock_of_a_journal_is_of_the_process_that_took_it(
    tiny: Model, tmp_path: Path, child: str, told: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, tiny.path, tiny.checksum, tmp_path / "journal", child],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout.strip(), run.returncode) == (told, 0), run.stderr


def test_a_batch_for_a_resting_model_starts_it(tiny: Model) -> None:
    limits = Limits(
        concurrent_requests=HELD,
        context_length=256,
        max_concurrent=1,
        prefix_cache=0,
        total_memory="7MiB",
    )
    with Router(Settings(security=settings().security, limits=limits)) as router:
        router.load("first", tiny.path, checksum=tiny.checksum)
        router.load("second", tiny.path, checksum=tiny.checksum)
        assert [info.state for info in router.models()] == ["resting", "ready"]
        assert len(texts(router.generate_batch(PROMPTS, model="first", **OPTIONS))) == len(PROMPTS)
        assert [info.state for info in router.models()] == ["ready", "resting"]
