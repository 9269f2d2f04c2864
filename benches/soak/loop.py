"""The AsyncRouter's side: tasks of one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from benches.soak.asking import STEADY, Asking, Draw
from benches.soak.book import LONGEST
from benches.soak.growth import all_started
from benches.soak.judging import answered, embedded, failed, streamed
from benches.soak.ledger import Ledger, Ticket
from strongroom import AsyncRouter, Completion, Piece, StrongroomError

__all__ = ["Loop", "Tasks", "cancel_all"]

T = TypeVar("T")


class Loop:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(all_started(4))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there, and wait for what it returns."""
        return self.start(coroutine).result()

    def close(self) -> None:
        """End it."""
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Tasks:
    """Puts requests to an AsyncRouter until the ledger is over."""

    def __init__(self, loop: Loop, router: AsyncRouter, ledger: Ledger, draws: list[Draw]) -> None:
        """Start a task for each of `draws`."""
        self._router = router
        self._ledger = ledger
        self._futures = [loop.start(self._go_on(draw)) for draw in draws]

    def join(self) -> None:
        """Wait for their end."""
        for future in self._futures:
            future.result()

    async def _go_on(self, draw: Draw) -> None:
        while not self._ledger.over.is_set():
            asking = draw.next()
            ticket = self._ledger.enter(asking.kind, asking.model)
            if ticket is None:
                await asyncio.sleep(0.01)
            else:
                await perform(self._router, self._ledger, ticket, asking)


async def perform(router: AsyncRouter, ledger: Ledger, ticket: Ticket, asking: Asking) -> None:
    """Ask, read, judge, and end the ticket."""
    outcome = "lost"
    try:
        outcome = await ask(router, ledger, asking)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        outcome = failed(ledger, ticket, asking, error)
    finally:
        ledger.end(ticket, outcome)


async def ask(router: AsyncRouter, ledger: Ledger, asking: Asking) -> str:
    """Put the request; return how it ended."""
    options: dict[str, Any] = {"model": asking.model, **asking.options}
    if asking.kind == "tokenize":
        await router.tokenize(asking.prompt, model=asking.model)
        return "answered"
    if asking.kind == "publish":
        await router.publish(asking.prompt, **options)
        return "answered"
    if asking.kind == "embed":
        return embedded(ledger, asking, (await router.embed(asking.prompt, **options)).tolist())
    method = router.chat if asking.chat else router.complete
    if asking.reading == "whole":
        return answered(ledger, asking, await method(asking.prompt, **options))
    if asking.reading == "abandon":
        return await abandon(ledger, asking, method(asking.prompt, **options))
    return await read(router, ledger, asking, options)


async def abandon(ledger: Ledger, asking: Asking, answering: Coroutine[Any, Any, Completion]) -> str:
    """Cancel the task that waits, if there is time."""
    task = asyncio.create_task(answering)
    await asyncio.sleep(asking.pause / 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        return answered(ledger, asking, await task)
    return "abandoned"


async def read(router: AsyncRouter, ledger: Ledger, asking: Asking, options: dict[str, Any]) -> str:
    """Read a stream in the way that was drawn."""
    stream = router.stream(asking.prompt, raw=not asking.chat, **options)
    pieces: list[Piece] = []
    if asking.reading in {"late", "never"}:
        await asyncio.sleep(asking.pause)
    if asking.reading == "never":
        return "dropped"
    async for piece in stream:
        pieces.append(piece)
        if asking.reading == "slowly":
            await asyncio.sleep(min(asking.pause, 0.02))
        elif asking.reading == "cancel":
            stream.cancel()
        elif asking.reading == "close":
            await stream.close()
            return "closed"
    return streamed(ledger, asking, pieces, await anext(stream, None), stream.result)


async def cancel_all(router: AsyncRouter, ledger: Ledger, draw: Draw, slots: int) -> None:
    """Have a request in every slot, and as many that wait, and cancel all of them at once."""
    begun = []
    for _ in range(2 * slots):
        asking = draw.marked("all cancelled", STEADY, LONGEST, "cancel")
        ticket = ledger.part(asking.kind, STEADY)
        try:
            begun.append(
                (asking, ticket, router.stream(asking.prompt, raw=True, model=STEADY, **asking.options))
            )
        except StrongroomError as error:
            ledger.end(ticket, failed(ledger, ticket, asking, error))
    await asyncio.sleep(0.02)
    for _, _, stream in begun:
        stream.cancel()
    for asking, ticket, stream in begun:
        outcome = "lost"
        try:
            pieces = [piece async for piece in stream]
            outcome = streamed(ledger, asking, pieces, await anext(stream, None), stream.result)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            outcome = failed(ledger, ticket, asking, error)
        finally:
            ledger.end(ticket, outcome)
