"""Vectors of texts: one array, whatever they were split into."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strongroom import (
    AsyncRouter,
    Limits,
    LoadError,
    OptionError,
    PromptError,
    RequestError,
    Router,
    Sandboxing,
    Security,
    Settings,
    SettingsError,
)
from strongroom.backends.backend import MAX_BYTES, MAX_TEXTS
from strongroom.router.embedding import orders, texts_of
from tests.conftest import Model, settings

DIMENSIONS = 64
"""Of the tiny model."""

MANY = [f"text {number} of {number * 7919 % 1000}" for number in range(1000)]


@pytest.fixture(scope="module")
def embedder(tiny: Model) -> Iterator[Router]:
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings="mean")
        yield router


def lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.linalg.norm(rows, axis=1)
    return found


def test_a_model_says_that_it_embeds(embedder: Router) -> None:
    [info] = embedder.models()
    assert (info.embeds, info.dimensions, info.context_length) == (True, DIMENSIONS, 512)
    assert info.chat_refusal is not None
    assert info.chat_refusal[0] == "request.wrong_task"


def test_a_row_for_each_text(embedder: Router) -> None:
    rows = embedder.embed(["one", "two", "three"])
    assert rows.shape == (3, DIMENSIONS)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert rows.flags.owndata
    assert np.allclose(lengths(rows), 1, atol=1e-5)
    assert not np.allclose(rows[0], rows[1], atol=1e-2)
    assert embedder.embed("two").shape == (1, DIMENSIONS)
    assert np.allclose(embedder.embed("two")[0], rows[1], atol=1e-4)
    # A text of characters that look like special tokens is text.
    assert not np.allclose(embedder.embed("</s>"), embedder.embed("<s>"), atol=1e-3)


def test_vectors_as_the_model_made_them(embedder: Router) -> None:
    raw = embedder.embed(["one", "two"], normalize=False)
    assert not np.allclose(lengths(raw), 1, atol=0.1)
    scaled = raw / lengths(raw)[:, None]
    assert np.allclose(scaled, embedder.embed(["one", "two"]), atol=1e-4)


def test_many_are_each_as_if_it_were_alone_and_in_order(embedder: Router) -> None:
    rows = embedder.embed(MANY)
    assert rows.shape == (1000, DIMENSIONS)
    assert rows.flags.c_contiguous
    alone = np.concatenate([embedder.embed(text) for text in MANY])
    assert np.abs(rows - alone).max() < 1e-4
    # So that the comparison says something: one row further is another text's.
    assert np.abs(rows[1:] - alone[:-1]).max() > 1e-2


def test_no_texts_are_no_rows(embedder: Router) -> None:
    assert embedder.embed([]).shape == (0, DIMENSIONS)
    assert embedder.embed(()).dtype == np.float32


@pytest.mark.asyncio
async def test_an_event_loop_s_vectors_are_the_same(tiny: Model, embedder: Router) -> None:
    async with AsyncRouter(settings()) as router:
        info = await router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings="mean")
        assert info.embeds
        texts = MANY[:600]
        several = await asyncio.gather(*(router.embed(texts) for _ in range(3)), router.embed("one"))
        expected = embedder.embed(texts)
        for rows in several[:3]:
            assert np.abs(rows - expected).max() < 1e-4
            assert rows.flags.c_contiguous
        assert np.allclose(several[3], embedder.embed("one"), atol=1e-4)
        assert (await router.embed([])).shape == (0, DIMENSIONS)
        for wrong, error in (("", PromptError), (5, PromptError)):
            with pytest.raises(error):
                await router.embed(wrong)  # type: ignore[arg-type]
        # Cancelled, it stops what is under way: the places are free.
        os.kill(info.pid, signal.SIGSTOP)
        cancelled = asyncio.create_task(router.embed(MANY))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        os.kill(info.pid, signal.SIGCONT)
        assert (await router.embed("one")).shape == (1, DIMENSIONS)


@pytest.mark.parametrize("limits", [{"concurrent_requests": 1}, {"tenant_requests": 1}])
def test_few_places_are_enough(tiny: Model, embedder: Router, limits: dict[str, Any]) -> None:
    with Router(Settings(security=settings().security, limits=Limits(**limits))) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings="mean")
        rows = router.embed(MANY, tenant="someone", priority="low")
        assert np.abs(rows - embedder.embed(MANY)).max() < 1e-4
        os.kill(info.pid, signal.SIGSTOP)
        # Without one of its own under way, a call finds no place, as others do.
        held = router._registry._entries["tiny"].backend
        assert held is not None
        generation = held.embed(["x"], 60.0, normalize=True, tenant=b"someone", priority="normal")
        with pytest.raises(RequestError) as caught:
            router.embed("one", tenant="someone")
        assert caught.value.code in {"request.busy", "request.tenant_busy"}
        os.kill(info.pid, signal.SIGCONT)
        generation.cancel()


def test_the_time_of_a_request(tiny: Model) -> None:
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings="mean")
        with pytest.raises(RequestError) as caught:
            router.embed(["the fox " * 40] * 1000, timeout="1ms")
        assert caught.value.code == "request.deadline"
        with pytest.raises(OptionError, match="timeout must be at most 60s"):
            router.embed("one", timeout="61s")
        assert router.embed("one").shape == (1, DIMENSIONS)


@pytest.mark.parametrize(
    ("texts", "code", "names"),
    [
        ("", "prompt.empty", "text 0"),
        (["one", ""], "prompt.empty", "text 1"),
        (["one", "\ud800secret"], "prompt.not_unicode", "text 1"),
        (["one", 5], "prompt.invalid", "text 1"),
        (5, "prompt.invalid", "texts"),
        (None, "prompt.invalid", "texts"),
        (b"secret", "prompt.invalid", "texts"),
        ({"secret": 1}, "prompt.invalid", "texts"),
        (["secret " * 600], "prompt.too_long", "512 tokens"),
        (["x", "secret " * 200_000], "prompt.too_long", "bytes"),
    ],
)
def test_what_can_t_be_embedded(embedder: Router, texts: Any, code: str, names: str) -> None:
    with pytest.raises(PromptError, match=names) as caught:
        embedder.embed(texts)
    assert caught.value.code == code
    assert "secret" not in f"{caught.value!s}{caught.value!r}"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"normalize": 1}, "normalize"),
        ({"tenant": ""}, "tenant"),
        ({"priority": "urgent"}, "priority"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_options_are_checked(embedder: Router, options: dict[str, Any], names: str) -> None:
    with pytest.raises(OptionError, match=names):
        embedder.embed("one", **options)


@pytest.mark.parametrize("texts", ["one", []])
def test_a_model_that_answers_does_not_embed_and_the_other_way_round(
    shared: Router, embedder: Router, texts: Any
) -> None:
    with pytest.raises(RequestError, match="loaded to generate") as caught:
        shared.embed(texts)
    assert caught.value.code == "request.wrong_task"
    assert "embeddings=True" in caught.value.next_step
    asked: list[Any] = [
        lambda: embedder.chat("Hello"),
        lambda: embedder.complete("the"),
        lambda: embedder.stream("Hello").read(),
        lambda: embedder.publish("the"),
    ]
    for ask in asked:
        with pytest.raises(RequestError, match="loaded to embed") as caught:
            ask()
        assert caught.value.code == "request.wrong_task"
    assert embedder.tokenize("the")
    # The words of both sides are the same.
    backend = shared._registry._entries["tiny"].backend
    assert backend is not None
    generation = backend.embed(["x"], 60.0, normalize=True, tenant=None, priority="normal")
    with pytest.raises(RequestError) as workers:
        generation.next()
    with pytest.raises(RequestError) as ours:
        shared.embed("x")
    assert (ours.value.message, ours.value.next_step) == (workers.value.message, workers.value.next_step)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"embeddings": True}, "it names none"),
        ({"embeddings": "max"}, "embeddings must be one of mean, cls, last"),
        ({"embeddings": 1.0}, "embeddings must be True, False"),
        ({"embeddings": None}, "embeddings must be True, False"),
        ({"embeddings": "mean", "chat_template": "x"}, "chat_template has no place"),
    ],
)
def test_how_it_is_loaded_is_checked(tiny: Model, options: dict[str, Any], names: str) -> None:
    with Router(settings()) as router:
        with pytest.raises(OptionError, match=names):
            router.load("tiny", tiny.path, checksum=tiny.checksum, **options)
        assert router.models() == []


@pytest.mark.parametrize("way", ["cls", "last"])
def test_ways_of_pooling_differ(tiny: Model, embedder: Router, way: Any) -> None:
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings=way)
        assert not np.allclose(router.embed("a b c"), embedder.embed("a b c"), atol=1e-2)


def test_a_file_that_names_its_pooling_is_taken_at_its_word(pooled: Model, embedder: Router) -> None:
    with Router(settings()) as router:
        info = router.load("pooled", pooled.path, checksum=pooled.checksum, embeddings=True)
        assert info.embeds
        assert "finding.embedding_model" in {finding.code for finding in info.findings}
        assert np.allclose(router.embed("a b c"), embedder.embed("a b c"), atol=1e-4)


def test_longer_texts_where_they_are_asked_for(tiny: Model) -> None:
    text = "the fox " * 120
    with Router(settings()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum, embeddings="mean", context_length=2048)
        assert 512 < len(router.tokenize(text)) < 2048
        assert router.embed([text, "x"]).shape == (2, DIMENSIONS)
    limits = Limits(context_length=16)
    with Router(Settings(security=settings().security, limits=limits)) as router:
        assert router.load("t", tiny.path, checksum=tiny.checksum, embeddings="mean").context_length == 16


def test_a_model_that_rests_is_started_again_as_it_was(tiny: Model) -> None:
    with Router(settings()) as router:
        takes = router.load("t", tiny.path, checksum=tiny.checksum, embeddings="mean").memory
    limits = Limits(total_memory=takes.total + takes.weights // 2)
    with Router(Settings(security=settings().security, limits=limits)) as router:
        for name in ("first", "second"):
            router.load(name, tiny.path, checksum=tiny.checksum, embeddings="mean")
        assert [info.state for info in router.models()] == ["resting", "ready"]
        with pytest.raises(RequestError) as caught:
            router.embed("one", model="first", timeout="1ms")
        assert caught.value.code == "request.deadline"
        first = router.embed("one", model="first")
        assert np.allclose(first, router.embed("one", model="second"), atol=1e-4)


def test_what_texts_are_computed_in_is_accounted_and_bounded(tiny: Model) -> None:
    def anonymous(pid: int) -> int:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if "Anonymous:" in line) * 1024

    for length in (64, 512, 2048):
        with Router(settings()) as router:
            info = router.load(
                "t", tiny.path, checksum=tiny.checksum, embeddings="mean", context_length=length
            )
            router.embed(["the fox " * (length // 12)] * 20)
            assert anonymous(info.pid) <= info.memory.worker
    small = Security(sandboxing=Sandboxing(memory_limit="32MB"))
    with Router(Settings(security=small)) as router, pytest.raises(LoadError) as caught:
        router.load("t", tiny.path, checksum=tiny.checksum, embeddings="mean", context_length=2048)
    assert caught.value.code == "load.no_room"


def test_texts_are_split_by_number_and_by_bytes() -> None:
    assert list(orders(())) == []
    assert list(orders(["x"] * MAX_TEXTS)) == [slice(0, MAX_TEXTS)]
    assert list(orders(["x"] * (MAX_TEXTS + 1))) == [slice(0, MAX_TEXTS), slice(MAX_TEXTS, MAX_TEXTS + 1)]
    half = "ü" * (MAX_BYTES // 4)
    assert list(orders([half, half, "x"])) == [slice(0, 2), slice(2, 3)]
    assert list(orders([half, half * 3, half])) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert texts_of("ab") == ("ab",)


def test_without_numpy_a_router_works_and_embed_says_what_to_do(
    embedder: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "numpy" else found(name, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", without)
        with pytest.raises(SettingsError, match="numpy isn't installed") as caught:
            embedder.embed("one")
    assert caught.value.next_step == "pip install strongroom[numpy]"
    code = (
        "import sys, strongroom; strongroom.Router().close(); strongroom.AsyncRouter; "
        "print('numpy' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
