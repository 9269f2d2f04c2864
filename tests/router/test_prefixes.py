"""What is kept of a tenant's requests: for its next prompts, and for nobody else's."""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from strongroom import AsyncRouter, Limits, Router, Security, Settings
from tests.conftest import Model, settings

LONG = "the quick brown fox jumps over the lazy dog and runs " * 4
SHORTEST = 16
"""Tokens that are worth keeping."""


def keeping(security: dict[str, Any] | None = None, **limits: Any) -> Settings:
    base = settings().security
    limits = {"piece_interval": 0, "prefix_cache": "1MB", **limits}
    return Settings(
        security=Security(sandboxing=base.sandboxing, **(security or {})), limits=Limits(**limits)
    )


@pytest.fixture(scope="module")
def kept(tiny: Model) -> Iterator[Router]:
    with Router(keeping()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        yield router


def cached(router: Router, prompt: str, tenant: str | bytes | None) -> int:
    completion = router.complete(prompt, max_tokens=1, temperature=0, tenant=tenant)
    assert 0 <= completion.cached_tokens < completion.prompt_tokens
    return completion.cached_tokens


def test_a_tenant_s_second_request_goes_on_from_its_first(kept: Router) -> None:
    prompt = "a " + LONG
    first = kept.complete(prompt, max_tokens=4, temperature=0, tenant="first")
    assert first.cached_tokens == 0
    again = kept.complete(prompt, max_tokens=4, temperature=0, tenant="first")
    assert again.cached_tokens == again.prompt_tokens - 1  # the last token is read, for what comes after it
    assert again.text == first.text
    assert cached(kept, prompt + "and on", "first") >= first.prompt_tokens - 1
    # Text and bytes of a name are one tenant.
    assert cached(kept, prompt, b"first") == again.cached_tokens


def test_nobody_goes_on_from_what_is_another_s(kept: Router) -> None:
    prompt = "b " + LONG
    assert cached(kept, prompt, "first") == 0
    for tenant in ("second", None, b"firs", "third"):
        assert cached(kept, prompt, tenant) == 0
    assert cached(kept, prompt, "first") > SHORTEST


def test_without_a_tenant_nothing_is_kept(kept: Router) -> None:
    prompt = "c " + LONG
    assert [cached(kept, prompt, None) for _ in range(3)] == [0, 0, 0]
    assert cached(kept, prompt, "first") == 0


def test_conversations_and_streams_go_on_too(kept: Router) -> None:
    assert kept.chat("d " + LONG, max_tokens=1, tenant="chat").cached_tokens == 0
    stream = kept.stream("d " + LONG, max_tokens=1, tenant="chat")
    assert stream.read().cached_tokens > SHORTEST
    results = kept.generate_batch(["d " + LONG] * 3, max_tokens=1, tenant="chat")
    assert all(getattr(result, "cached_tokens", 0) > SHORTEST for result in results)


@pytest.mark.asyncio
async def test_the_same_for_an_event_loop(tiny: Model) -> None:
    async with AsyncRouter(keeping()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)

        async def one(tenant: str | None) -> int:
            completion = await router.complete(LONG, max_tokens=1, tenant=tenant)
            return completion.cached_tokens

        assert [await one(tenant) for tenant in ("a", "b", None)] == [0, 0, 0]
        again = await asyncio.gather(one("a"), one("b"), one(None), one("c"))
        assert again[0] == again[1] > SHORTEST
        assert (again[2], again[3]) == (0, 0)


@pytest.mark.parametrize("limits", [{"prefix_cache": 0}, {"prefix_cache": 100}])
def test_what_has_no_place_is_not_kept(tiny: Model, limits: dict[str, Any]) -> None:
    with Router(keeping(**limits)) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert [cached(router, LONG, "a") for _ in range(2)] == [0, 0]


def test_of_more_tenants_than_have_a_place_the_first_keep_theirs(tiny: Model) -> None:
    with Router(keeping(prefix_tenants=2)) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert info.prefix_tenants == 2
        for tenant in "abc":
            assert cached(router, LONG, tenant) == 0
        assert [cached(router, LONG, tenant) > 0 for tenant in "abc"] == [True, True, False]


def test_what_is_kept_of_an_idle_tenant_is_given_up(tiny: Model) -> None:
    with Router(keeping(prefix_idle="1s", prefix_tenants=1)) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert [cached(router, LONG, "a") > 0 for _ in range(2)] == [False, True]
        time.sleep(1.5)
        # Its place is another's now.
        assert [cached(router, LONG, tenant) > 0 for tenant in ("b", "b", "a")] == [False, True, False]


def test_separation_switched_off_shares_with_everyone_and_says_so(
    tiny: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with Router(keeping({"separation": "danger-none"})) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert 'separation="danger-none"' in caplog.text
        assert cached(router, LONG, "a") == 0
        assert cached(router, LONG, "b") > SHORTEST
        assert cached(router, LONG, None) > SHORTEST


def test_erasure_switched_off_says_so(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with Router(keeping()) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert not caplog.records
    with Router(keeping({"erasure": "danger-none"})) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert router.complete("a", max_tokens=1).completion_tokens == 1
    assert [record.message for record in caplog.records] == [
        "'tiny' runs with erasure=\"danger-none\": requests leave prompts in memory"
    ]
