"""A model that kills its workers in a row gets no more of them, until an operator releases it."""

import asyncio
import os
import signal

import pytest

from strongroom import AsyncRouter, Router, RouterError, WorkerError
from tests.conftest import Model, settings
from tests.processes import eventually, gone


def kill_in_a_row(router: Router) -> None:
    """Kill three workers of the only model, without an answer in between."""
    for dead in range(3):
        assert eventually(lambda: router.models()[0].restarts == dead)  # noqa: B023 - asked at once
        os.kill(router.models()[0].pid, signal.SIGKILL)
    assert eventually(lambda: router.models()[0].failure is not None)


def test_it_is_shown_and_refuses_until_it_is_released(router: Router) -> None:
    assert router.chat("Hello", max_tokens=1).completion_tokens == 1
    kill_in_a_row(router)
    [info] = router.models()
    assert info.failure is not None
    code, message = info.failure
    assert code == "worker.quarantined"
    assert message.count("SIGKILL") == 3
    assert gone(info.pid)
    for call in (lambda: router.chat("Hello"), lambda: router.tokenize("Hello")):
        with pytest.raises(WorkerError) as caught:
            call()
        assert (caught.value.code, caught.value.message) == info.failure
        assert "router.release(name)" in caught.value.next_step
    assert router.models()[0].restarts == 2
    router.release("tiny")
    assert router.models()[0].failure is None
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3
    [info] = router.models()
    assert (info.restarts, info.failure) == (3, None)
    router.release("tiny")
    assert router.models()[0].pid == info.pid


def test_an_unknown_model_is_not_released(router: Router) -> None:
    with pytest.raises(RouterError) as caught:
        router.release("other")
    assert caught.value.code == "router.unknown_model"


def test_a_quarantined_model_is_unloaded_and_loaded_again(router: Router, tiny: Model) -> None:
    kill_in_a_row(router)
    router.unload("tiny")
    router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert router.chat("Hello", max_tokens=1).completion_tokens == 1


@pytest.mark.asyncio
async def test_an_async_router_releases(tiny: Model) -> None:
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        dead = set()
        while (info := (await router.models())[0]).failure is None:
            if info.pid not in dead:
                os.kill(info.pid, signal.SIGKILL)
                dead.add(info.pid)
            await asyncio.sleep(0.01)
        assert len(dead) == 3
        with pytest.raises(WorkerError) as caught:
            await router.chat("Hello")
        assert caught.value.code == "worker.quarantined"
        await router.release("tiny")
        assert (await router.chat("Hello", max_tokens=3)).completion_tokens == 3
