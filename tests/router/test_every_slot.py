"""Every slot of a worker at once: cancelled together, killed together, and read by nobody."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from strongroom import (
    AsyncRouter,
    AsyncStream,
    Completion,
    Limits,
    RequestError,
    Router,
    Settings,
    Stream,
    WorkerError,
)
from tests.conftest import Model, settings
from tests.processes import eventually, gone

SLOTS = 16
WAITING = 4
ON = {2: -100.0}
"""Keeps the tiny model from ending its answer."""


def full() -> Settings:
    """Sixteen at once and four that wait: one more is refused."""
    return Settings(
        security=settings().security,
        limits=Limits(
            max_concurrent=SLOTS, concurrent_requests=SLOTS + WAITING, piece_interval=0, prefix_cache=0
        ),
    )


@pytest.fixture
def router(tiny: Model) -> Iterator[Router]:
    with Router(full()) as router:
        assert router.load("tiny", tiny.path, checksum=tiny.checksum).max_concurrent == SLOTS
        yield router


def long(router: Router, count: int) -> list[Stream]:
    return [router.stream("the", raw=True, logit_bias=ON) for _ in range(count)]


def stopped(pid: int) -> None:
    """Stop a worker, so that no answer ends while something is done to all."""
    os.kill(pid, signal.SIGSTOP)


def assert_cancelled(results: list[Completion], context: int) -> None:
    assert [result.finish_reason for result in results] == ["cancelled"] * len(results)
    # What had begun had said something, and none of it everything.
    assert all(0 < result.completion_tokens < context // 2 for result in results[:SLOTS])
    assert [result.completion_tokens for result in results[SLOTS:]] == [0] * WAITING


@pytest.mark.parametrize("round_", range(3))
def test_all_are_cancelled_at_once(router: Router, round_: int) -> None:  # noqa: ARG001 - again is the point
    [before] = router.models()
    streams = long(router, SLOTS + WAITING)
    for stream in streams[:SLOTS]:
        next(stream)
    stopped(before.pid)
    for stream in streams:
        stream.cancel()
    os.kill(before.pid, signal.SIGCONT)
    assert_cancelled([stream.read() for stream in streams], before.context_length)
    # All slots and all places are free again, of the same worker.
    again = [router.stream("the", raw=True, max_tokens=3, logit_bias=ON) for _ in range(SLOTS + WAITING)]
    assert [stream.read().completion_tokens for stream in again] == [3] * (SLOTS + WAITING)
    [after] = router.models()
    assert (after.pid, after.restarts) == (before.pid, 0)


@pytest.mark.asyncio
async def test_the_same_for_an_event_loop(tiny: Model) -> None:
    async with AsyncRouter(full()) as router:
        before = await router.load("tiny", tiny.path, checksum=tiny.checksum)
        streams = [router.stream("the", raw=True, logit_bias=ON) for _ in range(SLOTS + WAITING)]
        await asyncio.gather(*(anext(stream) for stream in streams[:SLOTS]))
        stopped(before.pid)
        for stream in streams:
            stream.cancel()
        os.kill(before.pid, signal.SIGCONT)
        results = await asyncio.gather(*(stream.read() for stream in streams))
        assert_cancelled(results, before.context_length)
        [after] = await router.models()
        assert (after.pid, after.restarts) == (before.pid, 0)


@pytest.mark.asyncio
async def test_all_tasks_are_cancelled_at_once(tiny: Model) -> None:
    async with AsyncRouter(full()) as router:
        before = await router.load("tiny", tiny.path, checksum=tiny.checksum)

        async def read(stream: AsyncStream, begun: asyncio.Event) -> None:
            async for _ in stream:
                begun.set()

        events = [asyncio.Event() for _ in range(SLOTS)]
        tasks = [
            asyncio.create_task(read(router.stream("the", raw=True, logit_bias=ON), event))
            for event in events
        ]
        for event in events:
            await event.wait()
        stopped(before.pid)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        # Nobody waits any more: the places are free, though no worker knows yet, and tracebacks are kept.
        streams = [
            router.stream("the", raw=True, max_tokens=3, logit_bias=ON) for _ in range(SLOTS + WAITING)
        ]
        os.kill(before.pid, signal.SIGCONT)
        answers = await asyncio.gather(*(stream.read() for stream in streams))
        assert [answer.completion_tokens for answer in answers] == [3] * (SLOTS + WAITING)
        [after] = await router.models()
        assert (after.pid, after.restarts) == (before.pid, 0)
        del results


def failure(read: Callable[[], object]) -> str | None:
    try:
        read()
    except WorkerError as error:
        return error.code
    return None


def test_a_worker_killed_at_sixteen_streams_fails_these_alone(
    router: Router, record_property: Callable[[str, object], None]
) -> None:
    [before] = router.models()
    begun = long(router, SLOTS)
    for stream in begun:
        next(stream)
    stopped(before.pid)  # no slot gets free for those that wait
    waiting = [router.stream("the", raw=True, max_tokens=3, logit_bias=ON) for _ in range(WAITING)]
    killed = time.monotonic()
    os.kill(before.pid, signal.SIGKILL)
    assert [failure(stream.read) for stream in begun] == ["worker.killed"] * SLOTS
    assert router.chat("Hello", max_tokens=3, logit_bias=ON).completion_tokens == 3
    seconds = time.monotonic() - killed
    record_property("seconds_to_the_next_answer", seconds)
    assert seconds < 10
    # What had not begun is asked again of the next worker.
    assert [stream.read().completion_tokens for stream in waiting] == [3] * WAITING
    [after] = router.models()
    assert (after.restarts, after.failure) == (1, None)
    assert gone(before.pid)
    # A failed stream has failed once, and then is over.
    assert [next(stream, None) for stream in begun] == [None] * SLOTS


@pytest.mark.asyncio
async def test_an_event_loop_hears_of_the_death_at_every_stream(tiny: Model) -> None:
    async with AsyncRouter(full()) as router:
        before = await router.load("tiny", tiny.path, checksum=tiny.checksum)
        streams = [router.stream("the", raw=True, logit_bias=ON) for _ in range(SLOTS)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        stopped(before.pid)
        reads = [asyncio.create_task(stream.read()) for stream in streams]
        await asyncio.sleep(0)
        os.kill(before.pid, signal.SIGKILL)
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [getattr(result, "code", result) for result in results] == ["worker.killed"] * SLOTS
        assert (await router.chat("Hello", max_tokens=3, logit_bias=ON)).completion_tokens == 3


def test_clients_that_never_read_hold_nobody_up(router: Router) -> None:
    asked = {"max_tokens": 40, "temperature": 0, "logit_bias": ON}
    expected = router.complete("the", max_tokens=40, temperature=0, logit_bias=ON).text
    unread = [router.stream("the", raw=True, **asked) for _ in range(SLOTS + WAITING)]  # type: ignore[arg-type]

    def served() -> bool:
        try:
            return router.complete("the", max_tokens=3, logit_bias=ON).completion_tokens == 3
        except RequestError:  # busy: nothing else is raised before a worker is asked
            return False

    # They took every place; their answers end, and give the places back, though nobody looks at them.
    assert eventually(served)
    assert [router.chat("Hello", max_tokens=3, logit_bias=ON).completion_tokens for _ in range(20)] == [
        3
    ] * 20
    late, *dropped = unread
    unread.clear()
    dropped.clear()
    assert late.read().text == expected
    assert router.models()[0].restarts == 0


def test_clients_that_never_read_nor_end_leave_when_they_are_dropped(router: Router) -> None:
    unread = long(router, SLOTS + WAITING)
    [info] = router.models()
    stopped(info.pid)
    with pytest.raises(RequestError) as caught:
        router.stream("the", raw=True)
    assert caught.value.code == "request.busy"
    unread.clear()
    os.kill(info.pid, signal.SIGCONT)
    assert router.chat("Hello", max_tokens=3, logit_bias=ON).completion_tokens == 3
    assert eventually(lambda: router.models()[0].idle_seconds > 0)
