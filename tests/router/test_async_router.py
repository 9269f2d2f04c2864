import asyncio
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from strongroom import AsyncRouter, RequestError, Router, RouterError
from tests.conftest import Model, settings
from tests.processes import descriptors, eventually, gone
from tests.router.test_deaths import fake

pytestmark = pytest.mark.asyncio

ON = {2: -100.0}


@pytest_asyncio.fixture
async def router(tiny: Model) -> AsyncIterator[AsyncRouter]:
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


async def test_it_answers_what_a_router_answers(router: AsyncRouter, shared: Router) -> None:
    ours = await router.chat("Hello", max_tokens=20, seed=7)
    theirs = shared.chat("Hello", max_tokens=20, seed=7)
    assert ours.text == theirs.text
    assert ours.prompt_tokens == theirs.prompt_tokens
    raw = await router.complete("the", max_tokens=5, temperature=0)
    assert raw.text == shared.complete("the", max_tokens=5, temperature=0).text
    assert await router.tokenize("the sky") == shared.tokenize("the sky")
    [info] = await router.models()
    assert info.name == "tiny"


async def test_streaming(router: AsyncRouter) -> None:
    stream = router.stream([{"role": "user", "content": "Hello"}], max_tokens=50)
    texts = [piece.text async for piece in stream]
    assert "".join(texts) == stream.result.text
    assert stream.result.completion_tokens == 50
    assert [piece async for piece in stream] == []


async def test_streaming_uses_no_thread(router: AsyncRouter) -> None:
    before = threading.active_count()
    async for _ in router.stream("Hello", max_tokens=50):
        assert threading.active_count() == before


async def test_many_streams_share_a_loop(router: AsyncRouter) -> None:
    alone = [(await router.chat("Hello", max_tokens=20, seed=seed)).text for seed in range(8)]
    together = await asyncio.gather(*(router.chat("Hello", max_tokens=20, seed=seed) for seed in range(8)))
    assert [result.text for result in together] == alone


async def test_cancelling_a_task_stops_the_decoding(router: AsyncRouter) -> None:
    began = asyncio.Event()

    async def ask() -> None:
        async for _ in router.stream("the", raw=True, logit_bias=ON):
            began.set()

    tasks = [asyncio.create_task(ask()) for _ in range(20)]
    await began.wait()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    # The one that decoded may have been whole already.
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) >= 19
    assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3


async def test_200_streams_opened_and_dropped(router: AsyncRouter) -> None:
    before = descriptors()
    for _ in range(200):
        async for _piece in router.stream("the", raw=True, logit_bias=ON):
            break
    assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3
    assert (await router.models())[0].restarts == 0
    # The loop's own stays.
    assert descriptors() <= before + 1


async def test_a_stream_closes_and_cancels(router: AsyncRouter) -> None:
    async with router.stream("the", raw=True, logit_bias=ON) as stream:
        await anext(stream)
    assert [piece async for piece in stream] == []
    with pytest.raises(RequestError) as caught:
        _ = stream.result
    assert caught.value.code == "request.unfinished"
    stream = router.stream("the", raw=True, logit_bias=ON)
    stream.cancel()
    assert (await stream.read()).finish_reason in {"cancelled", "length"}


async def test_unloading_ends_a_stream(router: AsyncRouter) -> None:
    stream = router.stream("the", raw=True, logit_bias=ON)
    await router.unload("tiny")
    with pytest.raises(RequestError) as caught:
        await stream.read()
    assert caught.value.code == "request.unloaded"


async def test_a_closed_router(tiny: Model) -> None:
    router = AsyncRouter(settings())
    info = await router.load("tiny", tiny.path, checksum=tiny.checksum)
    await router.close()
    await router.close()
    assert eventually(lambda: gone(info.pid))
    calls: list[Callable[[], Awaitable[object]]] = [
        router.models,
        lambda: router.chat("Hello"),
        lambda: router.complete("Hello"),
        lambda: router.tokenize("Hello"),
        lambda: router.unload("tiny"),
        lambda: router.load("x", tiny.path),
    ]
    for call in calls:
        with pytest.raises(RouterError) as caught:
            await call()
        assert caught.value.code == "router.closed"


async def test_a_load_that_is_cancelled_keeps_nothing(tiny: Model) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncRouter(settings()) as router:
        reading = asyncio.Event()
        go_on = threading.Event()

        def progress(_done: int, _total: int) -> None:
            loop.call_soon_threadsafe(reading.set)
            go_on.wait(60)

        task = asyncio.create_task(router.load("tiny", tiny.path, checksum=tiny.checksum, progress=progress))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        while True:
            try:
                await router.load("tiny", tiny.path, checksum=tiny.checksum)
            except RouterError:  # the name is free when the thread has given up
                await asyncio.sleep(0.01)
            else:
                break
        assert (await router.chat("Hello", max_tokens=1)).completion_tokens == 1


async def test_two_tasks_do_not_read_one_stream(router: AsyncRouter) -> None:
    [info] = await router.models()
    os.kill(info.pid, signal.SIGSTOP)
    stream = router.stream("Hello", max_tokens=5)
    first, second = asyncio.create_task(stream.read()), asyncio.create_task(stream.read())
    with pytest.raises(RequestError) as caught:
        await second
    assert caught.value.code == "request.already_read"
    os.kill(info.pid, signal.SIGCONT)
    assert (await first).completion_tokens == 5


async def test_without_descriptors(router: AsyncRouter) -> None:
    [info] = await router.models()
    os.kill(info.pid, signal.SIGSTOP)
    stream = router.stream("Hello", max_tokens=5)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Above the highest in use: poll(2) refuses more descriptors than the limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(RequestError) as caught:
            await anext(stream)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.kill(info.pid, signal.SIGCONT)
    assert caught.value.code == "request.no_resources"
    assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3


async def test_cancelling_a_load_ends_the_worker_that_starts(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, f"echo $$ > {tmp_path}/started; mv {tmp_path}/started {tmp_path}/pid; exec sleep 600")
    monkeypatch.setattr("strongroom.backends.local.WORKERS", tmp_path)
    pid = tmp_path / "pid"
    async with AsyncRouter(settings()) as router:
        task = asyncio.create_task(router.load("tiny", tiny.path, checksum=tiny.checksum))
        assert await asyncio.to_thread(eventually, pid.exists)
        worker = int(pid.read_text())
        assert not gone(worker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(eventually, lambda: gone(worker))
