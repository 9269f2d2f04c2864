"""The models of a Router, by name."""

import os
import threading
from collections.abc import Callable

from strongroom.backends.backend import Backend
from strongroom.errors import OptionError, RouterError
from strongroom.options import shown

__all__ = ["MAX_NAME", "Registry"]

MAX_NAME = 100


def checked_name(name: object) -> str:
    """Check a name for a model: what logs, tables and URLs can show."""
    if not isinstance(name, str):
        raise OptionError("option.wrong_type", f"a model's name must be a string, not {shown(name)}")
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise RouterError("router.invalid_name", f"{shown(name)} is no name for a model")
    return name


class Registry:
    """Names and their backends. Safe to use from many threads, in the process that made it."""

    def __init__(self) -> None:
        """Start without models."""
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] = {}
        self._loading: set[str] = set()
        self._closed = False
        self._pid = os.getpid()

    def check(self) -> None:
        """Raise where no method but `close` may be called any more."""
        if os.getpid() != self._pid:
            raise RouterError(
                "router.forked", "the Router belongs to another process: this one was forked from it"
            )
        if self._closed:
            raise RouterError("router.closed", "the Router is closed")

    def add(self, name: str, start: Callable[[], Backend]) -> Backend:
        """Reserve `name`, start its backend without holding up others, and keep it."""
        self.check()
        name = checked_name(name)
        with self._lock:
            if name in self._backends or name in self._loading:
                raise RouterError("router.name_taken", f"a model named {name!r} is loaded, or being loaded")
            self._loading.add(name)
        try:
            backend = start()
        except BaseException:
            with self._lock:
                self._loading.discard(name)
            raise
        with self._lock:
            self._loading.discard(name)
            closed = self._closed
            if not closed:
                self._backends[name] = backend
        if closed:
            backend.close()
            self.check()
        return backend

    def get(self, name: object) -> tuple[str, Backend]:
        """Return the model of that name; None is the only one there is."""
        self.check()
        with self._lock:
            loaded = ", ".join(sorted(self._backends)) or "none"
            if name is None:
                if len(self._backends) == 1:
                    return next(iter(self._backends.items()))
                code = "router.ambiguous_model" if self._backends else "router.unknown_model"
                raise RouterError(
                    code, f"model= was left out, and not exactly one model is loaded; loaded: {loaded}"
                )
            if isinstance(name, str) and name in self._backends:
                return name, self._backends[name]
        raise RouterError("router.unknown_model", f"no model has that name; loaded: {loaded}")

    def all(self) -> list[Backend]:
        """Return every model, in the order of loading."""
        self.check()
        with self._lock:
            return list(self._backends.values())

    def remove(self, name: str) -> None:
        """Forget a model and end what serves it."""
        self.get(name)
        with self._lock:
            backend = self._backends.pop(name, None)
        if backend is not None:  # another thread may have been faster
            backend.close()

    def close(self) -> None:
        """Forget every model and end what serves them. Again is nothing; so it is after a fork."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
            backends = list(self._backends.values())
            self._backends.clear()
        for backend in backends:
            backend.close()
