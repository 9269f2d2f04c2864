"""A wall clock that jumps changes nothing for requests: what takes time is measured by the steady one."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from strongroom import AsyncRouter, RequestError, Router
from tests.conftest import ROOT, Model, settings

YEARS = 10 * 365 * 86_400
ON = {2: -100.0}
"""Keeps the tiny model from ending its answer."""


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the wall clock on, or back, by so many seconds."""
    by = 0
    seconds, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: seconds() + by)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + by * 10**9)

    def set_to(jumped: int) -> None:
        nonlocal by
        by = jumped

    yield set_to
    set_to(0)


@pytest.mark.parametrize("years", [YEARS, -YEARS])
def test_requests_go_on_and_time_is_what_has_passed(
    router: Router, jump: Callable[[int], None], years: int
) -> None:
    stream = router.stream("the", raw=True, max_tokens=200, logit_bias=ON, timeout="30s")
    next(stream)
    jump(years)
    result = stream.read()
    assert result.completion_tokens == 200
    assert 0 <= result.timings.queue + result.timings.prompt + result.timings.decode < 30
    assert router.chat("Hello", max_tokens=3, timeout="30s").completion_tokens == 3
    with pytest.raises(RequestError) as caught:
        router.complete("the", logit_bias=ON, timeout=0.001)
    assert caught.value.code == "request.deadline"
    assert 0 <= router.models()[0].idle_seconds < 60


@pytest.mark.asyncio
async def test_the_same_for_an_event_loop(tiny: Model, jump: Callable[[int], None]) -> None:
    async with AsyncRouter(settings()) as router:
        await router.load("tiny", tiny.path, checksum=tiny.checksum)
        stream = router.stream("the", raw=True, max_tokens=200, logit_bias=ON, timeout="30s")
        await anext(stream)
        jump(YEARS)
        assert (await stream.read()).completion_tokens == 200
        jump(-YEARS)
        assert (await router.chat("Hello", max_tokens=3, timeout="30s")).completion_tokens == 3


def test_nothing_that_serves_requests_reads_the_wall_clock() -> None:
    """What can't be set on here: the core's and the worker's. Their sources name the steady clock alone."""
    python = [ROOT / "python/strongroom" / room for room in ("router", "backends")]
    rust = [ROOT / "rust" / room / "src" for room in ("host", "worker", "engine", "protocol")]
    sources = [path for room in python for path in room.rglob("*.py")]
    sources += [path for room in rust for path in room.rglob("*.rs")]
    assert len(sources) > 50
    wall = re.compile(
        r"\btime\.(time|time_ns|localtime|gmtime)\b|\bdatetime\b|SystemTime|UNIX_EPOCH|CLOCK_REALTIME"
    )
    assert [path.name for path in sources if wall.search(path.read_text())] == []
    assert any("Instant::now" in path.read_text() for path in sources)
