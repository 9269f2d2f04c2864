"""The models of a Router, by name, and the memory that they share."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from strongroom.backends.backend import Backend
from strongroom.errors import OptionError, RequestError, RouterError
from strongroom.options import shown
from strongroom.results import MemoryUse, ModelInfo
from strongroom.router.budget import NOTHING, Budget, Claim
from strongroom.router.publishing import Prefix, read_again
from strongroom.settings import Settings

__all__ = ["MAX_NAME", "Lease", "MakeRoom", "Recipe", "Registry", "checked_name"]

MAX_NAME = 100

MakeRoom = Callable[[MemoryUse], None]
"""Makes room for what is about to be taken, or raises LoadError."""


class Recipe(Protocol):
    """How a model is started, and started again after it was unloaded to make place."""

    @property
    def image_bytes(self) -> int:
        """Bytes of the sealed image, if it is held; else 0."""

    def start(self, make_room: MakeRoom) -> Backend:
        """Start what serves it, out of the image that is held, or read and proved anew.

        `make_room` is called before the weights are read, and before a worker is started.
        """

    def forget(self) -> None:
        """Let go of the sealed image."""


def checked_name(name: object) -> str:
    """Check a name for a model: what logs, tables and URLs can show."""
    if not isinstance(name, str):
        raise OptionError("option.wrong_type", f"a model's name must be a string, not {shown(name)}")
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise RouterError("router.invalid_name", f"{shown(name)} is no name for a model")
    return name


@dataclass(eq=False)
class Entry:
    """A model: being loaded, ready, or resting, unloaded to make place until a request asks for it."""

    name: str
    recipe: Recipe
    keep: bool
    backend: Backend | None = None
    """None while it is loaded, and while it rests."""
    users: int = 0
    """Requests that hold it."""
    used: float = field(default_factory=time.monotonic)
    """When a request last held it."""
    starting: Future[Backend] | None = None
    """Its being started again, which all requests for it wait for."""
    claim: Claim = NOTHING
    prefixes: list[Prefix] = field(default_factory=list)
    """What was published, and is read again whenever it is started again."""
    last: ModelInfo | None = None
    """As it was when it was started, or unloaded."""

    @property
    def idle(self) -> bool:
        """Whether it may be unloaded to make place."""
        return self.backend is not None and self.users == 0 and not self.keep and self.starting is None

    @property
    def droppable(self) -> bool:
        """Whether it rests, and holds an image that can be read again."""
        return self.backend is None and self.starting is None and self.recipe.image_bytes > 0


class Lease:
    """A model that is not unloaded to make place until this is released, or dropped."""

    __slots__ = ("_entry", "_registry", "backend")

    def __init__(self, registry: "Registry", entry: Entry) -> None:
        """Hold `entry`; whoever makes it holds the registry's lock."""
        self._registry: Registry | None = registry
        self._entry = entry
        self.backend = entry.backend
        """None where it rests: `wake` starts it."""

    @property
    def name(self) -> str:
        """The model's."""
        return self._entry.name

    def wake(self) -> Future[Backend]:
        """Start it again, if nobody does already. What is returned ends with it, or with the reason."""
        assert self._registry is not None  # noqa: S101 - a released lease wakes nobody
        return self._registry.wake(self._entry)

    def published(self, prefix: Prefix) -> None:
        """Keep what was published, for when it is started again."""
        if self._registry is not None:
            self._registry.published(self._entry, prefix)

    def release(self) -> None:
        """Hold it no longer. Again is nothing."""
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.released(self._entry)

    def __del__(self) -> None:
        """Hold it no longer."""
        self.release()


class Registry:
    """Names and their backends. Safe to use from many threads, in the process that made it.

    Two locks: `_lock` for the names and who uses them, held for moments; `_room`, taken before it, for making
    room, so that of two models that need the same memory one gets it.
    """

    def __init__(self, settings: Settings) -> None:
        """Start without models."""
        # Reentrant: a lease may be dropped by the garbage collector while this thread holds it.
        self._lock = threading.RLock()
        self._room = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._loading: dict[str, Entry] = {}
        self._budget = Budget(settings.limits)
        self._may_unload = settings.limits.unload_idle
        self._closed = False
        self._pid = os.getpid()
        self.timeout = settings.security.sandboxing.timeout_seconds
        """Seconds that a request may take at most."""

    def check(self) -> None:
        """Raise where no method but `close` may be called any more."""
        if os.getpid() != self._pid:
            raise RouterError(
                "router.forked", "the Router belongs to another process: this one was forked from it"
            )
        if self._closed:
            raise RouterError("router.closed", "the Router is closed")

    def add(self, name: str, recipe: Recipe, *, keep: bool) -> ModelInfo:
        """Reserve `name`, start its backend without holding up others, and keep it."""
        self.check()
        entry = Entry(checked_name(name), recipe, keep)
        with self._lock:
            if name in self._entries or name in self._loading:
                raise RouterError("router.name_taken", f"a model named {name!r} is loaded, or being loaded")
            self._loading[name] = entry
        try:
            backend = recipe.start(lambda memory: self._make_room(entry, memory))
        except BaseException:
            with self._lock:
                del self._loading[name]
            raise
        info = backend.info()
        with self._lock:
            del self._loading[name]
            closed = self._closed
            if not closed:
                self._ready(entry, backend, info)
                self._entries[name] = entry
        if closed:
            backend.close()
            self.check()
        return described(entry, info)

    def lease(self, name: object) -> Lease:
        """Hold the model of that name; None is the only one there is."""
        self.check()
        with self._lock:
            entry = self._find(name)
            entry.users += 1
            return Lease(self, entry)

    def released(self, entry: Entry) -> None:
        """Take back a lease."""
        if os.getpid() != self._pid:  # who held the lock when this process was forked holds it forever
            return
        with self._lock:
            entry.users -= 1
            entry.used = time.monotonic()

    def published(self, entry: Entry, prefix: Prefix) -> None:
        """Keep what was published."""
        with self._lock:
            if prefix not in entry.prefixes:
                entry.prefixes.append(prefix)

    def _find(self, name: object) -> Entry:
        """Find a model; whoever calls it holds the lock."""
        loaded = ", ".join(sorted(self._entries)) or "none"
        if name is None:
            if len(self._entries) == 1:
                return next(iter(self._entries.values()))
            code = "router.ambiguous_model" if self._entries else "router.unknown_model"
            raise RouterError(
                code, f"model= was left out, and not exactly one model is loaded; loaded: {loaded}"
            )
        if isinstance(name, str) and name in self._entries:
            return self._entries[name]
        raise RouterError("router.unknown_model", f"no model has that name; loaded: {loaded}")

    def describe(self, name: str | None) -> ModelInfo:
        """Describe the model of that name; None is the only one there is."""
        lease = self.lease(name)
        try:
            return next(info for info in self.models() if info.name == lease.name)
        finally:
            lease.release()

    def models(self) -> list[ModelInfo]:
        """Describe every model, in the order of loading."""
        self.check()
        with self._lock:
            entries = [(entry, entry.backend) for entry in self._entries.values()]
        # Outside of the lock: what serves a model is asked.
        return [
            described(entry, entry.last if backend is None else backend.info()) for entry, backend in entries
        ]

    def wake(self, entry: Entry) -> Future[Backend]:
        """Start a model again that rests; all who wait for it get the same future."""
        with self._lock:
            if entry.starting is not None:
                return entry.starting
            future: Future[Backend] = Future()
            if entry.backend is not None:
                future.set_result(entry.backend)
                return future
            if self._entries.get(entry.name) is not entry:
                future.set_exception(unloaded())
                return future
            entry.starting = future
        thread = threading.Thread(
            target=self._start_again, args=(entry, future), name=f"strongroom-wake-{entry.name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                entry.starting = None
            reason = f"no thread starts {entry.name!r} again: {error}"
            future.set_exception(RequestError("request.no_resources", reason, "try again later"))
        return future

    def _start_again(self, entry: Entry, future: Future[Backend]) -> None:
        """Start a model again and say so, or why not."""
        backend: Backend | None = None
        try:
            backend = entry.recipe.start(lambda memory: self._make_room(entry, memory))
            with self._lock:
                prefixes = tuple(entry.prefixes)
            read_again(entry.name, backend, prefixes, self.timeout)
            info = backend.info()
        except BaseException as error:  # noqa: BLE001 - it is raised to those who wait
            try:
                if backend is not None:
                    backend.close()
            finally:
                with self._lock:
                    entry.starting = None
                    entry.claim = held_image(entry)
                future.set_exception(error)
            return
        with self._lock:
            entry.starting = None
            there = not self._closed and self._entries.get(entry.name) is entry
            if there:
                self._ready(entry, backend, info)
        if there:
            future.set_result(backend)
        else:
            backend.close()
            future.set_exception(unloaded())

    @staticmethod
    def _ready(entry: Entry, backend: Backend, info: ModelInfo) -> None:
        """Note that a model is served; whoever calls it holds the lock."""
        entry.backend, entry.last = backend, info
        entry.used = time.monotonic()
        entry.claim = Claim(entry.claim.total, entry.claim.total)

    def _make_room(self, entry: Entry, memory: MemoryUse) -> None:
        """Claim memory for a model, unloading unused ones where that helps; or raise LoadError."""
        claim = Claim(memory.total, entry.recipe.image_bytes)
        with self._room:
            while True:
                with self._lock:
                    others = {
                        other.name: other.claim
                        for other in (*self._entries.values(), *self._loading.values())
                        if other is not entry
                    }
                    missing = self._budget.missing(claim, list(others.values()))
                    if missing <= 0:
                        entry.claim = claim
                        return
                    victim = self._victim(entry, missing)
                    if victim is None:
                        raise self._budget.refusal(entry.name, memory, claim, others)
                    backend, victim.backend = victim.backend, None
                self._rest(victim, backend, missing)
                del backend  # it holds the image

    def _victim(self, entry: Entry, missing: int) -> Entry | None:
        """Choose what to unload; nothing where all that could be unloaded would not do."""
        if not self._may_unload:
            return None
        others = [other for other in self._entries.values() if other is not entry]
        images = [other for other in others if other.droppable]
        idle = [other for other in others if other.idle]
        if sum(other.claim.total for other in (*images, *idle)) < missing:
            return None
        return min(images or idle, key=lambda other: other.used)

    def _rest(self, entry: Entry, backend: Backend | None, missing: int) -> None:
        """End what serves a model; let its image go too, where more than the worker is needed.

        A request that comes meanwhile starts it again, and waits for this to end before it gets room.
        """
        if backend is not None:
            entry.last = backend.info()
            backend.close()
            if missing <= entry.claim.total - entry.recipe.image_bytes:
                entry.claim = held_image(entry)
                return
        entry.recipe.forget()
        entry.claim = NOTHING

    def remove(self, name: str) -> None:
        """Forget a model and end what serves it."""
        self.check()
        with self._room:  # its memory is nobody's before its worker has ended
            with self._lock:
                entry = self._find(name)
                del self._entries[entry.name]
                backend, entry.backend = entry.backend, None
            if backend is not None:
                backend.close()

    def close(self) -> None:
        """Forget every model and end what serves them. Again is nothing; so it is after a fork."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
            backends = [entry.backend for entry in self._entries.values()]
            self._entries.clear()
        for backend in backends:
            if backend is not None:
                backend.close()


def described(entry: Entry, info: ModelInfo | None) -> ModelInfo:
    """Complete what a backend says of itself."""
    assert info is not None  # noqa: S101 - a model rests only after it was asked
    return replace(
        info,
        state="ready" if entry.backend is not None else "resting",
        kept=entry.keep,
        idle_seconds=0.0 if entry.users else max(0.0, time.monotonic() - entry.used),
    )


def held_image(entry: Entry) -> Claim:
    """Return what a model that rests takes."""
    return Claim(entry.recipe.image_bytes, entry.recipe.image_bytes)


def unloaded() -> RequestError:
    """Build the error for a request whose model was unloaded while it was being started for it."""
    return RequestError("request.unloaded", "the model was unloaded", "load the model again")
