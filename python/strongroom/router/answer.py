"""An answer as it comes together, the same for a waiting thread and for an event loop."""

from strongroom.backends.backend import Began, Event, Finished
from strongroom.errors import RequestError
from strongroom.results import Completion, Piece

__all__ = ["Answer"]


class Answer:
    """Gathers the events of one request. Holds text, and so has no `repr` of its own."""

    __slots__ = ("_cached_tokens", "_finished", "_model", "_prompt_tokens", "_seed", "_texts")

    def __init__(self, model: str, seed: int) -> None:
        """Start with nothing said."""
        self._model = model
        self._seed = seed
        self._texts: list[str] = []
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._finished: Finished | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer is whole."""
        return self._finished is not None

    def take(self, event: Event) -> Piece | None:
        """Take in one event; return it where it is a piece."""
        match event:
            case Piece():
                self._texts.append(event.text)
                return event
            case Began():
                self._prompt_tokens = event.prompt_tokens
                self._cached_tokens = event.cached_tokens
            case Finished():
                self._finished = event
        return None

    def result(self) -> Completion:
        """Return the whole answer."""
        if self._finished is None:
            raise RequestError("request.unfinished", "the stream was not read to its end")
        return Completion(
            text="".join(self._texts),
            model=self._model,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            completion_tokens=self._finished.completion_tokens,
            finish_reason=self._finished.reason,
            seed=self._seed,
            timings=self._finished.timings,
        )
