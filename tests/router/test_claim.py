"""Whose a request is, and how urgent: names, what one tenant may have, and that nothing shows them."""

import logging
import os
import signal
import threading
from typing import Any

import pytest

from strongroom import AsyncRouter, Limits, OptionError, RequestError, Router, Settings
from tests.conftest import Model, settings


@pytest.mark.parametrize(
    "tenant", ["a", "zoë", "x" * 256, b"a", bytes(range(256)), b"\0", b"\xff\xfe", "\N{SNOWMAN}" * 85]
)
def test_names(shared: Router, tenant: str | bytes) -> None:
    assert shared.chat("Hello", max_tokens=1, tenant=tenant).completion_tokens == 1
    assert shared.complete("the", max_tokens=1, tenant=tenant).completion_tokens == 1
    assert shared.stream("Hello", max_tokens=1, tenant=tenant).read().completion_tokens == 1


@pytest.mark.parametrize(
    ("tenant", "code"),
    [
        ("", "option.out_of_range"),
        (b"", "option.out_of_range"),
        ("secret" * 43, "option.out_of_range"),
        ("\N{SNOWMAN}" * 86, "option.out_of_range"),
        (b"secret" * 10**6, "option.out_of_range"),
        ("secret\ud800", "option.out_of_range"),
        (7, "option.wrong_type"),
        (["secret"], "option.wrong_type"),
        (bytearray(b"secret"), "option.wrong_type"),
        (True, "option.wrong_type"),
    ],
)
def test_what_is_no_name(shared: Router, tenant: Any, code: str) -> None:
    with pytest.raises(OptionError, match="tenant must") as caught:
        shared.chat("Hello", tenant=tenant)
    assert caught.value.code == code
    assert "secret" not in f"{caught.value!s}{caught.value!r}{caught.value.__context__!r}"


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
def test_priorities(shared: Router, priority: Any) -> None:
    assert shared.chat("Hello", max_tokens=1, priority=priority).completion_tokens == 1


@pytest.mark.parametrize(
    ("priority", "code"),
    [
        ("secret", "option.out_of_range"),
        ("HIGH", "option.out_of_range"),
        ("", "option.out_of_range"),
        (1, "option.wrong_type"),
        (None, "option.wrong_type"),
        (["secret"], "option.wrong_type"),
    ],
)
def test_what_is_no_priority(shared: Router, priority: Any, code: str) -> None:
    with pytest.raises(OptionError, match="priority must") as caught:
        shared.complete("the", priority=priority)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def bounded() -> Settings:
    """Three requests at once, two of them for one tenant."""
    return Settings(security=settings().security, limits=Limits(concurrent_requests=3, tenant_requests=2))


def test_a_greedy_tenant_leaves_a_place_for_others(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Router(bounded()) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        os.kill(info.pid, signal.SIGSTOP)
        # Text and its UTF-8 are one name.
        greedy = [router.stream("the", raw=True, max_tokens=3, tenant=name) for name in ("hog", b"hog")]
        with pytest.raises(RequestError) as caught:
            router.stream("the", raw=True, tenant="hog")
        assert caught.value.code == "request.tenant_busy"
        assert "tenant_requests" in caught.value.message
        assert "try again" in caught.value.next_step
        other = router.stream("the", raw=True, max_tokens=3, tenant="other")
        with pytest.raises(RequestError) as caught:
            router.stream("the", raw=True)
        assert caught.value.code == "request.busy"
        assert "concurrent_requests" in caught.value.message
        assert "try again" in caught.value.next_step
        os.kill(info.pid, signal.SIGCONT)
        for stream in (*greedy, other):
            assert stream.read().completion_tokens == 3
        shown = f"{greedy!r} {other!r} {router!r} {caught.value!r} {caplog.text}"
        assert "hog" not in shown
        assert router.chat("Hello", max_tokens=1, tenant="hog").completion_tokens == 1


@pytest.mark.asyncio
async def test_the_same_for_an_event_loop(tiny: Model) -> None:
    async with AsyncRouter(bounded()) as router:
        info = await router.load("tiny", tiny.path, checksum=tiny.checksum)
        os.kill(info.pid, signal.SIGSTOP)
        held = [router.stream("Hello", max_tokens=1, tenant=b"\xff") for _ in range(2)]
        with pytest.raises(RequestError) as caught:
            await router.chat("Hello", tenant=b"\xff")
        assert caught.value.code == "request.tenant_busy"
        # A place is free again as soon as nobody reads.
        await held.pop().close()
        again = router.stream("Hello", max_tokens=1, tenant=b"\xff")
        os.kill(info.pid, signal.SIGCONT)
        for stream in (*held, again):
            assert (await stream.read()).completion_tokens == 1


def test_a_request_of_nobodys_counts_among_all_alone(tiny: Model) -> None:
    with Router(bounded()) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        os.kill(info.pid, signal.SIGSTOP)
        held = [router.stream("the", raw=True, max_tokens=1) for _ in range(3)]
        with pytest.raises(RequestError, match="concurrent_requests"):
            router.stream("the", raw=True)
        os.kill(info.pid, signal.SIGCONT)
        assert [stream.read().completion_tokens for stream in held] == [1, 1, 1]


def test_a_batch_is_its_tenant_s(tiny: Model) -> None:
    limits = Limits(concurrent_requests=4, tenant_requests=2)
    with Router(Settings(security=settings().security, limits=limits)) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        os.kill(info.pid, signal.SIGSTOP)
        held = [router.stream("the", raw=True, max_tokens=1, tenant="hog") for _ in range(2)]
        goes_on = threading.Timer(0.3, os.kill, (info.pid, signal.SIGCONT))
        goes_on.start()
        # Four at once, of which the tenant may have two: the rest waits, and fails nowhere.
        results = router.generate_batch(["the"] * 6, raw=True, tenant=b"hog", max_tokens=1, priority="low")
        assert [getattr(result, "completion_tokens", result) for result in results] == [1] * 6
        assert [stream.read().completion_tokens for stream in held] == [1, 1]
        with pytest.raises(OptionError, match="tenant must"):
            router.generate_batch([], tenant="")
        with pytest.raises(OptionError, match="priority must"):
            router.generate_batch([], priority="urgent")  # type: ignore[arg-type]
