"""Driving a batch from a thread, which waits for one bell."""

import select
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


def answers(plan: Plan) -> Generator[Result, None, None]:
    """Yield the results in order. Closed, or ended by an error, it stops what is under way."""
    with plan.journal() as journal, plan.progress() as progress:
        batch = plan.batch(journal, progress)
        bell, readers, keys = Bell(), dict[int, Reader](), count()
        news = select.poll()
        news.register(bell.fileno(), select.POLLIN)
        while True:
            while (begun := batch.begin()) is not None:
                key = next(keys)
                readers[key] = Reader(*begun)
                readers[key].watch(bell, key)
            yield from batch.told()
            if batch.over:
                return
            if not batch.asked:
                if batch.held_off:
                    pause()
                    batch.held_off = False
                continue
            news.poll()
            for key in bell.take():
                if (reader := readers.get(key)) is None:  # it was read to its end before
                    continue
                if (result := reader.read()) is not None:
                    del readers[key]
                    batch.record(reader.item, result)
                    batch.finish(reader.item, result)
