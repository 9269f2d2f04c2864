"""A model that rests is started for whoever asks, and the time that this takes is the request's."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    Completion,
    Limits,
    OptionError,
    RequestError,
    Router,
    Sandboxing,
    Security,
    Settings,
)
from strongroom.backends.local import Local
from strongroom.router import registry
from tests.conftest import Model


def settings(timeout: str = "60s", **limits: Any) -> Settings:
    return Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB", timeout=timeout)),
        limits=Limits(context_length=256, max_concurrent=1, prefix_cache="1MiB", prefix_tenants=1, **limits),
    )


def room_for_one(tiny: Model, **options: Any) -> int:
    """Return the bytes in which one of two models has place."""
    with Router(settings()) as router:
        memory = router.load("tiny", tiny.path, checksum=tiny.checksum, **options).memory
    return memory.total + memory.weights // 2


@pytest.fixture(scope="module")
def room(tiny: Model) -> int:
    return room_for_one(tiny)


class Start:
    """The start of a model's worker, which waits for the test's word."""

    def __init__(self, router: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = threading.Event()
        self.began = threading.Event()
        recipe = router._registry._entries[name].recipe
        original = recipe.start

        def start(make_room: Any) -> Any:
            self.began.set()
            assert self.goes_on.wait(30)
            return original(make_room)

        monkeypatch.setattr(recipe, "start", start)


def load_two(router: Router, tiny: Model, **first: Any) -> None:
    router.load("first", tiny.path, checksum=tiny.checksum, **first)
    router.load("second", tiny.path, checksum=tiny.checksum, **first)
    assert [info.state for info in router.models()] == ["resting", "ready"]


async def load_two_there(router: AsyncRouter, tiny: Model, **options: Any) -> None:
    for name in ("first", "second"):
        await router.load(name, tiny.path, checksum=tiny.checksum, **options)
    assert [info.state for info in await router.models()] == ["resting", "ready"]


@pytest.fixture
def resting(tiny: Model, room: int) -> Iterator[Router]:
    """A Router whose first model rests."""
    with Router(settings(total_memory=room)) as router:
        load_two(router, tiny)
        yield router


@pytest.mark.asyncio
async def test_an_event_loop_hears_when_time_is_over_and_not_when_the_start_is(
    tiny: Model, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncRouter(settings(total_memory=room)) as router:
        await load_two_there(router, tiny)
        start = Start(router, "first", monkeypatch)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(RequestError) as caught:
                    await router.complete("x", model="first", timeout="50ms")
            assert caught.value.code == "request.deadline"
            assert start.began.is_set()
        finally:
            start.goes_on.set()
        assert (await router.complete("x", model="first", max_tokens=1)).completion_tokens == 1


@pytest.mark.asyncio
async def test_many_that_wait_for_a_start_take_no_threads(
    tiny: Model, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncRouter(settings(total_memory=room)) as router:
        await load_two_there(router, tiny)
        start = Start(router, "first", monkeypatch)
        try:
            before = threading.active_count()
            tasks = [
                asyncio.create_task(router.complete("x", model="first", timeout="300ms")) for _ in range(100)
            ]
            assert await asyncio.to_thread(start.began.wait, 30)
            assert threading.active_count() <= before + 2  # one waits here, and one starts the model
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {getattr(end, "code", end) for end in ends} == {"request.deadline"}
        finally:
            start.goes_on.set()


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["publish", "embed"])
async def test_time_is_over_though_every_thread_of_the_loop_is_taken(
    method: str, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"embeddings": "mean"} if method == "embed" else {}
    async with AsyncRouter(settings(total_memory=room_for_one(tiny, **options))) as router:
        await load_two_there(router, tiny, **options)
        start = Start(router, "first", monkeypatch)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        taken = loop.run_in_executor(None, start.goes_on.wait)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(RequestError) as caught:
                    await getattr(router, method)("hello", model="first", timeout="50ms")
            assert caught.value.code == "request.deadline"
        finally:
            start.goes_on.set()
            await taken


def test_tokenizing_waits_no_longer_than_a_request_may(
    tiny: Model, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Router(settings(timeout="1s", total_memory=room)) as router:
        load_two(router, tiny)
        start = Start(router, "first", monkeypatch)
        try:
            with pytest.raises(RequestError) as caught:
                router.tokenize("x", model="first")
            assert caught.value.code == "request.deadline"
        finally:
            start.goes_on.set()
        assert router.tokenize("x", model="first")


def test_a_start_and_the_tokenizing_after_it_share_the_time(
    resting: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = hear_timeouts(monkeypatch, "tokenize")
    start = Start(resting, "first", monkeypatch)
    threading.Timer(0.1, start.goes_on.set).start()
    assert resting.tokenize("x", model="first")
    assert resting.tokenize("x", model="first")
    waited, whole = heard
    assert waited <= 59.9
    assert whole == 60


@pytest.mark.parametrize("timeout", ["61s", 0, "soon"])
def test_what_no_timeout_may_be_starts_nothing(timeout: Any, tiny: Model, room: int) -> None:
    with Router(settings(total_memory=room)) as router:
        load_two(router, tiny)
        for ask in (router.complete, router.publish):
            with pytest.raises(OptionError, match="timeout must be"):
                ask("x", model="first", timeout=timeout)
        with pytest.raises(OptionError, match="timeout must be"):
            router.stream("x", model="first", timeout=timeout)
        assert [info.state for info in router.models()] == ["resting", "ready"]


def test_a_batch_hears_when_the_time_of_its_requests_is_over(
    resting: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start(resting, "first", monkeypatch)
    try:
        with ThreadPoolExecutor(1) as threads:
            batch = threads.submit(resting.generate_batch, ["x", "y"], model="first", timeout="50ms")
            results = batch.result(20)
        assert [getattr(result, "code", result) for result in results] == ["request.deadline"] * 2
    finally:
        start.goes_on.set()
    (answer,) = resting.generate_batch(["x"], model="first", raw=True, max_tokens=1)
    assert isinstance(answer, Completion)


@pytest.mark.asyncio
async def test_the_errors_of_late_requests_hold_no_model(
    tiny: Model, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncRouter(settings(total_memory=room)) as router:
        await load_two_there(router, tiny)
        start = Start(router, "first", monkeypatch)
        try:
            late = await router.generate_batch(["x", "y"], model="first", timeout="50ms")
            with pytest.raises(RequestError) as caught:
                await router.complete("x", model="first", timeout="50ms")
            stream = router.stream("x", raw=True, model="first")
            stream.cancel()
        finally:
            start.goes_on.set()
        assert [getattr(result, "code", result) for result in late] == ["request.deadline"] * 2
        assert caught.value.code == "request.deadline"
        assert (await stream.read()).finish_reason == "cancelled"
        # All three are kept, and the model makes room for the other.
        assert (await router.complete("x", model="second", max_tokens=1)).completion_tokens == 1


def test_a_start_for_which_there_is_no_thread_may_be_asked_for_again(
    resting: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("strongroom-wake"):
            raise RuntimeError("can't start new thread")
        original(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for ask in (resting.complete, resting.tokenize):
            with pytest.raises(RequestError) as caught:
                ask("x", model="first")
            assert caught.value.code == "request.no_resources"
    assert resting.complete("x", model="first", max_tokens=1).completion_tokens == 1


def test_a_start_that_fails_at_its_end_may_be_asked_for_again(
    resting: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(registry, "read_again", fail)
        with pytest.raises(MemoryError):
            resting.complete("x", model="first")
    assert [info.state for info in resting.models()] == ["resting", "resting"]
    assert resting.complete("x", model="first", max_tokens=1).completion_tokens == 1


def test_what_was_cancelled_meanwhile_is_not_asked(resting: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start(resting, "first", monkeypatch)
    heard = hear_timeouts(monkeypatch, "generate")
    try:
        with resting.stream("x", raw=True, model="first"):
            assert start.began.wait(30)
        cancelled = resting.stream("x", raw=True, model="first")
        cancelled.cancel()
    finally:
        start.goes_on.set()
    assert cancelled.read().finish_reason == "cancelled"
    assert resting.complete("x", model="first", max_tokens=1).completion_tokens == 1
    assert len(heard) == 1


def hear_timeouts(monkeypatch: pytest.MonkeyPatch, method: str) -> list[Any]:
    """Note the timeouts that a backend's method is given."""
    heard: list[Any] = []
    original = getattr(Local, method)

    def listening(self: Local, *asked: Any, **options: Any) -> Any:
        heard.append(asked[-1])
        return original(self, *asked, **options)

    monkeypatch.setattr(Local, method, listening)
    return heard


def test_what_is_published_has_what_the_start_left_of_its_time(
    resting: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = hear_timeouts(monkeypatch, "publish")
    assert resting.publish("hello world, the sky is blue because of it", model="first", timeout="20s") > 0
    assert resting.publish("hello world, the sky is blue because of it", model="first", timeout="20s") > 0
    waited, whole = heard
    assert 0 < waited < 20
    assert whole == 20


def test_the_first_texts_have_what_the_start_left_of_their_time(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Router(settings(total_memory=room_for_one(tiny, embeddings="mean"))) as router:
        load_two(router, tiny, embeddings="mean")
        heard = hear_timeouts(monkeypatch, "embed")
        assert router.embed(["hello"] * 2, model="first", timeout="20s").shape[0] == 2
        assert router.embed(["hello"] * 2, model="first", timeout="20s").shape[0] == 2
        waited, whole = heard
        assert 0 < waited < 20
        assert whole == 20


@pytest.mark.parametrize(("method", "options"), [("publish", {}), ("embed", {"embeddings": "mean"})])
def test_a_start_that_takes_all_of_the_time_is_late(
    method: str, options: dict[str, Any], tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Router(settings(total_memory=room_for_one(tiny, **options))) as router:
        load_two(router, tiny, **options)
        heard = hear_timeouts(monkeypatch, method)
        start = Start(router, "first", monkeypatch)
        try:
            with pytest.raises(RequestError) as caught:
                getattr(router, method)("hello", model="first", timeout="50ms")
            assert caught.value.code == "request.deadline"
        finally:
            start.goes_on.set()
        assert heard == []
