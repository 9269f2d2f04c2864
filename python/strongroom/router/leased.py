"""Generations that hold their model, so that it isn't unloaded, and is started again where it rests."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from strongroom._core import Bell
from strongroom.backends.backend import Backend, Began, Event, Finished, Generation
from strongroom.errors import RequestError, StrongroomError, from_core
from strongroom.results import Piece, Timings
from strongroom.router.registry import Lease

__all__ = ["Ask", "Leased", "Waking", "late", "own"]

Ask = Callable[[Backend, float], Generation]
"""Asks a backend, once so many seconds have passed since the call."""


class Leased:
    """A generation of a model that is ready."""

    __slots__ = ("_generation", "_lease")

    def __init__(self, lease: Lease, generation: Generation) -> None:
        """Hold `lease` until the end of `generation`, or until this is dropped."""
        self._lease = lease
        self._generation = generation

    def next(self) -> Event:
        """Wait for what comes next."""
        try:
            event = self._generation.next()
        except StrongroomError:
            self._lease.release()
            raise
        return self._seen(event)

    def poll(self) -> Event | None:
        """Return what `next()` would, or None where it would wait."""
        try:
            event = self._generation.poll()
        except StrongroomError:
            self._lease.release()
            raise
        return None if event is None else self._seen(event)

    def _seen(self, event: Event) -> Event:
        """Let go of the model at the end."""
        if not isinstance(event, Began | Piece):  # which nothing follows
            self._lease.release()
        return event

    def watch(self, bell: Bell, key: int) -> None:
        """Have `bell` told, under `key`, of what comes after `poll()` returned None, or is there now."""
        self._generation.watch(bell, key)

    def expires(self) -> None:
        """Return None: the bell is told of everything."""

    def cancel(self) -> None:
        """Stop decoding at the next step."""
        self._generation.cancel()


class Cancelled:
    """A generation that was cancelled before its model was asked."""

    __slots__ = ("_waited",)

    def __init__(self, waited: float) -> None:
        """Have waited for so many seconds."""
        self._waited = waited

    def next(self) -> Event:
        """Return the end."""
        return Finished("cancelled", 0, Timings(self._waited, 0.0, 0.0))

    def poll(self) -> Event:
        """Return the end."""
        return self.next()

    def watch(self, bell: Bell, key: int) -> None:
        """Tell `bell` of the end."""
        bell.ring(key)

    def expires(self) -> None:
        """Return None: the bell was told."""

    def cancel(self) -> None:
        """Do nothing more."""


class Waking:
    """A generation of a model that rests, which is started before it is asked. Time counts from the call."""

    def __init__(self, lease: Lease, ask: Ask, timeout: float) -> None:
        """Start the model of `lease`; what can't be done is raised by `next` and `poll`."""
        self._lease = lease
        self._ask = ask
        self._called = time.monotonic()
        self._timeout = timeout
        self._lock = threading.Lock()
        self._cancelled = False
        self._begun = threading.Event()
        self._generation: Generation | None = None
        self._error: BaseException | None = None
        self._bell: tuple[Bell, int] | None = None
        lease.wake().add_done_callback(self._started)

    def _started(self, future: Future[Backend]) -> None:
        """Ask the model, in the thread that started it."""
        try:
            waited = time.monotonic() - self._called
            backend = future.result()
            generation: Generation
            if self._cancelled:
                self._lease.release()
                generation = Cancelled(waited)
            else:
                generation = Leased(self._lease, self._ask(backend, waited))
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever reads
            self._lease.release()
            with self._lock:
                self._error = own(error)
                self._begun.set()
                self._tell()
        else:
            with self._lock:
                self._generation = generation
                cancelled = self._cancelled
                self._begun.set()
                self._tell()
            if cancelled:
                generation.cancel()

    def next(self) -> Event:
        """Wait for what comes next."""
        if not self._begun.is_set() and not self._begun.wait(self._left()):
            raise self._late()
        return self._whole().next()

    def _left(self) -> float:
        """Return the seconds in which it has to begin."""
        return max(0.0, self._timeout - (time.monotonic() - self._called))

    def poll(self) -> Event | None:
        """Return what `next()` would, or None where it would wait."""
        if not self._begun.is_set():
            if not self._left():
                raise self._late()
            return None
        return self._whole().poll()

    def _late(self) -> RequestError:
        """Give the model up: whoever keeps the error holds nothing."""
        self.cancel()
        self._lease.release()
        return late()

    def _whole(self) -> Generation:
        """Return what was begun, or raise why nothing was."""
        if self._error is not None:
            raise self._error
        assert self._generation is not None  # noqa: S101 - one of the two is there
        return self._generation

    def watch(self, bell: Bell, key: int) -> None:
        """Have `bell` told, under `key`, of what comes after `poll()` returned None, or is there now."""
        with self._lock:
            self._bell = (bell, key)
            self._tell()

    def expires(self) -> float | None:
        """Return the seconds after which `poll()` raises, though no bell is told; None where one is."""
        return None if self._begun.is_set() else self._left()

    def _tell(self) -> None:
        """Pass the bell on to what was begun, or ring it for what wasn't; whoever calls it holds the lock."""
        if self._bell is None:
            return
        if self._generation is not None:
            self._generation.watch(*self._bell)
        elif self._error is not None:
            bell, key = self._bell
            bell.ring(key)

    def cancel(self) -> None:
        """Stop decoding at the next step, or as soon as there is one."""
        with self._lock:
            self._cancelled = True
            generation = self._generation
        if generation is not None:
            generation.cancel()


def own(error: BaseException) -> BaseException:
    """Copy an error that several requests wait for: each raises its own, with its own traceback."""
    if isinstance(error, StrongroomError):
        return from_core(error.code, error.message, error.next_step)
    return error


def late() -> RequestError:
    """Build the error for a request whose time was over before its model was started."""
    return RequestError(
        "request.deadline",
        "the request's time was over before its model was started again",
        "raise timeout; keep=True keeps a model loaded",
    )
