"""Each setting acts on a worker, as the kernel sees it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    Limits,
    LoadError,
    OptionError,
    Piece,
    RequestError,
    Router,
    Sampling,
    SandboxError,
    Sandboxing,
    Security,
    Settings,
    SourceError,
    StrongroomError,
    TrustError,
    WorkerError,
    _core,
)
from strongroom.backends.backend import Began, Finished
from strongroom.backends.capacity import capacity_of
from strongroom.backends.local import WORKERS, Local
from strongroom.models.trust import admit
from tests.conftest import Model, settings
from tests.files import OTHER, of_another_architecture
from tests.router.test_deaths import fake

ON = {2: -100.0}


def limit_of(pid: int, name: str) -> list[str]:
    """Soft and hard limit, as the kernel has them."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(name):
            return line[len(name) :].split()[:2]
    raise AssertionError(name)


def status_of(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise AssertionError(name)


def test_memory_limit_is_the_address_space(tiny: Model) -> None:
    with Router(settings(memory_limit="900MB")) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert limit_of(info.pid, "Max address space") == ["900000000", "900000000"]


def test_cpu_limit_is_the_affinity(tiny: Model) -> None:
    for cores in {1, len(os.sched_getaffinity(0))}:
        with Router(settings(cpu_limit=f"{cores} cores")) as router:
            info = router.load("tiny", tiny.path, checksum=tiny.checksum)
            assert len(os.sched_getaffinity(info.pid)) == cores
            assert info.threads <= cores


def test_no_network_and_no_files(tiny: Model) -> None:
    with Router(settings()) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert status_of(info.pid, "Seccomp") == "2"
        assert status_of(info.pid, "NoNewPrivs") == "1"
        assert limit_of(info.pid, "Max processes") == ["0", "0"]
        assert limit_of(info.pid, "Max file size") == ["0", "0"]
        layers = {layer.name: layer.state for layer in info.sandbox}
        assert layers["landlock_files"] == "in_force"


def test_timeout_is_a_requests(tiny: Model) -> None:
    with Router(settings(timeout="1ms")) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        with pytest.raises(RequestError) as caught:
            router.complete("the", logit_bias=ON)
        assert caught.value.code == "request.deadline"


def test_a_call_may_ask_for_less_time_but_not_for_more(tiny: Model) -> None:
    with Router(settings(timeout="30s")) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert router.chat("Hello", max_tokens=1, timeout="30s").completion_tokens == 1
        with pytest.raises(OptionError, match="timeout must be at most 30s"):
            router.chat("Hello", timeout="31s")


def test_load_timeout(tiny: Model) -> None:
    hurried = Settings(security=settings().security, limits=Limits(load_timeout="1ms"))
    with Router(hurried) as router, pytest.raises(LoadError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "load.timeout"


def test_context_length(tiny: Model) -> None:
    short = Settings(security=settings().security, limits=Limits(context_length=512))
    with Router(short) as router:
        assert router.load("tiny", tiny.path, checksum=tiny.checksum).context_length == 512
        info = router.load("longer", tiny.path, checksum=tiny.checksum, context_length=1024)
        assert info.context_length == 1024


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (0, "option.out_of_range"),
        (-1, "option.out_of_range"),
        (2**31, "option.out_of_range"),
        ("1", "option.wrong_type"),
    ],
)
def test_a_context_length_that_is_none(tiny: Model, length: Any, code: str) -> None:
    with Router(settings()) as router, pytest.raises(OptionError, match="context_length") as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum, context_length=length)
    assert caught.value.code == code


def test_a_context_that_the_memory_does_not_hold(tiny: Model) -> None:
    with Router(settings()) as router, pytest.raises(StrongroomError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum, context_length=2**24)
    assert caught.value.code == "load.no_room"  # before a worker was started


def test_a_context_longer_than_the_trained_one(tiny: Model) -> None:
    with Router(settings()) as router, pytest.raises(LoadError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum, context_length=4096)
    assert caught.value.code == "load.context"


def test_a_model_larger_than_the_memory_limit(smol: Model) -> None:
    with (
        Router(settings(memory_limit="90MB")) as router,
        pytest.raises((LoadError, WorkerError, SourceError)),
    ):
        router.load("smol", smol.path, checksum=smol.checksum)


def test_hardly_any_memory(tiny: Model) -> None:
    with Router(settings(memory_limit="32MB")) as router, pytest.raises((LoadError, WorkerError)):
        router.load("tiny", tiny.path, checksum=tiny.checksum)


def test_a_file_larger_than_the_memory_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(40_000_001)
    calls: list[int] = []
    with Router(settings(memory_limit="40MB")) as router, pytest.raises(SourceError) as caught:
        router.load(
            "large", path, checksum="sha256:" + "0" * 64, progress=lambda done, _total: calls.append(done)
        )
    assert caught.value.code == "source.over_limit"
    assert "has 40000001 bytes, but memory_limit allows 40000000 bytes" in caught.value.message
    assert "raise memory_limit" in caught.value.next_step
    assert calls == []


def started(image: _core.Image, directory: Path, address_space: int, proceed: Callable[[], bool]) -> None:
    """Start a worker and end it."""
    _core.Model.start(
        image,
        executable=_core.choose_worker(directory).executable,
        isolation="process",
        address_space=address_space,
        cores=1,
        load_timeout=60,
        request_timeout=60,
        concurrent_requests=1,
        tenant_requests=None,
        max_concurrent=1,
        batch_tokens=64,
        threads=None,
        prefix_quota=0,
        prefix_tenants=0,
        prefix_idle=0,
        erase=True,
        separate=True,
        embeddings=None,
        context_length=None,
        chat_template=None,
        proceed=proceed,
    ).close()


def test_who_waits_for_a_worker_is_asked_whether_to_proceed(tiny: Model, tmp_path: Path) -> None:
    image = _core.Image.load(str(tiny.path), checksum=tiny.checksum)
    fake(tmp_path, "exec sleep 600")
    with pytest.raises(LoadError) as caught:
        started(image, tmp_path, 10**9, lambda: False)
    assert caught.value.code == "load.cancelled"
    with pytest.raises(ZeroDivisionError):
        started(image, tmp_path, 10**9, lambda: 1 // 0 == 0)
    started(image, WORKERS, 10**9, lambda: True)


def test_a_sandbox_that_cannot_be_made(tiny: Model) -> None:
    image = _core.Image.load(str(tiny.path), checksum=tiny.checksum)
    with pytest.raises(SandboxError) as refused:
        started(image, WORKERS, 10**6, lambda: True)
    assert refused.value.code == "sandbox.unavailable"


def test_verification(tiny: Model) -> None:
    with Router() as router, pytest.raises(TrustError):
        router.load("tiny", tiny.path)
    with Router(Settings(security=Security(verification="danger-none"))) as router:
        assert not router.load("tiny", tiny.path).verified


def test_maximum_is_in_force_or_refused(tiny: Model) -> None:
    maximum = Settings(security=Security(isolation="maximum", sandboxing=Sandboxing(cpu_limit=1)))
    swapping = len(Path("/proc/swaps").read_text().splitlines()) > 1
    with Router(maximum) as router:
        if swapping:
            with pytest.raises(SandboxError) as caught:
                router.load("tiny", tiny.path, checksum=tiny.checksum)
            assert caught.value.code == "sandbox.swap_present"
            return
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert {layer.state for layer in info.sandbox} == {"in_force"}


def test_what_llama_cpp_refuses(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(of_another_architecture(tiny.path.read_bytes()))
    other = Model.of(path)
    with Router(settings()) as router, pytest.raises(LoadError) as caught:
        router.load("other", other.path, checksum=other.checksum, allow_architectures=[OTHER])
    assert caught.value.code == "load.refused"


def test_workers_of_one_model_share_the_pages_of_its_image(smol: Model) -> None:
    with Router(settings()) as router:
        info = router.load("smol", smol.path, checksum=smol.checksum)
        router.complete("the", max_tokens=1)
        mapping = [
            line for line in Path(f"/proc/{info.pid}/maps").read_text().splitlines() if "memfd:" in line
        ]
        assert mapping
        assert all(line.split()[1] == "r--s" for line in mapping)


def pieces_of(router: Router) -> tuple[list[int], str]:
    """The tokens of each piece, and the text."""
    pieces = list(router.stream("the", raw=True, max_tokens=200, temperature=0, logit_bias=ON))
    return [piece.tokens for piece in pieces], "".join(piece.text for piece in pieces)


def test_piece_interval_holds_pieces_together(tiny: Model) -> None:
    answers = []
    for interval in (0, "1h"):
        limits = Limits(concurrent_requests=256, piece_interval=interval)
        with Router(replace(settings(), limits=limits)) as router:
            router.load("tiny", tiny.path, checksum=tiny.checksum)
            answers.append(pieces_of(router))
    # What comes before it is read is one piece; a reader is faster than some of two hundred.
    (each, text), (held, same) = answers
    assert len(each) > 2
    # The first text at once, the rest at the end.
    assert len(held) <= 2
    assert sum(held) == sum(each)
    assert same == text


def test_a_whole_answer_wakes_its_reader_once(tiny: Model) -> None:
    image, decision = admit(
        str(tiny.path),
        name="tiny",
        checksum=tiny.checksum,
        security=Security(),
        allow_architectures=(),
        progress=None,
    )
    chosen = settings()
    capacity = capacity_of(image.header, image.size, chosen.limits, address_space=10**9)
    local = Local(
        "tiny",
        str(tiny.path),
        image,
        decision,
        chosen,
        capacity=capacity,
        context_length=None,
        chat_template=None,
        embeddings=False,
    )
    try:
        sampling = Sampling(max_tokens=32, logit_bias=ON)
        generation = local.generate("the", sampling, 60.0, tenant=None, priority="normal", whole=True)
        events = [generation.next()]
        while not isinstance(events[-1], Finished):
            events.append(generation.next())
        pieces = [event for event in events if isinstance(event, Piece)]
        assert 1 <= len(pieces) <= 2
        assert isinstance(events[0], Began)
    finally:
        local.close()


def test_a_rehearsal_without_a_worker_to_start(tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as caught:
        _core.rehearse(_core.choose_worker(tmp_path).executable)
    assert caught.value.code == "worker.not_started"


def test_a_rehearsal_of_a_worker_that_says_nothing(tmp_path: Path) -> None:
    worker = tmp_path / "strongroom-worker-avx2"
    worker.write_text("#!/bin/sh\nexit 3\n")
    worker.chmod(0o755)
    with pytest.raises(WorkerError) as caught:
        _core.rehearse(_core.choose_worker(tmp_path).executable)
    assert caught.value.code == "worker.exited"
