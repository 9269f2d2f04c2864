"""Several models at once: memory accounted before loading, the longest unused unloaded, never one in use."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    AsyncRouter,
    Limits,
    LoadError,
    OptionError,
    RequestError,
    Router,
    RouterError,
    Sandboxing,
    Security,
    Settings,
    StrongroomError,
)
from strongroom.router import machine
from strongroom.router.leased import Ask, Waking
from strongroom.router.machine import Offer, reserve_of
from strongroom.router.registry import Lease
from tests.conftest import Model
from tests.processes import eventually, gone

ON = {2: -100.0}
"""Keeps the tiny model from ending its answer."""


def settings(**limits: Any) -> Settings:
    limits = {"context_length": 256, "max_concurrent": 1, "piece_interval": 0, "prefix_cache": 0, **limits}
    return Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB", timeout="60s")),
        limits=Limits(**limits),
    )


@pytest.fixture(scope="module")
def takes(tiny: Model) -> Any:
    """What the tiny model is accounted."""
    with Router(settings()) as router:
        return router.load("tiny", tiny.path, checksum=tiny.checksum).memory


@pytest.fixture
def two(tiny: Model, takes: Any) -> Iterator[Router]:
    """A Router in which two workers have place, and no third."""
    with Router(settings(total_memory=2 * takes.total + takes.total // 2)) as router:
        for name in ("first", "second"):
            router.load(name, tiny.path, checksum=tiny.checksum)
        yield router


def states(router: Router) -> dict[str, str]:
    return {info.name: info.state for info in router.models()}


def third(router: Router, tiny: Model, **options: Any) -> None:
    router.load("third", tiny.path, checksum=tiny.checksum, **options)


def test_what_does_not_fit_is_refused_with_the_sum_before_a_worker_starts(tiny: Model, takes: Any) -> None:
    with Router(settings(total_memory=takes.total - 1)) as router:
        with pytest.raises(LoadError) as caught:
            router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert router.models() == []
        error = caught.value
        assert error.code == "load.no_room"
        for part in (takes.total, takes.weights, takes.cache, takes.compute + takes.process):
            assert f"{part / 2**20:.1f} MiB" in error.message
        assert "total_memory" in error.message
        assert "other models take: nothing" in error.message
        assert "total_memory" in error.next_step
        # The name is free again.
        with pytest.raises(LoadError):
            router.load("tiny", tiny.path, checksum=tiny.checksum)


def test_a_file_that_does_not_fit_is_not_even_read(tiny: Model, takes: Any) -> None:
    read = []
    with (
        Router(settings(total_memory=takes.weights - 1)) as router,
        pytest.raises(LoadError, match="of weights\\)"),
    ):
        router.load(
            "tiny", tiny.path, checksum=tiny.checksum, progress=lambda done, _total: read.append(done)
        )
    assert read == []


def test_the_longest_unused_is_unloaded(two: Router, tiny: Model) -> None:
    before = {info.name: info.pid for info in two.models()}
    two.complete("x", model="first", max_tokens=1)
    third(two, tiny)
    assert states(two) == {"first": "ready", "second": "resting", "third": "ready"}
    assert eventually(lambda: gone(before["second"]))


def test_models_say_what_they_take_and_when_they_were_used(two: Router, takes: Any) -> None:
    time.sleep(0.05)
    two.complete("x", model="first", max_tokens=1)
    first, second = two.models()
    assert first.memory == second.memory == takes
    assert first.max_concurrent == 1
    assert first.idle_seconds < second.idle_seconds
    with two.stream("x", model="second", logit_bias=ON, max_tokens=200) as stream:
        next(stream)
        assert two.models()[1].idle_seconds == 0


def test_one_in_use_is_never_unloaded(two: Router, tiny: Model) -> None:
    with (
        two.stream("x", raw=True, model="first", logit_bias=ON, max_tokens=200) as one,
        two.stream("x", raw=True, model="second", logit_bias=ON, max_tokens=200) as other,
    ):
        next(one)
        next(other)
        with pytest.raises(LoadError) as caught:
            third(two, tiny)
        assert caught.value.code == "load.no_room"
        assert "'first'" in caught.value.message
        assert "'second'" in caught.value.message
        assert one.read().completion_tokens == 200
        assert other.read().completion_tokens == 200
    assert states(two) == {"first": "ready", "second": "ready"}
    third(two, tiny)  # now nobody uses them


@pytest.mark.parametrize("ended", ["read", "cancelled", "dropped", "refused"])
def test_a_request_holds_its_model_until_its_end(two: Router, tiny: Model, ended: str) -> None:
    two.complete("x", model="second", max_tokens=1)
    if ended == "refused":
        with pytest.raises(StrongroomError) as late:
            two.complete("x " * 5000, model="first")
        with pytest.raises(OptionError) as early:
            two.complete("x", model="first", max_tokens=-1)
    else:
        stream = two.stream("x", raw=True, model="first", logit_bias=ON, max_tokens=50)
        next(stream)
        if ended == "read":
            stream.read()
        elif ended == "cancelled":
            stream.cancel()
            stream.read()
        del stream
    two.complete("x", model="second", max_tokens=1)
    third(two, tiny)
    assert states(two)["first"] == "resting"
    if ended == "refused":  # the errors are there still, and hold nothing
        assert late.value.code == "prompt.too_long"
        assert early.value.code == "option.out_of_range"


def test_one_that_is_to_be_kept_is_not_unloaded(tiny: Model, takes: Any) -> None:
    with Router(settings(total_memory=takes.total * 3 // 2)) as router:
        info = router.load("first", tiny.path, checksum=tiny.checksum, keep=True)
        assert info.kept
        with pytest.raises(LoadError):
            third(router, tiny)
        with pytest.raises(OptionError, match="keep must be True or False"):
            third(router, tiny, keep=1)
        assert states(router) == {"first": "ready"}


def test_where_nothing_may_be_unloaded_the_other_is_refused(tiny: Model, takes: Any) -> None:
    with Router(settings(total_memory=takes.total * 3 // 2, unload_idle=False)) as router:
        router.load("first", tiny.path, checksum=tiny.checksum)
        with pytest.raises(LoadError):
            third(router, tiny)
        assert states(router) == {"first": "ready"}


def test_nothing_is_unloaded_for_what_would_not_fit_even_so(two: Router, smol: Model) -> None:
    with pytest.raises(LoadError):
        two.load("smol", smol.path, checksum=smol.checksum)
    assert states(two) == {"first": "ready", "second": "ready"}


def test_the_next_request_starts_it_again_out_of_its_image(
    two: Router, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = two.complete("x", model="first", max_tokens=8, temperature=0).text
    two.complete("x", model="second", max_tokens=1)
    third(two, tiny)
    assert states(two)["first"] == "resting"
    # The worker was most of it: its image was kept, and nothing is read again.
    monkeypatch.setattr("strongroom.router.loading.admit_files", None)
    assert two.complete("x", model="first", max_tokens=8, temperature=0).text == expected
    assert states(two) == {"first": "ready", "second": "resting", "third": "ready"}


@pytest.fixture
def narrow(tiny: Model, tmp_path: Path, takes: Any) -> Iterator[tuple[Router, Path]]:
    """A Router in which one worker has place and no other image; its first model was read from a copy."""
    copy = tmp_path / "model.gguf"
    copy.write_bytes(tiny.path.read_bytes())
    with Router(settings(total_memory=takes.total + takes.weights // 2)) as router:
        router.load("first", copy, checksum=tiny.checksum)
        third(router, tiny)
        assert states(router) == {"first": "resting", "third": "ready"}
        yield router, copy


def test_without_place_for_its_image_it_is_read_and_proved_anew(narrow: tuple[Router, Path]) -> None:
    router, copy = narrow
    assert router.tokenize("x", model="first")
    assert states(router) == {"first": "ready", "third": "resting"}
    router.complete("x", model="third", max_tokens=1)
    copy.write_bytes(copy.read_bytes()[:-1] + b"!")
    with pytest.raises(StrongroomError) as caught:
        router.complete("x", model="first", max_tokens=1)
    assert caught.value.code == "checksum.mismatch"
    assert states(router)["first"] == "resting"


def test_what_nothing_proves_is_not_replaced_by_another_model(
    tiny: Model, untemplated: Model, tmp_path: Path, takes: Any
) -> None:
    copy = tmp_path / "model.gguf"
    copy.write_bytes(tiny.path.read_bytes())
    security = Security(
        verification="danger-none", sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB", timeout="60s")
    )
    limits = settings(total_memory=takes.total + takes.weights // 2).limits
    with Router(Settings(security=security, limits=limits)) as router:
        router.load("first", copy)
        third(router, tiny)
        copy.write_bytes(untemplated.path.read_bytes())
        with pytest.raises(RouterError) as caught:
            router.complete("x", model="first", max_tokens=1)
    assert caught.value.code == "router.model_changed"


def test_a_rest_that_finds_no_place_says_so_and_tries_again_later(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    with router.stream("x", raw=True, model="third", logit_bias=ON, max_tokens=200) as stream:
        next(stream)
        with pytest.raises(LoadError) as caught:
            router.complete("x", model="first", max_tokens=1)
        assert caught.value.code == "load.no_room"
        assert stream.read().completion_tokens == 200
    assert router.complete("x", model="first", max_tokens=1).completion_tokens == 1


def test_many_requests_wait_for_one_start(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(router.complete, "x", model="first", max_tokens=3, logit_bias=ON) for _ in range(8)
        ]
        assert [request.result().completion_tokens for request in asked] == [3] * 8
    assert router.models()[0].restarts == 0


@pytest.mark.parametrize("images", ["kept", "let go"])
def test_no_request_is_lost_while_models_make_place_for_one_another(
    tiny: Model, takes: Any, images: str
) -> None:
    """Three models, of which two have place, and a thread that asks each of them."""
    beside = takes.total if images == "kept" else takes.weights
    with Router(settings(total_memory=2 * takes.total + beside // 2)) as router:
        names = ("first", "second", "third")
        for name in names:
            router.load(name, tiny.path, checksum=tiny.checksum)
        waiting = []

        def ask(name: str) -> int:
            done = 0
            while done < 12:
                try:
                    done += router.complete("x", model=name, max_tokens=1, logit_bias=ON).completion_tokens
                except LoadError as error:  # both others are in use: the only error there may be
                    assert error.code == "load.no_room"  # noqa: PT017 - each time, not once
                    waiting.append(name)
            return done

        with ThreadPoolExecutor(3) as threads:
            assert list(threads.map(ask, names)) == [12, 12, 12]


def test_a_cancelled_request_for_a_resting_model_ends_as_others_do(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    stream = router.stream("x", raw=True, model="first", logit_bias=ON, max_tokens=200)
    stream.cancel()
    assert stream.read().finish_reason == "cancelled"


def test_a_dropped_request_for_a_resting_model_holds_nothing(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    with router.stream("x", raw=True, model="first", logit_bias=ON, max_tokens=2000):
        pass
    assert eventually(lambda: states(router)["first"] == "ready")
    assert eventually(lambda: router.models()[0].idle_seconds > 0)
    router.complete("x", model="third", max_tokens=1)
    assert states(router)["first"] == "resting"


def test_the_time_of_a_start_is_the_request_s(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    with pytest.raises(RequestError) as caught:
        router.complete("x", model="first", timeout="1ms")
    assert caught.value.code == "request.deadline"


def test_a_start_that_leaves_less_than_a_timeout_may_be_is_late(
    narrow: tuple[Router, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    router, _ = narrow

    def slow(lease: Lease, ask: Ask, timeout: float) -> Waking:
        return Waking(lease, lambda backend, _waited: ask(backend, timeout - 0.0005), timeout)

    monkeypatch.setattr("strongroom.router.request.Waking", slow)
    with pytest.raises(RequestError) as caught:
        router.complete("x", model="first", timeout="30s")
    assert caught.value.code == "request.deadline"


def test_unloaded_while_it_is_started_again(
    narrow: tuple[Router, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    router, _ = narrow
    goes_on, reads = threading.Event(), threading.Event()
    original = router._registry._entries["first"].recipe.start

    def slowly(make_room: Any) -> Any:
        reads.set()
        goes_on.wait(10)
        return original(make_room)

    monkeypatch.setattr(router._registry._entries["first"].recipe, "start", slowly)
    stream = router.stream("x", raw=True, model="first")
    assert reads.wait(10)
    router.unload("first")
    goes_on.set()
    with pytest.raises(RequestError) as caught:
        stream.read()
    assert caught.value.code == "request.unloaded"
    assert [info.name for info in router.models()] == ["third"]


def test_without_a_bound_the_machine_is_the_bound(
    tiny: Model, takes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 2**33
    offer = [Offer(total, reserve_of(total) + takes.total - 1)]
    monkeypatch.setattr(machine, "offered", lambda: offer[0])
    with Router(settings()) as router:
        with pytest.raises(LoadError, match="free on this machine, a reserve left aside"):
            # The image is in memory by then, which the machine has less by in truth, and not here.
            router.load("tiny", tiny.path, checksum=tiny.checksum, context_length=2048)
        offer[0] = Offer(total, reserve_of(total) + takes.total)
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        offer[0] = Offer(total, reserve_of(total))
        with pytest.raises(LoadError, match=r"0\.0 MiB are free"):
            router.load("other", tiny.path, checksum=tiny.checksum, keep=True, context_length=2048)


@pytest.mark.asyncio
async def test_an_event_loop_goes_on_while_a_model_is_started(tiny: Model, takes: Any) -> None:
    async with AsyncRouter(settings(total_memory=takes.total + takes.weights // 2)) as router:
        await router.load("first", tiny.path, checksum=tiny.checksum)
        await router.load("second", tiny.path, checksum=tiny.checksum)
        start = time.perf_counter()
        stream = router.stream("x", raw=True, model="first", logit_bias=ON, max_tokens=5)
        asked = time.perf_counter() - start
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        assert (await stream.read()).completion_tokens == 5
        ticking.cancel()
        assert asked < 0.05
        assert ticks > 5
        assert [info.state for info in await router.models()] == ["ready", "resting"]
        assert await router.tokenize("x", model="second")
        assert [info.state for info in await router.models()] == ["resting", "ready"]


@pytest.mark.asyncio
async def test_an_event_loop_hears_why_a_model_is_not_started(tiny: Model, takes: Any) -> None:
    async with AsyncRouter(settings(total_memory=takes.total + takes.weights // 2)) as router:
        await router.load("first", tiny.path, checksum=tiny.checksum)
        await router.load("second", tiny.path, checksum=tiny.checksum)
        async with router.stream("x", raw=True, model="second", logit_bias=ON, max_tokens=200) as stream:
            await anext(stream)
            waiting = [router.complete("x", model="first", max_tokens=1) for _ in range(3)]
            batch = router.generate_batch(["x"] * 3, model="first", max_tokens=1)
            *refused, results = await asyncio.gather(*waiting, batch, return_exceptions=True)
            assert isinstance(results, list)
            assert {error.code for error in (*refused, *results)} == {"load.no_room"}
        assert (await router.complete("x", model="first", max_tokens=1)).completion_tokens == 1


def test_a_batch_hears_why_a_model_is_not_started(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    with router.stream("x", raw=True, model="third", logit_bias=ON, max_tokens=200) as stream:
        next(stream)
        results = router.generate_batch(["x"] * 3, model="first", max_tokens=1)
        assert [getattr(result, "code", None) for result in results] == ["load.no_room"] * 3


def test_releasing_a_resting_model_is_nothing(narrow: tuple[Router, Path]) -> None:
    router, _ = narrow
    router.release("first")
    assert states(router) == {"first": "resting", "third": "ready"}
