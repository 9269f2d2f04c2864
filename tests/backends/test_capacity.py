"""What is derived of header, settings and machine; and the footprint beside what a worker really takes."""

from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    Completion,
    Header,
    Limits,
    LoadError,
    Router,
    Sandboxing,
    Security,
    Settings,
    SettingsError,
    inspect,
)
from strongroom.backends.capacity import Capacity, capacity_of
from tests.conftest import Model

GB = 10**9


@pytest.fixture(scope="module")
def header(tiny: Model) -> Header:
    seen = inspect(tiny.path)
    assert seen.header is not None
    return seen.header


def derived(header: Header, *, memory: int = GB, size: int = 10**6, **limits: Any) -> Capacity:
    return capacity_of(header, size, Limits(**limits), address_space=memory)


def test_the_cache_gets_half_of_what_the_weights_leave(header: Header) -> None:
    each = 2048 * 256
    assert header.footprint is not None
    assert header.footprint.cache(2048, 128) == each
    found = derived(header, size=10**6, memory=10**6 + 10 * each)
    assert (found.context_length, found.max_concurrent) == (2048, 5)
    assert found.memory.weights == 10**6
    assert found.memory.cache == 5 * each
    assert found.memory.total == 10**6 + found.memory.worker > found.memory.weights + found.memory.cache


@pytest.mark.parametrize(
    ("limits", "sequences"),
    [
        ({}, 16),
        ({"concurrent_requests": 3}, 3),
        ({"batch_tokens": 4}, 4),
        ({"max_concurrent": 100, "concurrent_requests": 100}, 100),
        ({"max_concurrent": 1}, 1),
        ({"total_context": 3 * 2048 + 2047}, 3),
        ({"max_concurrent": 8, "total_context": 4096}, 2),
        ({"max_concurrent": 8, "total_context": 4096, "context_length": 1024}, 4),
    ],
)
def test_what_is_given_bounds_what_is_automatic(
    header: Header, limits: dict[str, int], sequences: int
) -> None:
    assert derived(header, **limits).max_concurrent == sequences


def test_one_request_is_served_even_where_half_is_too_little(header: Header) -> None:
    assert derived(header, size=10**6, memory=10**6 + 2048 * 256).max_concurrent == 1


@pytest.mark.parametrize("limits", [{}, {"max_concurrent": 2}])
def test_a_cache_beyond_the_memory_limit_is_refused_with_the_sum(
    header: Header, limits: dict[str, int]
) -> None:
    wanted = limits.get("max_concurrent", 1) * 2048 * 256
    with pytest.raises(LoadError, match=r"weights \(1\.0 MiB\).*key-value cache of .*memory_limit") as caught:
        derived(header, size=2**20, memory=2**20 + wanted - 1, **limits)
    assert caught.value.code == "load.no_room"
    assert derived(header, size=2**20, memory=2**20 + wanted, **limits).memory.cache == wanted


def test_total_context_of_less_than_a_request(header: Header) -> None:
    with pytest.raises(SettingsError, match="total_context=2047 is less than the 2048 tokens") as caught:
        derived(header, total_context=2047)
    assert caught.value.code == "settings.conflict"


def test_an_unchecked_architecture_takes_what_the_limit_lets_it(tiny: Model, tmp_path: Path) -> None:
    other = tmp_path / "model.gguf"
    other.write_bytes(tiny.path.read_bytes().replace(b"llama", b"ilama", 1).replace(b"llama.", b"ilama."))
    seen = inspect(other, allow_architectures=["ilama"])
    assert seen.header is not None
    assert seen.header.footprint is None
    found = derived(seen.header, size=10**6, memory=GB)
    assert (found.max_concurrent, found.memory.total) == (1, GB)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"max_concurrent": 129}, "max_concurrent"),
        ({"max_concurrent": True}, "max_concurrent"),
        ({"total_context": 0}, "total_context"),
        ({"batch_tokens": 8193}, "batch_tokens"),
        ({"batch_tokens": "128"}, "batch_tokens"),
        ({"threads": 0}, "threads"),
        ({"total_memory": "much"}, "total_memory"),
        ({"total_memory": 0}, "total_memory"),
        ({"prefix_cache": -1}, "prefix_cache"),
        ({"prefix_cache": False}, "prefix_cache"),
        ({"prefix_cache": "much"}, "prefix_cache"),
        ({"prefix_tenants": 0}, "prefix_tenants"),
        ({"prefix_tenants": 65_537}, "prefix_tenants"),
        ({"prefix_idle": "999ms"}, "prefix_idle"),
        ({"prefix_idle": 0}, "prefix_idle"),
        ({"unload_idle": "yes"}, "unload_idle"),
        ({"unload_idle": None}, "unload_idle"),
    ],
)
def test_limits_are_checked(options: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names) as caught:
        Limits(**options)
    assert caught.value.code == "settings.invalid"


@pytest.mark.parametrize(
    "options",
    [
        {"batch_tokens": 7, "max_concurrent": 8},
        {"total_context": 1023, "context_length": 1024},
        {"prefix_cache": 0, "prefix_tenants": 1},
    ],
)
def test_limits_that_exclude_one_another(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        Limits(**options)
    assert caught.value.code == "settings.conflict"


@pytest.mark.parametrize(
    ("left", "limits", "kept"),
    [
        (8 * 100 * 10**6, {}, (50 * 10**6, 1)),  # one tenant's, and the place of what is published
        (8 * 128 * 10**6, {}, (64 * 10**6, 1)),
        (8 * 192 * 10**6, {}, (64 * 10**6, 2)),
        (8 * 192 * 10**6, {"prefix_cache": "1MB"}, (10**6, 64)),
        (8 * 192 * 10**6, {"prefix_cache": "1MB", "prefix_tenants": 1500}, (10**6, 1500)),
        (300, {"prefix_cache": 100, "prefix_tenants": 2}, (100, 2)),
        (10**9, {"prefix_cache": 0}, (0, 0)),
    ],
)
def test_what_is_kept_of_requests_has_an_eighth_of_what_is_left(
    header: Header, left: int, limits: dict[str, Any], kept: tuple[int, int]
) -> None:
    cache = 2048 * 256
    found = derived(header, size=10**6, memory=10**6 + cache + left, max_concurrent=1, **limits)
    assert (found.prefix_quota, found.prefix_tenants) == kept
    assert found.memory.prefixes == kept[0] * (kept[1] + (kept[0] > 0))
    assert found.memory.worker > found.memory.prefixes


def test_more_tenants_than_there_is_room_for_are_refused_with_the_sum(header: Header) -> None:
    with pytest.raises(LoadError, match=r"of 2 tenants' requests.*takes 3\.0 MiB.*leave 3\.0 MiB") as caught:
        derived(
            header,
            size=10**6,
            memory=10**6 + 2048 * 256 + 3 * 2**20 - 1,
            max_concurrent=1,
            prefix_cache=2**20,
            prefix_tenants=2,
        )
    assert caught.value.code == "load.no_room"


def test_what_is_kept_gives_way_before_sequences_do(tiny: Model) -> None:
    """Of as many tenants as would be good, a machine with little room keeps something of fewer."""
    limits: dict[str, Any] = {"threads": 1, "prefix_cache": "1MB"}
    with Router(Settings(limits=Limits(**limits))) as router:
        whole = router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert whole.prefix_tenants == 64
    assert whole.memory.prefixes == 65 * 10**6
    room = whole.memory.total - 40 * 10**6
    with Router(Settings(limits=Limits(total_memory=room, **limits))) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert (info.prefix_tenants, info.max_concurrent) == (16, 16)
    with (
        pytest.raises(LoadError, match=r"62\.0 MiB for what is kept of requests"),
        Router(Settings(limits=Limits(total_memory=room, prefix_tenants=64, **limits))) as router,
    ):
        router.load("tiny", tiny.path, checksum=tiny.checksum)


def anonymous(pid: int) -> int:
    """Memory that is the worker's own: not the weights, which are pages of the sealed image."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no account of a worker's memory")


@pytest.mark.parametrize("sequences", [1, 5])
@pytest.mark.parametrize("which", ["tiny", "smol"])
def test_a_worker_takes_what_was_accounted(
    which: str, sequences: int, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(which)
    taken, accounted, caches = [], [], []
    for length in (256, 1024):
        settings = Settings(
            security=Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit="2GB")),
            limits=Limits(context_length=length, max_concurrent=sequences, prefix_cache=0),
        )
        with Router(settings) as router:
            info = router.load(which, model.path, checksum=model.checksum)
            assert info.max_concurrent == sequences
            results = router.generate_batch(["a b c " * 5] * sequences, raw=True, max_tokens=8)
            assert all(isinstance(result, Completion) for result in results)
            taken.append(anonymous(info.pid))
            accounted.append(info.memory.worker)
            caches.append(info.memory.cache)
    # What a longer context adds is the cache, and the mask of a step; heaps differ from one time to another.
    grown = taken[1] - taken[0]
    assert abs(grown - (caches[1] - caches[0])) <= 2 * 2**20
    for real, estimate in zip(taken, accounted, strict=True):
        assert real <= estimate <= 1.5 * real + 4 * 2**20


def test_the_worker_is_made_as_was_derived(tiny: Model) -> None:
    """Of the limits that stand for themselves: what the worker says it has."""
    security = Security(sandboxing=Sandboxing(memory_limit="1GB"))
    for limits, sequences in (
        (Limits(max_concurrent=3, threads=1), 3),
        (Limits(total_context=2048 * 2, threads=1), 2),
        (Limits(concurrent_requests=5, threads=1), 5),
    ):
        with Router(Settings(security=security, limits=limits)) as router:
            info = router.load("tiny", tiny.path, checksum=tiny.checksum)
            assert (info.max_concurrent, info.threads) == (sequences, 1)
            assert info.memory.cache == sequences * 2048 * 256


def test_a_machine_with_little_room_gets_fewer_sequences(tiny: Model) -> None:
    """Sixteen would be good, and so would eight; four have room."""
    with Router(Settings(limits=Limits(threads=1, prefix_cache=0))) as router:
        whole = router.load("tiny", tiny.path, checksum=tiny.checksum).memory
    # A quarter of the cache more, for sequences that make way.
    assert whole.paused == whole.cache // 4
    room = whole.total - (whole.cache + whole.paused) // 16 * 9
    for total, sequences in ((room, 4), (whole.total, 16)):
        with Router(Settings(limits=Limits(total_memory=total, prefix_cache=0))) as router:
            assert router.load("tiny", tiny.path, checksum=tiny.checksum).max_concurrent == sequences
    with (
        Router(Settings(limits=Limits(total_memory=room, max_concurrent=16, prefix_cache=0))) as router,
        pytest.raises(LoadError),
    ):
        router.load("tiny", tiny.path, checksum=tiny.checksum)


def test_the_tokens_of_a_step_size_the_buffers(tiny: Model) -> None:
    security = Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit="1GB"))
    real, estimate = [], []
    for step in (16, 1024):
        limits = Limits(max_concurrent=1, context_length=1024, batch_tokens=step)
        with Router(Settings(security=security, limits=limits)) as router:
            info = router.load("tiny", tiny.path, checksum=tiny.checksum)
            router.complete("a b c d " * 120, max_tokens=1)
            real.append(anonymous(info.pid))
            estimate.append(info.memory.worker)
    assert real[1] - real[0] > 2 * 2**20
    assert all(taken <= accounted for taken, accounted in zip(real, estimate, strict=True))
