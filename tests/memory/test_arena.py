import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from strongroom import ArenaError, BufferUsage, OptionError, SecureArena, SecureBuffer


@pytest.fixture
def arena() -> SecureArena:
    return SecureArena(1 << 20)


def test_usage_says_who_holds_what(arena: SecureArena) -> None:
    key, prompt = arena.allocate(32, "session key"), arena.allocate(100, "prompt")
    first, second = arena.usage()
    assert isinstance(first, BufferUsage)
    assert (first.id, first.purpose, first.bytes, first.views, first.backing) == (
        0,
        "session key",
        32,
        0,
        "secret",
    )
    assert second.purpose == "prompt"
    assert timedelta(0) <= first.age < timedelta(minutes=1)
    assert timedelta(0) <= first.idle <= first.age
    assert (arena.bytes, arena.max_bytes) == (132, 1 << 20)
    with memoryview(key):
        assert arena.usage()[0].views == 1
        assert arena.usage()[0].idle == timedelta(0)
    del key
    assert [usage.purpose for usage in arena.usage()] == ["prompt"]
    prompt.close()
    assert arena.usage() == ()


def test_protection_says_what_is_in_force(arena: SecureArena) -> None:
    assert arena.protection().secret == 0
    arena.allocate(32, "key").close()
    protection = arena.protection()
    assert protection.secret > 0
    assert (protection.locked, protection.swappable, protection.fallbacks) == (0, 0, ())
    locked = SecureArena(100, backing="locked")
    assert locked.allocate(32, "key").backing == "locked"
    assert locked.protection().locked > 0


def test_the_limit_holds_and_says_what_is_held() -> None:
    small = SecureArena(100)
    held = small.allocate(60, "first")
    with pytest.raises(ArenaError, match="60 of the arena's 100 bytes") as caught:
        small.allocate(41, "second")
    assert caught.value.code == "arena.over_limit"
    held.close()
    small.allocate(100, "second").close()


def test_the_limit_holds_across_threads() -> None:
    arena = SecureArena(640)
    held: list[SecureBuffer] = []
    refused: list[str] = []

    def allocate() -> None:
        for _ in range(10):
            try:
                held.append(arena.allocate(64, "race"))
            except ArenaError as error:
                refused.append(error.code)

    threads = [threading.Thread(target=allocate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 10
    assert refused == ["arena.over_limit"] * 30
    assert arena.bytes == 640


def test_options_that_can_not_be_are_refused(arena: SecureArena) -> None:
    for arguments in (
        {"max_bytes": 0},
        {"max_bytes": -1},
        {"max_bytes": 1 << 70},
        {"max_bytes": (1 << 64) - 1},
        {"max_age": 0},
        {"max_age": -1.5},
        {"max_age": float("nan")},
        {"max_age": 2**2000},
        {"max_age": timedelta(seconds=-1)},
        {"backing": "swappable"},
        {"fallback": "silent"},
    ):
        with pytest.raises(ArenaError) as caught:
            SecureArena(**{"max_bytes": 100, **arguments})  # type: ignore[arg-type]
        assert caught.value.code == "arena.invalid"
    for size, purpose in ((0, "none"), (-1, "none"), (1, ""), (1, "x" * 129), (1, "\ud800")):
        with pytest.raises(ArenaError) as caught:
            arena.allocate(size, purpose)
        assert caught.value.code == "arena.invalid"


def test_types_are_checked(arena: SecureArena) -> None:
    for wrong in (
        lambda: SecureArena("1"),  # type: ignore[arg-type]
        lambda: SecureArena(True),
        lambda: SecureArena(1, max_age="1"),  # type: ignore[arg-type]
        lambda: SecureArena(1, max_age=True),
        lambda: SecureArena(1, backing=None),  # type: ignore[arg-type]
        lambda: SecureArena(1, fallback=True),  # type: ignore[arg-type]
        lambda: arena.allocate(1.5, "x"),  # type: ignore[arg-type]
        lambda: arena.allocate(1, b"x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError) as caught:
            wrong()
        assert caught.value.code == "option.wrong_type"


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_idle_buffers_are_wiped_unless_they_are_viewed() -> None:
    arena = SecureArena(100, max_age=0.3)
    idle, viewed = arena.allocate(10, "idle"), arena.allocate(10, "viewed")
    view = memoryview(viewed)
    wait(lambda: idle.closed)
    with pytest.raises(ArenaError) as caught:
        memoryview(idle)
    assert caught.value.code == "arena.expired"
    assert [usage.purpose for usage in arena.usage()] == ["viewed"]
    assert bytes(view) == bytes(10)
    view.release()
    memoryview(viewed).release()
    wait(lambda: viewed.closed)
    with pytest.raises(ArenaError, match="viewed"):
        viewed.write(b"late")
    assert arena.reclaim() == 0
    assert arena.bytes == 0


def test_an_age_may_be_a_timedelta() -> None:
    arena = SecureArena(100, max_age=timedelta(hours=1))
    arena.allocate(10, "fresh")
    assert arena.reclaim() == 0


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


UNPRIVILEGED = """
import logging, os, resource
import strongroom, strongroom.memory, strongroom.options
logging.basicConfig(format="%(name)s %(levelname)s")
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for backing in ("secret", "locked"):
    try:
        strongroom.SecureArena(100, backing=backing).allocate(10, "key")
    except strongroom.SecureMemoryError as error:
        print(error.code)
    arena = strongroom.SecureArena(100, backing=backing, fallback="report")
    print(arena.allocate(10, "key").backing, len(arena.protection().fallbacks))
    arena.allocate(10, "another")
"""


def test_a_fallback_is_refused_or_reported_and_logged() -> None:
    ended = run(UNPRIVILEGED)
    assert ended.stdout.split() == [
        "memory.not_secret",
        "swappable",
        "2",
        "memory.not_locked",
        "swappable",
        "1",
    ], ended
    assert ended.stderr.split() == ["strongroom.memory", "WARNING"] * 3


def test_nothing_is_logged_without_a_fallback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        SecureArena(100, backing="locked", fallback="report").allocate(10, "key")
    assert caplog.records == []


FORK = """
import os, signal, strongroom
arena = strongroom.SecureArena(100)
buffer = arena.allocate(10, "key")
buffer.write(b"0123456789")
view = memoryview(buffer)
def code(call):
    try:
        call()
    except strongroom.ArenaError as error:
        return error.code
child = os.fork()
if child == 0:
    codes = [code(c) for c in (lambda: memoryview(buffer), lambda: buffer.write(b"1"), buffer.close,
                               lambda: arena.allocate(1, "x"))]
    own = strongroom.SecureArena(100).allocate(10, "own")
    own.write(b"1")
    os._exit(0 if codes == ["arena.forked"] * 4 and arena.usage() == () else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
child = os.fork()
if child == 0:
    view[0]
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGSEGV
assert bytes(view) == b"0123456789"
print("done")
"""


def test_a_forked_child_is_told_that_it_has_none() -> None:
    assert run(FORK).stdout == "done\n"
