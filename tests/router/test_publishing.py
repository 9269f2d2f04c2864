"""Prefixes that the operator declares public: for every tenant, and after a worker's death."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    Limits,
    Message,
    OptionError,
    PrefixError,
    PromptError,
    RequestError,
    Router,
    Settings,
)
from tests.conftest import Model, settings
from tests.processes import eventually, gone

RULES = "you answer in one word and you never say more than you were asked for " * 3
SYSTEM = [Message("system", RULES)]


def public(**limits: Any) -> Settings:
    limits = {"piece_interval": 0, "prefix_cache": "1MB", **limits}
    return Settings(security=settings().security, limits=Limits(**limits))


@pytest.fixture
def publishing(tiny: Model) -> Iterator[Router]:
    with Router(public()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


def cached(router: Router, tenant: str | None, question: str = "and what is it") -> int:
    return router.complete(RULES + question, max_tokens=1, tenant=tenant).cached_tokens


def test_every_tenant_goes_on_from_it_and_nobody_too(publishing: Router) -> None:
    assert cached(publishing, "first") == 0
    tokens = publishing.publish(RULES)
    assert tokens == len(publishing.tokenize(RULES))
    for tenant in ("second", "third", None):
        # The last token of a prefix may be one with what follows it.
        assert tokens - 2 <= cached(publishing, tenant) <= tokens
    assert publishing.publish(RULES) == tokens


def test_a_conversation_s_beginning(publishing: Router) -> None:
    tokens = publishing.publish(SYSTEM)
    answer = publishing.chat([*SYSTEM, {"role": "user", "content": "Hello"}], max_tokens=1, tenant="b")
    assert 16 <= answer.cached_tokens <= tokens
    assert answer.cached_tokens < answer.prompt_tokens


def test_it_is_read_again_by_the_worker_after_this_one(publishing: Router) -> None:
    tokens = publishing.publish(RULES)
    [info] = publishing.models()
    os.kill(info.pid, signal.SIGKILL)
    assert eventually(lambda: gone(info.pid))
    assert eventually(lambda: publishing.models()[0].restarts == 1)
    # The new worker may begin with a request before it has read the prefix again.
    assert eventually(lambda: tokens - 2 <= cached(publishing, None) <= tokens)
    assert tokens - 2 <= cached(publishing, "second") <= tokens
    assert publishing.models()[0].pid != info.pid


def test_it_is_read_again_after_a_rest(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    limits = {"prefix_tenants": 1, "max_concurrent": 1}
    with Router(public(**limits)) as router:
        takes = router.load("t", tiny.path, checksum=tiny.checksum).memory
    with Router(public(total_memory=takes.total + takes.weights // 2, **limits)) as router:
        router.load("first", tiny.path, checksum=tiny.checksum)
        tokens = router.publish(RULES, model="first")
        router.load("second", tiny.path, checksum=tiny.checksum)
        assert [info.state for info in router.models()] == ["resting", "ready"]
        answer = router.complete(RULES + "and", model="first", max_tokens=1)
        assert tokens - 2 <= answer.cached_tokens <= tokens
        assert [info.state for info in router.models()] == ["ready", "resting"]
        # To publish for one that rests starts it, too.
        assert router.publish(RULES, model="second") == tokens
        assert router.complete(RULES + "and", model="second", max_tokens=1).cached_tokens >= tokens - 2
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.asyncio
async def test_the_same_for_an_event_loop(tiny: Model) -> None:
    async with AsyncRouter(public()) as router:
        info = await router.load("tiny", tiny.path, checksum=tiny.checksum)
        tokens = await router.publish(RULES)
        answer = await router.complete(RULES + "and", max_tokens=1, tenant="b")
        assert tokens - 2 <= answer.cached_tokens <= tokens
        os.kill(info.pid, signal.SIGKILL)
        assert eventually(lambda: gone(info.pid))
        assert eventually(lambda: router._registry.models()[0].restarts == 1)
        for _ in range(100):
            answer = await router.complete(RULES + "and", max_tokens=1)
            if answer.cached_tokens:
                break
            await asyncio.sleep(0.02)
        assert tokens - 2 <= answer.cached_tokens <= tokens
        for number in range(15):
            await router.publish(f"{number} are {number}")
        with pytest.raises(PrefixError):
            await router.publish(f"15 are 15 {RULES}")


@pytest.mark.parametrize("limits", [{"prefix_cache": 0}, {"prefix_cache": 1000}])
def test_without_a_place_it_is_refused(tiny: Model, limits: dict[str, Any]) -> None:
    with Router(public(**limits)) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        with pytest.raises(PrefixError, match="no room") as caught:
            router.publish(RULES)
        assert caught.value.code == "prefix.no_room"
        assert "fewer or shorter" in caught.value.next_step
        assert router.complete(RULES, max_tokens=1).completion_tokens == 1


@pytest.mark.parametrize("prompt", ["", [], [{"role": "system", "content": " "}], 5, None, "secret\ud800"])
def test_what_is_no_prefix(publishing: Router, prompt: Any) -> None:
    with pytest.raises(PromptError) as caught:
        publishing.publish(prompt)
    assert "secret" not in f"{caught.value!s}{caught.value!r}"


def test_its_time(publishing: Router) -> None:
    with pytest.raises(RequestError) as caught:
        publishing.publish(RULES * 10, timeout="1ms")
    assert caught.value.code == "request.deadline"
    assert cached(publishing, None) == 0
    with pytest.raises(OptionError, match="timeout must be at most 60s"):
        publishing.publish(RULES, timeout=61)
