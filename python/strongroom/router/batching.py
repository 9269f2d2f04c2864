"""Driving a batch from a thread, which waits for one bell."""

import math
import select
import time
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from os import PathLike

from strongroom._core import Bell
from strongroom.backends.backend import Generation, Priority
from strongroom.errors import OptionError, StrongroomError
from strongroom.messages import Message, Prompt
from strongroom.options import is_path, path_text, shown
from strongroom.router.answer import Answer
from strongroom.router.batch import (
    Batch,
    BatchProgress,
    Item,
    OnError,
    Result,
    concurrency_of,
    pause,
    prompts_of,
)
from strongroom.router.claim import checked_priority, checked_tenant
from strongroom.router.journal import Journal, options_digest
from strongroom.router.registry import Registry
from strongroom.router.request import Begun, begin
from strongroom.sampling import Sampling, SamplingOptions

__all__ = ["Plan", "answers"]


class Plan:
    """What `generate_batch` was given, checked before anything is asked."""

    def __init__(
        self,
        registry: Registry,
        prompts: Iterable[Prompt],
        *,
        raw: bool,
        model: str | None,
        concurrency: int | None,
        limit: int,
        resume: str | PathLike[str] | None,
        progress: bool | BatchProgress,
        on_error: OnError,
        tenant: str | bytes | None,
        priority: Priority,
        timeout: str | float | None,
        options: SamplingOptions,
    ) -> None:
        """Check it; `limit` is of requests that a model holds at once.

        Raises OptionError, RouterError.
        """
        self._registry = registry
        self._prompts = prompts_of(prompts)
        self._tenant = checked_tenant(tenant)
        self._priority = checked_priority(priority)
        self._sampling = Sampling.of(options)
        if on_error not in ("keep", "raise"):
            raise OptionError(
                "option.out_of_range", f'on_error must be "keep" or "raise", not {shown(on_error)}'
            )
        if not isinstance(raw, bool):
            raise OptionError("option.wrong_type", f"raw must be True or False, not {shown(raw)}")
        if not isinstance(progress, bool) and not callable(progress):
            raise OptionError(
                "option.wrong_type", f"progress must be True, False or callable, not {shown(progress)}"
            )
        self._progress = progress
        self._raw = raw
        self._on_error: OnError = on_error
        self._concurrency = concurrency_of(concurrency, limit)
        self._timeout = timeout
        self._options = options
        self._resume = None
        if resume is not None:
            path = path_text(resume)
            if path is None or not path or not is_path(path):
                raise OptionError("option.wrong_type", f"resume must be a path, not {shown(resume)}")
            self._resume = path
        self._info = registry.describe(model)
        self._model = self._info.name

    def journal(self) -> AbstractContextManager[Journal | None]:
        """Open the journal, where there is one.

        Raises JournalError.
        """
        if self._resume is None:
            return nullcontext()
        digest = options_digest(self._sampling, raw=self._raw, seed=self._options.get("seed"))
        return Journal(self._resume, self._info, options=digest)

    def progress(self) -> AbstractContextManager[BatchProgress | None]:
        """Show how far it is, as was asked for."""
        if not isinstance(self._progress, bool):
            return nullcontext(self._progress)
        if not self._progress:
            return nullcontext()
        from strongroom.router.bar import shown_progress  # noqa: PLC0415 - a Router without bars needs no rich

        return shown_progress(self._model)

    def batch(self, journal: Journal | None, progress: BatchProgress | None) -> Batch:
        """Begin."""
        return Batch(
            self._prompts,
            self._ask,
            model=self._model,
            raw=self._raw,
            concurrency=self._concurrency,
            journal=journal,
            on_error=self._on_error,
            progress=progress,
        )

    def _ask(self, prompt: str | tuple[Message, ...]) -> Begun:
        """Ask one prompt."""
        return begin(
            self._registry,
            prompt,
            raw=self._raw,
            model=self._model,
            tenant=self._tenant,
            priority=self._priority,
            timeout=self._timeout,
            options=self._options,
            whole=True,
        )


class Reader:
    """Reads one answer as far as it goes without waiting."""

    def __init__(self, item: Item, begun: Begun) -> None:
        """Read what was begun."""
        self.item = item
        self._generation: Generation = begun.generation
        self._answer = Answer(begun.model, begun.seed)

    def watch(self, bell: Bell, key: int) -> None:
        """Have `bell` told, under `key`, when there is something to read."""
        self._generation.watch(bell, key)

    def expires(self) -> float | None:
        """Return the seconds after which `read` has a result though no bell is told; None where one is."""
        return self._generation.expires()

    def cancel(self) -> None:
        """Stop decoding."""
        self._generation.cancel()

    def read(self) -> Result | None:
        """Read; return what became of the request, once that is known."""
        try:
            while (event := self._generation.poll()) is not None:
                self._answer.take(event)
                if self._answer.ended:
                    return self._answer.result()
        except StrongroomError as error:
            return error
        return None


class Readers:
    """What is under way, and one bell for all of it."""

    def __init__(self) -> None:
        """Begin without any; raises RequestError where there is no descriptor for a bell."""
        self._bell = Bell()
        self._news = select.poll()
        self._news.register(self._bell.fileno(), select.POLLIN)
        self._keys = count()
        self._readers: dict[int, Reader] = {}
        self._late: dict[int, float] = {}
        """When to look at those of which the bell may not be told, by the monotonic clock."""

    def add(self, item: Item, begun: Begun) -> None:
        """Read one more."""
        key, reader = next(self._keys), Reader(item, begun)
        self._readers[key] = reader
        reader.watch(self._bell, key)
        self._expect(key, reader)

    def _expect(self, key: int, reader: Reader) -> None:
        """Note when it is late."""
        self._late.pop(key, None)
        if (seconds := reader.expires()) is not None:
            self._late[key] = time.monotonic() + seconds

    def ended(self) -> list[tuple[Item, Result]]:
        """Wait until there is something to read; return what has ended."""
        wait = None
        if self._late:
            wait = math.ceil(max(0.0, min(self._late.values()) - time.monotonic()) * 1000)
        self._news.poll(wait)
        now = time.monotonic()
        ended = []
        for key in [*self._bell.take(), *(key for key, late in self._late.items() if late <= now)]:
            if (reader := self._readers.get(key)) is None:  # it was read to its end before
                continue
            if (result := reader.read()) is None:
                self._expect(key, reader)
            else:
                del self._readers[key]
                self._late.pop(key, None)
                ended.append((reader.item, result))
        return ended

    def cancel(self) -> None:
        """Stop all, and hold none: the traceback of what ends a batch would keep them."""
        for reader in self._readers.values():
            reader.cancel()
        self._readers.clear()


def answers(plan: Plan) -> Generator[Result, None, None]:
    """Yield the results in order. Closed, or ended by an error, it stops what is under way."""
    with plan.journal() as journal, plan.progress() as progress:
        batch, readers = plan.batch(journal, progress), Readers()
        try:
            while True:
                while (begun := batch.begin()) is not None:
                    readers.add(*begun)
                    begun = None  # the traceback of what the next one raises would keep it
                yield from batch.told()
                if batch.over:
                    return
                if not batch.asked:
                    if batch.held_off:
                        pause()
                        batch.held_off = False
                    continue
                for item, result in readers.ended():
                    batch.record(item, result)
                    batch.finish(item, result)
        finally:
            readers.cancel()
