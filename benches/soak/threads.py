"""The Router's side: threads that each put one request after another."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from benches.soak.asking import STEADY, Asking, Draw
from benches.soak.book import LONGEST
from benches.soak.judging import answered, embedded, failed, streamed
from benches.soak.ledger import Ledger, Ticket
from strongroom import Piece, Router, StrongroomError

__all__ = ["Threads", "cancel_all", "flood"]


class Threads:
    """Puts requests to a Router until the ledger is over."""

    def __init__(self, router: Router, ledger: Ledger, draws: list[Draw]) -> None:
        """Start a thread for each of `draws`."""
        self._router = router
        self._ledger = ledger
        self._threads = [threading.Thread(target=self._go_on, args=(draw,), daemon=True) for draw in draws]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for their end."""
        for thread in self._threads:
            thread.join()

    def _go_on(self, draw: Draw) -> None:
        while not self._ledger.over.is_set():
            asking = draw.next()
            ticket = self._ledger.enter(asking.kind, asking.model)
            if ticket is None:
                time.sleep(0.01)
            else:
                perform(self._router, self._ledger, ticket, asking)


def perform(router: Router, ledger: Ledger, ticket: Ticket, asking: Asking) -> None:
    """Ask, read, judge, and end the ticket."""
    outcome = "lost"
    try:
        outcome = ask(router, ledger, asking)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        outcome = failed(ledger, ticket, asking, error)
    finally:
        ledger.end(ticket, outcome)


def ask(router: Router, ledger: Ledger, asking: Asking) -> str:
    """Put the request; return how it ended."""
    options: dict[str, Any] = {"model": asking.model, **asking.options}
    if asking.kind == "tokenize":
        router.tokenize(asking.prompt, model=asking.model)
        return "answered"
    if asking.kind == "publish":
        router.publish(asking.prompt, **options)
        return "answered"
    if asking.kind == "embed":
        return embedded(ledger, asking, (router.embed(asking.prompt, **options)).tolist())
    if asking.reading == "whole":
        method = router.chat if asking.chat else router.complete
        return answered(ledger, asking, method(asking.prompt, **options))
    return read(router, ledger, asking, options)


def read(router: Router, ledger: Ledger, asking: Asking, options: dict[str, Any]) -> str:
    """Read a stream in the way that was drawn."""
    stream = router.stream(asking.prompt, raw=not asking.chat, **options)
    pieces: list[Piece] = []
    if asking.reading in {"late", "never"}:
        time.sleep(asking.pause)
    if asking.reading == "never":
        return "dropped"
    for piece in stream:
        pieces.append(piece)
        if asking.reading == "slowly":
            time.sleep(min(asking.pause, 0.02))
        elif asking.reading == "cancel":
            stream.cancel()
        elif asking.reading == "close":
            stream.close()
            return "closed"
        elif asking.reading == "abandon":
            return "dropped"
    return streamed(ledger, asking, pieces, next(stream, None), stream.result)


def cancel_all(router: Router, ledger: Ledger, draw: Draw, slots: int) -> None:
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
    time.sleep(0.02)
    for _, _, stream in begun:
        stream.cancel()
    for asking, ticket, stream in begun:
        outcome = "lost"
        try:
            pieces = list(stream)
            outcome = streamed(ledger, asking, pieces, next(stream, None), stream.result)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            outcome = failed(ledger, ticket, asking, error)
        finally:
            ledger.end(ticket, outcome)


def flood(router: Router, ledger: Ledger, draw: Draw, source: random.Random, most: int) -> None:
    """Ask for more than is held, of one tenant or of nobody, and drop it all."""
    whose = source.choice((None, draw.a_tenant()))
    held = []
    for _ in range(most + 1):
        asking = draw.marked("flood", STEADY, LONGEST, "never", whose=whose, priority="low")
        ticket = ledger.part(asking.kind, STEADY)
        try:
            held.append((ticket, router.stream(asking.prompt, raw=True, model=STEADY, **asking.options)))
        except StrongroomError as error:
            ledger.end(ticket, failed(ledger, ticket, asking, error))
            break
    while held:
        ticket, stream = held.pop()
        del stream
        ledger.end(ticket, "dropped")
