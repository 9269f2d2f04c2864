"""The bench that compares: what it counts, and that it hides nothing."""

import json
import sys
from pathlib import Path

import pytest
from benches.peers.contender import Contender, ContenderError
from benches.peers.figures import rows
from benches.peers.goals import BARE, LLAMA_CPP_PYTHON, OURS, XLLAMACPP
from benches.peers.outcome import Outcome, percentile
from benches.peers.report import doubts, publish, unequal_sets
from benches.peers.rounds import Results, measure
from benches.peers.serving import Stream
from benches.peers.workload import CASES

ANSWERS = """
import json, sys
from benches.peers.serving import Served, Stream, serve

def answer(order):
    if order.tokens == 13:
        raise RuntimeError("thirteen")
    streams = [Stream(len(prompt.split()), order.tokens, [0.5, 1.0], prompt) for prompt in order.prompts]
    return Served(streams, 2.0)

serve(answer, version="a fake", system="AVX2 = 1", threads=1)
"""


def fake(folder: Path, name: str = OURS) -> Contender:
    return Contender.start(name, [sys.executable, "-c", ANSWERS], folder / f"{name}.log")


def outcome(seconds: float = 4.0, tokens: int = 4) -> Outcome:
    early = Stream(prompt_tokens=3, tokens=tokens, times=[1.0, 2.0, 3.0, 4.0], text="")
    late = Stream(prompt_tokens=3, tokens=2, times=[3.0, 4.0], text="")
    return Outcome(seconds, [early, late], 1.0, None, 0.0)


def test_decoding_is_counted_from_the_time_when_every_stream_has_begun() -> None:
    found = outcome()
    assert found.request_rate == 6 / 4
    # One token of each stream in the second after the later one's first.
    assert found.decode_rate == 2.0
    assert found.first_token_seconds == 2.0
    assert found.gaps == [1.0] * 4


def test_an_answer_of_one_piece_has_no_decoding() -> None:
    only = Stream(prompt_tokens=3, tokens=1, times=[1.0], text="")
    assert Outcome(1.0, [only], 1.0, None, 0.0).decode_rate is None


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(100)]
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.5) == 7.0


def test_prompts_share_what_they_should_and_are_new_in_each_round() -> None:
    for case in CASES.values():
        first, second = (case.prompts(3, number) for number in (1, 2))
        assert len({*first, *second}) == 6
        assert all(len(prompt.split()) == case.words for prompt in first)
        beginnings = {tuple(prompt.split()[: case.words // 2]) for prompt in first + second}
        assert len(beginnings) == (1 if case.shared else 6)


def test_a_contender_gets_every_prompt_as_it_is(tmp_path: Path) -> None:
    contender = fake(tmp_path)
    try:
        assert contender.ready["version"] == "a fake"
        found = contender.ask(["one two", "three\nfour"], tokens=5, shared=True)
    finally:
        contender.close()
    assert [stream.text for stream in found.streams] == ["one two", "three\nfour"]
    assert (found.tokens, found.prompt_tokens, found.seconds) == (10, 4, 2.0)


def test_a_contender_that_fails_is_reported_with_its_reason_and_has_no_figures(tmp_path: Path) -> None:
    ours, bare = fake(tmp_path), fake(tmp_path, BARE)
    bare.process.kill()
    try:
        case = CASES["short-distinct"]
        results = measure([ours, bare], case, streams=2, tokens=4, rounds=2, progress=lambda _: None)
    finally:
        ours.close()
        bare.close()
    found = {row.contender: row for row in rows("model", case, 2, results, faster_kernels=False)}
    assert found[OURS].rounds == 2
    assert found[BARE].figures is None
    assert "ended with -9" in str(found[BARE].failure)
    assert any(doubt.startswith(f"{BARE} failed") for doubt in doubts(list(found.values())))


def test_what_a_contender_said_last_is_its_reason(tmp_path: Path) -> None:
    contender = fake(tmp_path)
    try:
        with pytest.raises(ContenderError, match=r"ended with 1: RuntimeError: thirteen"):
            contender.ask(["one"], tokens=13, shared=False)
    finally:
        contender.close()
    with pytest.raises(ContenderError, match="ModuleNotFoundError"):
        Contender.start("missing", [sys.executable, "-m", "no.such.module"], tmp_path / "log")


@pytest.mark.parametrize(("rounds", "verdict"), [(5, "undecided"), (6, "met")])
def test_a_goal_is_judged_after_enough_rounds(rounds: int, verdict: str) -> None:
    fast, slow = outcome(seconds=2.0), outcome(seconds=4.0)
    results = Results({OURS: [fast] * rounds, XLLAMACPP: [slow] * rounds})
    found = {
        row.contender: row for row in rows("model", CASES["short-distinct"], 8, results, faster_kernels=False)
    }
    requests = found[XLLAMACPP].requests
    assert requests is not None
    assert (requests.median, requests.verdict) == (2.0, verdict)
    assert found[LLAMA_CPP_PYTHON].requests is None


def test_unequal_conditions_are_told() -> None:
    busy = Outcome(1.0, outcome().streams, 1.0, None, 0.5)
    results = Results({OURS: [busy], BARE: [outcome(tokens=40)]}, idle_share=0.4)
    told = "\n".join(doubts(rows("model", CASES["short-distinct"], 2, results, faster_kernels=False)))
    assert "others used up to 50%" in told
    assert "out of their turn" in told
    assert "tokens differ" in told
    systems = {"a": "AVX2 = 1 | FMA = 1", "b": "AVX2 = 1 | AVX512 = 1", "c": "isolation: seccomp"}
    described = {name: {"system": system} for name, system in systems.items()}
    assert unequal_sets(described) == ["a computes with AVX2, FMA", "b computes with AVX2, AVX512"]
    assert unequal_sets({name: described[name] for name in "ac"}) == []


def test_rows_are_plain_data() -> None:
    results = Results({OURS: [outcome()], BARE: [outcome()]})
    found = rows("model", CASES["short-distinct"], 1, results, faster_kernels=False)
    assert json.loads(json.dumps([row.plain() for row in found]))[1]["requests"]["goal"] == "≥ 0.97"


def test_goals_are_higher_where_the_kernels_are_faster() -> None:
    results = Results({OURS: [outcome()], XLLAMACPP: [outcome()]})
    case = CASES["short-distinct"]
    goals = {
        (model, faster): str(row.requests.goal)
        for model in ("smollm2", "gemma3")
        for faster in (False, True)
        for row in rows(model, case, 8, results, faster_kernels=faster)
        if row.requests
    }
    assert goals == {
        ("smollm2", False): "≥ 1.1",
        ("smollm2", True): "≥ 1.1",
        ("gemma3", False): "≥ 1.1",
        ("gemma3", True): "≥ 1.25",
    }


def test_a_table_is_written_between_its_marks_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    target = "bench-peers MODELS={} CASES=short-distinct"
    marks = f"<!-- figures: make {target} PUBLISH=1 -->\nold {{}}\n<!-- end of figures -->\n"
    readme.write_text("before\n" + marks.format("other", "kept") + marks.format("model", "gone") + "after\n")
    results = Results({OURS: [outcome()] * 6, XLLAMACPP: [outcome(seconds=8.0)] * 6})
    found = [
        row
        for row in rows("model", CASES["short-distinct"], 8, results, faster_kernels=False)
        if row.contender in (OURS, XLLAMACPP)
    ]
    described = {OURS: {"version": "strongroom 1", "system": "avx2, isolation: seccomp"}}
    publish(found, described, {"rounds": 6}, readme)
    text = readme.read_text()
    assert text.startswith("before\n" + marks.format("other", "kept"))
    assert text.endswith("<!-- end of figures -->\nafter\n")
    assert "gone" not in text
    assert "| short-distinct | 8 | 2 tokens/s | 2.00 (2.00 to 2.00), goal ≥ 1.1: met | 1.00 |" in text
    assert "instructions avx2; strongroom 1." in text
