"""Many prompts and one model: kept busy, answers in order, the same for a thread and for an event loop."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from strongroom.errors import OptionError, StrongroomError
from strongroom.messages import Message, Prompt, conversation, plain_text
from strongroom.options import shown
from strongroom.results import Completion
from strongroom.router.journal import Journal
from strongroom.router.request import BUSY, Begun

__all__ = ["PAUSE", "Batch", "BatchProgress", "Item", "OnError", "Result", "prompts_of", "total_of"]

Result = Completion | StrongroomError
"""What becomes of one prompt."""

OnError = Literal["keep", "raise"]

BatchProgress = Callable[[int, int | None], None]
"""Called with how many prompts are done, and how many there are where that is known."""

PAUSE = 0.05
"""Seconds until a model is asked again that was busy with others' requests."""

AHEAD = 4
"""Prompts that are drawn before the first of them is answered, as a multiple of those that are asked at once:
what bounds the answers that wait for an earlier one."""


@dataclass(eq=False, slots=True)
class Item:
    """A prompt of the batch."""

    index: int
    prompt: str | tuple[Message, ...] = field(repr=False)
    key: str | None
    """In the journal."""


def prompts_of(prompts: object) -> Iterable[Prompt]:
    """Check what is to be answered; one string or one mapping is no batch."""
    if not isinstance(prompts, Iterable) or isinstance(
        prompts, str | bytes | bytearray | memoryview | Mapping
    ):
        raise OptionError(
            "option.wrong_type", f"prompts must be several prompts, not a {type(prompts).__name__}"
        )
    return prompts


def total_of(prompts: Iterable[Prompt]) -> int | None:
    """Return how many prompts there are, where that is known."""
    try:
        return len(prompts)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return None


class Batch:
    """The state of a batch. Whoever drives it asks what it draws, and hands it what comes back."""

    def __init__(
        self,
        prompts: Iterable[Prompt],
        ask: Callable[[str | tuple[Message, ...]], Begun],
        *,
        model: str,
        raw: bool,
        concurrency: int,
        journal: Journal | None,
        on_error: OnError,
        progress: BatchProgress | None,
    ) -> None:
        """Begin with nothing asked; `concurrency` requests at most are under way at once."""
        self._total = total_of(prompts)
        self._prompts = iter(prompts)
        self._ask = ask
        self._model = model
        self._check: Callable[[object], str | tuple[Message, ...]] = plain_text if raw else conversation
        self._concurrency = concurrency
        self._journal = journal
        self._raise = on_error == "raise"
        self._progress = progress
        self._again: deque[Item] = deque()
        self._results: dict[int, Result] = {}
        self._drawn = self._told = self._count = self._asked = 0
        self._exhausted = False
        self.held_off = False
        """Whether the model has no place for now: others have it."""
        self._report()

    @property
    def over(self) -> bool:
        """Whether every result was told."""
        return self._exhausted and self._told == self._drawn

    @property
    def asked(self) -> int:
        """Requests under way."""
        return self._asked

    def begin(self) -> tuple[Item, Begun] | None:
        """Ask the next prompt; None where enough are under way, or none is left."""
        while (item := self._draw()) is not None:
            try:
                begun = self._ask(item.prompt)
            except StrongroomError as error:
                self._asked += 1
                self.finish(item, error)
            else:
                self._asked += 1
                return item, begun
        return None

    def _draw(self) -> Item | None:
        """Take the next prompt that no journal has an answer to."""
        while self._asked < self._concurrency and not self.held_off:
            if self._again:
                return self._again.popleft()
            if self._exhausted or self._drawn - self._told >= AHEAD * self._concurrency:
                return None
            try:
                prompt = next(self._prompts)
            except StopIteration:
                self._exhausted = True
                return None
            index = self._drawn
            self._drawn += 1
            try:
                checked = self._check(prompt)
            except StrongroomError as error:
                self._end(index, error)
                continue
            if self._journal is None:
                return Item(index, checked, None)
            key = self._journal.key(checked)
            if (answer := self._journal.answer(key, self._model)) is None:
                return Item(index, checked, key)
            self._end(index, answer)
        return None

    def record(self, item: Item, result: Result) -> None:
        """Write an answer to the journal; it may wait for the disk."""
        if self._journal is not None and item.key is not None and isinstance(result, Completion):
            self._journal.write(item.key, result)

    def finish(self, item: Item, result: Result) -> None:
        """Take what became of a request. What found no place is asked again later."""
        self._asked -= 1
        if isinstance(result, StrongroomError) and result.code in BUSY:
            self._again.append(item)
            self.held_off = True
            return
        self.held_off = False
        self._end(item.index, result)

    def _end(self, index: int, result: Result) -> None:
        """Note a result."""
        if self._raise and isinstance(result, StrongroomError):
            raise result
        self._results[index] = result
        self._count += 1
        self._report()

    def _report(self) -> None:
        """Say how far it is."""
        if self._progress is not None:
            self._progress(self._count, self._total)

    def told(self) -> Iterator[Result]:
        """Yield the results that are next in order."""
        while self._told in self._results:
            result = self._results.pop(self._told)
            self._told += 1
            yield result


def concurrency_of(value: object, limit: int) -> int:
    """Check how many requests may be under way at once; by default as many as a model holds."""
    if value is None:
        return limit
    if not isinstance(value, int) or isinstance(value, bool):
        raise OptionError("option.wrong_type", f"concurrency must be a whole number, not {shown(value)}")
    if not 1 <= value <= limit:
        raise OptionError(
            "option.out_of_range",
            f"concurrency must be from 1 to concurrent_requests, {limit}, not {value}",
        )
    return value


def pause() -> None:
    """Wait until others may have left a place."""
    time.sleep(PAUSE)
