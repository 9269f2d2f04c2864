"""Streams: the pieces of an answer, one at a time."""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from strongroom.backends.backend import Event, Generation
from strongroom.errors import RequestError
from strongroom.results import Completion, Piece
from strongroom.router.answer import Answer

if TYPE_CHECKING:  # of event loops, which a Router needs none of
    from strongroom.router.bells import Bells

__all__ = ["AsyncStream", "Stream"]


class BaseStream:
    """What both kinds of stream have. Dropped or closed before its end, decoding stops.

    One thread or task reads at a time; another that tries meanwhile gets RequestError.
    """

    def __init__(self, generation: Generation, model: str, seed: int) -> None:
        """Read `generation`."""
        self._generation: Generation | None = generation
        self._answer = Answer(model, seed)
        self._seed = seed
        self._reading = threading.Lock()

    @property
    def seed(self) -> int:
        """Of the random numbers."""
        return self._seed

    @property
    def result(self) -> Completion:
        """The whole answer, once the stream was read to its end; before, RequestError."""
        return self._answer.result()

    def cancel(self) -> None:
        """Stop decoding at the next step; read on for what was said until then, and for the result."""
        if self._generation is not None:
            self._generation.cancel()

    def _take(self, event: Event) -> Piece | None:
        """Take in one event, and let go of the request at its end."""
        piece = self._answer.take(event)
        if self._answer.ended:
            self._generation = None
        return piece

    def _begin_reading(self) -> None:
        """Be the one who reads."""
        if not self._reading.acquire(blocking=False):
            raise RequestError("request.already_read", "another thread or task is reading this stream")

    def _drop(self) -> None:
        """Stop decoding, if it goes on."""
        generation, self._generation = self._generation, None
        if generation is not None:
            generation.cancel()


class Stream(BaseStream):
    """An iterator over the pieces of an answer; `result` is the whole of it afterwards.

    Closing it, dropping it, or leaving its `with` block stops decoding at the next step.
    """

    def __iter__(self) -> Self:
        """Iterate."""
        return self

    def __next__(self) -> Piece:
        """Wait for the next piece."""
        self._begin_reading()
        try:
            while (generation := self._generation) is not None:
                piece = self._take(generation.next())
                if piece is not None:
                    return piece
        except BaseException:  # Ctrl-C too; a traceback would keep the request alive
            self._drop()
            raise
        finally:
            self._reading.release()
        raise StopIteration

    def read(self) -> Completion:
        """Read to the end; return the result."""
        for _ in self:
            pass
        return self.result

    def close(self) -> None:
        """Stop decoding. Again is nothing."""
        self._drop()

    def __enter__(self) -> Self:
        """Close it in the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class AsyncStream(BaseStream):
    """An asynchronous iterator over the pieces of an answer; `result` is the whole of it afterwards.

    Closing it, dropping it, cancelling the task that waits for it, or leaving its `async with` block
    stops decoding at the next step. No thread waits for it: the event loop watches one descriptor for all
    streams of the AsyncRouter, and is woken once for all that got something together.
    """

    def __init__(self, generation: Generation, model: str, seed: int, bells: "Bells") -> None:
        """Read `generation`, woken by `bells`."""
        super().__init__(generation, model, seed)
        self._listening = bells.listening()

    def __aiter__(self) -> Self:
        """Iterate."""
        return self

    async def __anext__(self) -> Piece:
        """Wait for the next piece."""
        self._begin_reading()
        try:
            while (generation := self._generation) is not None:
                event = generation.poll()
                if event is None:
                    news = self._listening.news(generation)
                    # Of a task that is cancelled here the traceback is kept, and would keep what it names.
                    del generation
                    await news
                elif (piece := self._take(event)) is not None:
                    return piece
        except BaseException:  # cancellation too; a traceback would keep the request alive
            self._drop()
            raise
        finally:
            self._reading.release()
        raise StopAsyncIteration

    async def read(self) -> Completion:
        """Read to the end; return the result."""
        async for _ in self:
            pass
        return self.result

    async def close(self) -> None:
        """Stop decoding. Again is nothing."""
        self._drop()

    async def __aenter__(self) -> Self:
        """Close it in the end."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
