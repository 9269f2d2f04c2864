"""One wake-up of an event loop for all of its streams that got something."""

import asyncio
import itertools
import os
import threading
from contextlib import suppress
from weakref import WeakKeyDictionary, finalize, ref

from strongroom._core import Bell
from strongroom.backends.backend import Event, Generation
from strongroom.errors import RouterError

__all__ = ["Bells", "Listening", "Watch"]

Loop = asyncio.AbstractEventLoop

EARLY = 0.005


class Watch:
    """The bell of one event loop, and the tasks in it that wait to be told of something.

    All methods but `close` are called in that loop.
    """

    def __init__(self, loop: Loop) -> None:
        """Have the loop watch a bell; raises RequestError where there is no descriptor for it."""
        self._bell = Bell()
        # The loop holds this object, and is not held by it: who drops a loop drops its bell.
        self._loop = ref(loop)
        self._pid = os.getpid()
        self._keys = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._closing = False
        loop.add_reader(self._bell.fileno(), self._dispatch)

    def is_of(self, loop: Loop) -> bool:
        """Whether it is this loop's."""
        return self._loop() is loop

    def add(self, generation: Generation) -> int:
        """Listen for a generation; return the key to wait by."""
        key = next(self._keys)
        generation.watch(self._bell, key)
        loop = self._loop()
        if (seconds := generation.expires()) is not None and loop is not None:
            # A little later: a loop's timers may be early by its clock's resolution.
            loop.call_later(seconds + EARLY, self._rouse, key)
        return key

    async def wait(self, key: int, loop: Loop) -> None:
        """Wait until there is something, or seems to be, since `poll()` last returned None."""
        waiter = loop.create_future()
        self._waiting[key] = waiter
        try:
            await waiter
        finally:
            del self._waiting[key]
            if self._closing:
                self._leave()

    def close(self) -> None:
        """Have the loop forget the bell once nobody waits any more. From any thread; never waits."""
        loop = self._loop()
        # A forked child shares what the loop watches: to let go of it there would take it from the parent.
        if loop is None or os.getpid() != self._pid:
            return
        self._closing = True
        with suppress(RuntimeError):  # the loop is closed, and has forgotten everything
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        """Have the loop forget the bell, if nobody waits."""
        loop = self._loop()
        if loop is not None and not self._waiting:
            loop.remove_reader(self._bell.fileno())

    def _rouse(self, key: int) -> None:
        """Have whoever waits by a key look, if anybody does still."""
        waiter = self._waiting.get(key)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _dispatch(self) -> None:
        """Wake whoever has news."""
        try:
            keys = self._bell.take()
        except RouterError:  # a forked child that runs its parent's loop: they are told when they look
            keys = list(self._waiting)
        for key in keys:
            self._rouse(key)


class Listening:
    """Waits for one generation, in whichever loop runs; holds it no longer than that."""

    def __init__(self, bells: "Bells") -> None:
        """Be woken by `bells`."""
        self._bells = bells
        self._watch: Watch | None = None
        self._key = 0

    async def news(self, generation: Generation) -> None:
        """Wait until there may be something, since `poll()` last returned None."""
        loop = self._bells.running()
        watch = self._watch
        if watch is None or not watch.is_of(loop):
            watch = self._bells.of(loop)
            self._key = watch.add(generation)
            self._watch = watch
        del generation  # the traceback of a task that is cancelled here would keep it
        await watch.wait(self._key, loop)

    async def next(self, generation: Generation) -> Event:
        """Wait for what comes next."""
        while (event := generation.poll()) is None:
            await self.news(generation)
        return event


class Bells:
    """The bells of one AsyncRouter: one in each event loop that reads its streams."""

    def __init__(self) -> None:
        """Start without any: a loop gets one when it first waits."""
        self._lock = threading.Lock()
        self._watches: WeakKeyDictionary[Loop, Watch] = WeakKeyDictionary()
        self._pid = os.getpid()
        # A loop may live longer than a Router that nobody closed.
        finalize(self, close_all, self._watches).atexit = False

    def listening(self) -> Listening:
        """Return what waits for a generation, woken by these."""
        return Listening(self)

    @staticmethod
    def running() -> Loop:
        """Return the loop that runs."""
        return asyncio.get_running_loop()

    def of(self, loop: Loop) -> Watch:
        """Return the loop's, which is the running one."""
        with self._lock:
            watch = self._watches.get(loop)
            if watch is None:
                # Of a loop that was closed under its tasks, they keep hold of it, and it of them.
                for closed in [other for other in self._watches if other.is_closed()]:
                    del self._watches[closed]
                watch = self._watches[loop] = Watch(loop)
            return watch

    def close(self) -> None:
        """Have every loop forget its bell once nobody waits there any more."""
        if os.getpid() != self._pid:  # the lock may be held for ever
            return
        with self._lock:
            watches = dict(self._watches)
            self._watches.clear()
        close_all(watches)


def close_all(watches: "WeakKeyDictionary[Loop, Watch] | dict[Loop, Watch]") -> None:
    """Close them all."""
    for watch in list(watches.values()):
        watch.close()
