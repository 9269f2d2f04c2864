"""Generations that hold their model, so that it isn't unloaded, and is started again where it rests."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from strongroom.backends.backend import Backend, Began, Event, Generation
from strongroom.errors import RequestError, StrongroomError, from_core
from strongroom.results import Piece
from strongroom.router.registry import Lease

__all__ = ["Ask", "Leased", "Waking"]

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

    def fileno(self) -> int:
        """Return a descriptor that is readable when `poll()` has something."""
        return self._generation.fileno()

    def cancel(self) -> None:
        """Stop decoding at the next step."""
        self._generation.cancel()


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
        self._generation: Leased | None = None
        self._error: BaseException | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        lease.wake().add_done_callback(self._started)

    def __del__(self) -> None:
        """Close the descriptor."""
        if (wake := getattr(self, "_wake", None)) is not None:
            os.close(wake)

    def _started(self, future: Future[Backend]) -> None:
        """Ask the model, in the thread that started it."""
        try:
            generation = Leased(self._lease, self._ask(future.result(), time.monotonic() - self._called))
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever reads
            self._error = own(error)
            self._lease.release()
        else:
            with self._lock:
                self._generation = generation
                cancelled = self._cancelled
            if cancelled:
                generation.cancel()
        self._begun.set()
        os.eventfd_write(self._wake, 1)

    def next(self) -> Event:
        """Wait for what comes next."""
        left = self._timeout - (time.monotonic() - self._called)
        if not self._begun.is_set() and not self._begun.wait(max(0.0, left)):
            raise late()
        return self._whole().next()

    def poll(self) -> Event | None:
        """Return what `next()` would, or None where it would wait."""
        if not self._begun.is_set():
            if time.monotonic() - self._called > self._timeout:
                raise late()
            return None
        return self._whole().poll()

    def _whole(self) -> Leased:
        """Return what was begun, or raise why nothing was."""
        if self._error is not None:
            raise self._error
        assert self._generation is not None  # noqa: S101 - one of the two is there
        return self._generation

    def fileno(self) -> int:
        """Return a descriptor that is readable when `poll()` has something."""
        return self._wake if self._generation is None else self._generation.fileno()

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
