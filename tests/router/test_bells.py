"""An event loop is woken once for all streams that got something, whatever becomes of loops and Routers."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from strongroom import AsyncRouter, AsyncStream, Limits, RequestError, Security, Settings
from strongroom.router.bells import Watch
from tests.conftest import ROOT, Model, settings
from tests.processes import descriptors, eventually

ON = {2: -100.0}
STREAMS = 16
STEPS = 50
PROMPT = f"steps {STEPS} {STREAMS} 2000"


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the worker of the core's tests, which decodes sixteen streams step by step."""
    built = ROOT / "target/debug/strongroom-worker-fake"
    if not built.is_file():
        command = ["cargo", "build", "--quiet", "--locked", "-p", "strongroom-host", "--bin", built.name]
        subprocess.run(command, cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("scripted")
    (folder / "strongroom-worker-avx2").symlink_to(built)
    return folder


@pytest_asyncio.fixture
async def stepping(
    tiny: Model, scripted: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncRouter]:
    """A Router whose worker is a script, and makes no sandbox."""
    monkeypatch.setattr("strongroom.backends.local.WORKERS", scripted)
    plain = Settings(
        security=Security(isolation="danger-none"),
        limits=Limits(concurrent_requests=64, piece_interval=0),
    )
    async with AsyncRouter(plain) as router:
        await router.load("steps", tiny.path, checksum=tiny.checksum)
        yield router


@pytest_asyncio.fixture
async def router(tiny: Model) -> AsyncIterator[AsyncRouter]:
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """Who was woken, once for each time."""
    woken: list[Watch] = []
    original = Watch._dispatch

    def counted(watch: Watch) -> None:
        woken.append(watch)
        original(watch)

    monkeypatch.setattr(Watch, "_dispatch", counted)
    return woken


@pytest.mark.asyncio
async def test_a_step_wakes_the_loop_once(stepping: AsyncRouter, dispatched: list[Watch]) -> None:
    results = await asyncio.gather(*(stepping.stream(PROMPT, raw=True).read() for _ in range(STREAMS)))
    assert {result.text for result in results} == {"word " * STEPS}
    assert len(set(dispatched)) == 1
    # One for each step, and a few for the beginnings, which come as the requests do.
    assert len(dispatched) <= STEPS + 24


@pytest.mark.asyncio
async def test_a_stream_that_is_not_read_holds_no_other_up(stepping: AsyncRouter) -> None:
    slow, *others = [stepping.stream(PROMPT, raw=True) for _ in range(STREAMS)]
    results = await asyncio.gather(*(stream.read() for stream in others))
    assert {result.completion_tokens for result in results} == {STEPS}
    pieces = [piece async for piece in slow]
    # What it didn't read became one piece.
    assert len(pieces) <= 2
    assert "".join(piece.text for piece in pieces) == slow.result.text == "word " * STEPS
    assert slow.result.completion_tokens == STEPS


@pytest.mark.asyncio
async def test_all_streams_of_a_loop_share_a_descriptor(router: AsyncRouter) -> None:
    [info] = await router.models()
    before = descriptors()
    os.kill(info.pid, signal.SIGSTOP)
    tasks = [asyncio.create_task(router.chat("Hello", max_tokens=3)) for _ in range(50)]
    await asyncio.sleep(0.1)
    assert descriptors() <= before + 1
    os.kill(info.pid, signal.SIGCONT)
    results = await asyncio.gather(*tasks)
    assert {result.completion_tokens for result in results} == {3}


@pytest.mark.asyncio
async def test_loops_in_other_threads_have_bells_of_their_own(router: AsyncRouter) -> None:
    async def ask() -> set[int]:
        results = await asyncio.gather(*(router.chat("Hello", max_tokens=20) for _ in range(4)))
        return {result.completion_tokens for result in results}

    found: list[set[int]] = []
    threads = [threading.Thread(target=lambda: found.append(asyncio.run(ask()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    found.append(await ask())
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert found == [{20}] * 4


def test_a_stream_goes_on_in_another_loop(tiny: Model) -> None:
    router = AsyncRouter(settings())

    async def begin() -> AsyncStream:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        stream = router.stream("the", raw=True, logit_bias=ON)
        await anext(stream)
        return stream

    async def end(stream: AsyncStream) -> int:
        result = await stream.read()
        await router.close()
        return result.completion_tokens

    stream = asyncio.run(begin())
    assert asyncio.run(end(stream)) > 2


def test_loops_that_are_closed_under_their_tasks_leave_nothing(tiny: Model) -> None:
    router = AsyncRouter(settings())
    info = asyncio.run(router.load("tiny", tiny.path, checksum=tiny.checksum))

    def life() -> None:
        os.kill(info.pid, signal.SIGSTOP)
        loop = asyncio.new_event_loop()
        task = loop.create_task(router.stream("Hello", max_tokens=3).read())
        loop.run_until_complete(asyncio.sleep(0.01))
        assert not task.done()
        loop.close()
        os.kill(info.pid, signal.SIGCONT)
        assert asyncio.run(router.chat("Hello", max_tokens=3)).completion_tokens == 3

    life()
    gc.collect()
    before = descriptors()
    for _ in range(10):
        life()
    gc.collect()
    assert descriptors() <= before
    asyncio.run(router.close())


async def closed_under_its_streams(tiny: Model) -> list[object]:
    """Close a Router whose streams wait, some of them in another loop; what they end with."""
    router = AsyncRouter(settings())
    info = await router.load("tiny", tiny.path, checksum=tiny.checksum)
    os.kill(info.pid, signal.SIGSTOP)
    tasks = [asyncio.create_task(router.chat("Hello", max_tokens=3)) for _ in range(5)]
    ends: list[object] = []

    def in_another_loop() -> None:
        try:
            asyncio.run(router.stream("Hello").read())
        except RequestError as error:
            ends.append(error.code)

    thread = threading.Thread(target=in_another_loop)
    thread.start()
    await asyncio.sleep(0.2)
    await router.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    ends += [getattr(result, "code", None) for result in results]
    await asyncio.to_thread(thread.join)
    return ends


@pytest.mark.asyncio
async def test_closing_ends_whoever_waits_and_leaves_nothing(tiny: Model) -> None:
    gc.collect()
    before = descriptors()
    assert await closed_under_its_streams(tiny) == ["request.unloaded"] * 6
    await asyncio.sleep(0)
    gc.collect()
    assert descriptors() <= before


@pytest.mark.asyncio
async def test_a_router_that_nobody_closed_leaves_the_loop(tiny: Model) -> None:
    async def life() -> None:
        router = AsyncRouter(settings())
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3

    await life()
    gc.collect()
    await asyncio.sleep(0)
    before = descriptors()
    for _ in range(3):
        await life()
        gc.collect()
        await asyncio.sleep(0)
    # A worker's end may take its moment.
    assert await asyncio.to_thread(eventually, lambda: descriptors() <= before)
    # What it had been watching under is free for another.
    await life()


FORKED = """
import asyncio, os, signal, sys
from strongroom import AsyncRouter, RouterError
from tests.conftest import settings


async def main():
    router = AsyncRouter(settings())
    info = await router.load("tiny", sys.argv[1], checksum=sys.argv[2])
    assert (await router.chat("Hello", max_tokens=1)).completion_tokens == 1
    stream = router.stream("Hello", max_tokens=3)
    os.kill(info.pid, signal.SIGSTOP)
    waits = asyncio.create_task(router.chat("Hello", max_tokens=2))
    await asyncio.sleep(0.1)
    child = os.fork()
    if child == 0:
        try:
            await anext(stream)
        except RouterError as error:
            print(error.code, flush=True)
        router._bells.close()
        del stream, router
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.kill(info.pid, signal.SIGCONT)
    print((await waits).completion_tokens, (await stream.read()).completion_tokens)
    await router.close()


asyncio.run(main())
"""


def test_a_forked_child_takes_nothing_from_its_parents_loop(tiny: Model) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKED, tiny.path, tiny.checksum],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.stdout.split() == ["router.forked", "2", "3"], run.stderr


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_while_it_waits_is_forgotten(router: AsyncRouter) -> None:
    [info] = await router.models()
    os.kill(info.pid, signal.SIGSTOP)
    task = asyncio.create_task(router.chat("Hello", max_tokens=3))
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    [watch] = router._bells._watches.values()
    assert watch._waiting == {}
    os.kill(info.pid, signal.SIGCONT)
    assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3
