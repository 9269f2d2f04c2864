"""Workers die, and their callers are told of what; the next request finds a new one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom import (
    LoadError,
    RequestError,
    Router,
    Settings,
    Stream,
    StrongroomError,
    WorkerError,
)
from tests.codes import RAISED
from tests.conftest import Model, settings
from tests.processes import descriptors, eventually, gone, state

ON = {2: -100.0}
"""Keeps the tiny model from ending its answer."""


def pid_of(router: Router) -> int:
    [info] = router.models()
    return info.pid


def rest_of(stream: Iterator[object]) -> StrongroomError | None:
    """Read a stream to its end; the error that it ends with."""
    try:
        for _ in stream:
            pass
    except StrongroomError as error:
        return error
    return None


def killed_while_streaming(router: Router, kind: signal.Signals) -> StrongroomError:
    """Kill the worker in the middle of an answer. An answer may be faster: then again."""
    for _ in range(50):
        stream = router.stream("the", raw=True, logit_bias=ON)
        next(stream)
        os.kill(pid_of(router), kind)
        error = rest_of(stream)
        eventually(lambda: router.models()[0].restarts > 0)
        if error is not None:
            return error
    pytest.fail("no answer was slow enough to be interrupted")


def test_killed_before_a_request(router: Router) -> None:
    before = pid_of(router)
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: gone(before))
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3
    [info] = router.models()
    assert info.pid != before
    assert info.restarts == 1
    assert {layer.state for layer in info.sandbox} == {"in_force"}


def test_killed_while_it_streams(router: Router) -> None:
    error = killed_while_streaming(router, signal.SIGKILL)
    assert isinstance(error, WorkerError)
    assert error.code == "worker.killed"
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3


def test_killed_after_it_streamed(router: Router) -> None:
    stream = router.stream("Hello", max_tokens=3)
    list(stream)
    before = pid_of(router)
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: gone(before))
    assert stream.result.completion_tokens == 3
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (signal.SIGKILL, "worker.killed"),
        (signal.SIGSEGV, "worker.crashed"),
        (signal.SIGABRT, "worker.aborted"),
        (signal.SIGSYS, "worker.violation"),
        (signal.SIGXCPU, "worker.over_time"),
    ],
)
def test_the_error_says_what_a_worker_died_of(router: Router, kind: signal.Signals, code: str) -> None:
    error = killed_while_streaming(router, kind)
    assert isinstance(error, WorkerError)
    assert error.code == code
    assert router.chat("Hello", max_tokens=1).completion_tokens == 1


def fake(folder: Path, script: str) -> None:
    """Put a shell script where the worker's executable is looked for."""
    worker = folder / "strongroom-worker-avx2"
    worker.write_text(f"#!/bin/sh\n{script}\n")
    worker.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", "worker.exited"),
        ("exit 5", "worker.exited"),
        ("exit 70", "worker.crashed"),
        ("exit 71", "worker.aborted"),
        ("exit 72", "worker.out_of_memory"),
        ("printf '\\377\\377\\377\\377nonsense' >&3; exec sleep 60", "worker.protocol"),
        ("printf '\\0\\0\\0\\0' >&3; exec sleep 60", "worker.protocol"),
        ("printf '\\1\\0\\0\\0\\377' >&3; exec sleep 60", "worker.protocol"),
        ("exec sleep 60", "load.timeout"),
    ],
)
def test_a_worker_that_never_gets_ready(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: str
) -> None:
    fake(tmp_path, script)
    monkeypatch.setattr("strongroom.backends.local.WORKERS", tmp_path)
    hurried = Settings(
        security=settings().security,
        limits=settings().limits.__class__(load_timeout="2s" if code == "load.timeout" else "60s"),
    )
    with Router(hurried) as router, pytest.raises((WorkerError, LoadError)) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == code


def test_200_requests_opened_and_dropped(router: Router) -> None:
    before = descriptors()
    for _ in range(200):
        stream = router.stream("the", raw=True, logit_bias=ON)
        del stream
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3
    assert router.models()[0].restarts == 0
    assert eventually(lambda: descriptors() <= before)


def test_200_requests_open_at_once_and_then_dropped(router: Router) -> None:
    streams: list[Stream] = [router.stream("the", raw=True, logit_bias=ON) for _ in range(200)]
    next(streams[0])
    streams.clear()
    assert router.chat("Hello", max_tokens=3).completion_tokens == 3
    assert router.models()[0].restarts == 0


def test_more_requests_than_the_limit_are_refused(tiny: Model) -> None:
    one = Settings(security=settings().security, limits=settings().limits.__class__(concurrent_requests=1))
    with Router(one) as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        os.kill(pid_of(router), signal.SIGSTOP)
        first = router.stream("the", raw=True, max_tokens=3)
        with pytest.raises(RequestError) as caught:
            for _ in router.stream("the", raw=True, max_tokens=3):
                pass
        assert caught.value.code == "request.busy"
        os.kill(pid_of(router), signal.SIGCONT)
        assert first.read().completion_tokens == 3


PARENT = """
import sys
from strongroom import Router
from tests.conftest import settings
router = Router(settings())
info = router.load("tiny", sys.argv[1], checksum=sys.argv[2])
stream = router.stream("the", raw=True, logit_bias={2: -100.0})
print(info.pid, flush=True)
sys.stdin.read()
"""


def test_a_parent_that_is_killed_leaves_no_worker(tiny: Model) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tiny.path, tiny.checksum],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert state(worker) not in {None, "Z"}
        parent.kill()
        parent.wait()
        assert eventually(lambda: gone(worker))


FORKED = """
import os, sys
from strongroom import Router, RouterError
from tests.conftest import settings
router = Router(settings())
info = router.load("tiny", sys.argv[1], checksum=sys.argv[2])
stream = router.stream("Hello", max_tokens=3)
child = os.fork()
if child == 0:
    codes = []
    for call in (router.models, lambda: router.chat("Hello"), lambda: router.tokenize("a"),
                 lambda: router.load("x", sys.argv[1]), lambda: router.unload("tiny"), lambda: next(stream)):
        try:
            call()
        except RouterError as error:
            codes.append(error.code)
    router.close()
    del stream, router
    print(*codes, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(stream.read().completion_tokens, router.chat("Hello", max_tokens=2).completion_tokens,
      router.models()[0].restarts)
"""


def test_a_forked_child_is_refused_and_harms_nothing(tiny: Model) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKED, tiny.path, tiny.checksum],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    [in_child, in_parent] = run.stdout.splitlines()
    assert in_child == " ".join(["router.forked"] * 6), run.stderr
    assert in_parent == "3 2 0"
    RAISED.update(in_child.split())


def test_a_fork_in_this_process_is_seen(router: Router) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            router.models()
        except StrongroomError as error:
            os.write(writer, error.code.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "router.forked"
    os.waitpid(child, 0)
    assert router.chat("Hello", max_tokens=1).completion_tokens == 1
