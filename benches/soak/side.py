"""A Router and an AsyncRouter, driven alike by the threads that disturb them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Protocol

from benches.soak import loop, threads
from benches.soak.asking import STEADY, Draw
from benches.soak.ledger import Ledger
from strongroom import AsyncRouter, Completion, ModelInfo, RequestError, Router, Settings, StrongroomError
from strongroom.backends.backend import Embeddings, Priority

__all__ = ["ForLoops", "ForThreads", "Side", "held"]


class Side(Protocol):
    """What disturbs a Router calls these, in any thread."""

    def load(self, name: str, *, keep: bool = False, embeddings: Embeddings = False) -> ModelInfo:
        """Load the model under a name."""

    def unload(self, name: str) -> None:
        """Unload it."""

    def models(self) -> list[ModelInfo]:
        """Describe all."""

    def complete(self, model: str, *, tenant: str | None = None, priority: Priority = "normal") -> Completion:
        """Ask for a token."""

    def open(self) -> object:
        """Ask the steady model, and read nothing."""

    def cancel_all(self, ledger: Ledger, draw: Draw, slots: int) -> None:
        """Cancel what is in every slot."""

    def close(self) -> None:
        """End it."""


class ForThreads:
    """A Router."""

    def __init__(self, settings: Settings, path: Path, checksum: str) -> None:
        """Make it, without a model."""
        self.router = Router(settings)
        self._file = path, checksum

    def load(self, name: str, *, keep: bool = False, embeddings: Embeddings = False) -> ModelInfo:
        """Load the model under a name."""
        path, checksum = self._file
        return self.router.load(name, path, checksum=checksum, keep=keep, embeddings=embeddings)

    def unload(self, name: str) -> None:
        """Unload it."""
        self.router.unload(name)

    def models(self) -> list[ModelInfo]:
        """Describe all."""
        return self.router.models()

    def complete(self, model: str, *, tenant: str | None = None, priority: Priority = "normal") -> Completion:
        """Ask for a token."""
        return self.router.complete("the", model=model, max_tokens=1, tenant=tenant, priority=priority)

    def open(self) -> object:
        """Ask the steady model, and read nothing."""
        return self.router.stream("the", raw=True, model=STEADY, max_tokens=1)

    def cancel_all(self, ledger: Ledger, draw: Draw, slots: int) -> None:
        """Cancel what is in every slot."""
        threads.cancel_all(self.router, ledger, draw, slots)

    def close(self) -> None:
        """End it."""
        self.router.close()


class ForLoops:
    """An AsyncRouter, and the loop in which it is used."""

    def __init__(self, settings: Settings, path: Path, checksum: str) -> None:
        """Make it, without a model."""
        self.router = AsyncRouter(settings)
        self.loop = loop.Loop()
        self._file = path, checksum

    def load(self, name: str, *, keep: bool = False, embeddings: Embeddings = False) -> ModelInfo:
        """Load the model under a name."""
        path, checksum = self._file
        return self.loop.run(
            self.router.load(name, path, checksum=checksum, keep=keep, embeddings=embeddings)
        )

    def unload(self, name: str) -> None:
        """Unload it."""
        self.loop.run(self.router.unload(name))

    def models(self) -> list[ModelInfo]:
        """Describe all."""
        return self.loop.run(self.router.models())

    def complete(self, model: str, *, tenant: str | None = None, priority: Priority = "normal") -> Completion:
        """Ask for a token."""
        return self.loop.run(
            self.router.complete("the", model=model, max_tokens=1, tenant=tenant, priority=priority)
        )

    def open(self) -> object:
        """Ask the steady model, and read nothing."""
        return self.router.stream("the", raw=True, model=STEADY, max_tokens=1)

    def cancel_all(self, ledger: Ledger, draw: Draw, slots: int) -> None:
        """Cancel what is in every slot."""
        self.loop.run(loop.cancel_all(self.router, ledger, draw, slots))

    def close(self) -> None:
        """End it, and the loop."""
        self.loop.run(self.router.close())
        self.loop.close()


def held(side: Side, most: int) -> list[str]:
    """Say which requests are still held, at a moment when none should be: no place may be lost."""
    found = [f"{info.name}: a request holds it" for info in side.models() if info.idle_seconds == 0]
    pid = next(info.pid for info in side.models() if info.name == STEADY)
    os.kill(pid, signal.SIGSTOP)
    streams: list[object] = []
    try:
        deadline = time.monotonic() + 5
        while len(streams) < most:
            try:
                streams.append(side.open())
            except RequestError as error:
                # A place is given back where the core takes note of an end, which may be a moment later.
                if error.code != "request.busy" or time.monotonic() > deadline:
                    found.append(f"{STEADY}: of {most} places, {len(streams)} are left: {error.code}")
                    break
                time.sleep(0.01)
        try:
            side.open()
            found.append(f"{STEADY}: holds more than {most} requests")
        except StrongroomError:
            pass
    finally:
        streams.clear()
        os.kill(pid, signal.SIGCONT)
    return found
