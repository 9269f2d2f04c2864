"""Vectors of texts: split into requests, several of them under way at once, into one array."""

import importlib.util
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from strongroom.backends.backend import MAX_BYTES, MAX_TEXTS, Backend, Embedded, Event, Generation, Priority
from strongroom.errors import OptionError, PromptError, RequestError, SettingsError, StrongroomError
from strongroom.messages import checked
from strongroom.options import shown
from strongroom.router.claim import checked_priority, checked_tenant
from strongroom.router.registry import Registry
from strongroom.router.request import BUSY, Held
from strongroom.text import utf8_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Embedding", "embed"]

AHEAD = 4
"""Requests of one call that are under way at once: a worker is busy while vectors are copied."""


class Embedding:
    """One call of `embed`: what is still to be asked, what is under way, and where its vectors go.

    Whoever drives it reads the generation that `oldest` returns to its end, and hands over each event.
    """

    def __init__(
        self,
        texts: object,
        *,
        normalize: bool,
        tenant: object,
        priority: object,
    ) -> None:
        """Check what `embed` was given.

        Raises OptionError, PromptError, SettingsError.
        """
        if importlib.util.find_spec("numpy") is None:
            raise SettingsError(
                "settings.unavailable",
                "embed returns a NumPy array, and numpy isn't installed",
                "pip install strongroom[numpy]",
            )
        if not isinstance(normalize, bool):
            raise OptionError("option.wrong_type", f"normalize must be True or False, not {shown(normalize)}")
        self._texts = texts_of(texts)
        self._normalize = normalize
        self._tenant = checked_tenant(tenant)
        self._priority: Priority = checked_priority(priority)
        self._left = orders(self._texts)
        self._next = next(self._left, None)
        self._asked: deque[tuple[slice, Generation]] = deque()
        self._backend: Backend | None = None
        self._first_timeout = self._timeout = 0.0
        self._rows: NDArray[np.float32] | None = None

    def begin(self, backend: Backend, left: float, timeout: float) -> None:
        """Ask `backend` from now on, each request with `timeout` seconds.

        The first one's time began with the call: this is `left` of it.

        Raises RequestError where its model was loaded for answers.
        """
        import numpy as np  # noqa: PLC0415 - a Router without vectors needs none

        info = backend.info()
        if not info.embeds:
            # The worker's words: it is asked only where there are texts.
            raise RequestError(
                "request.wrong_task",
                "the model was loaded to generate",
                "load the model with embeddings=True to embed, and without it to generate",
            )
        self._backend, self._first_timeout, self._timeout = backend, left, timeout
        self._rows = np.empty((len(self._texts), info.dimensions), np.float32)

    @property
    def rows(self) -> "NDArray[np.float32]":
        """The vectors, once `oldest` returned None."""
        assert self._rows is not None  # noqa: S101 - `begin` made it
        return self._rows

    def oldest(self) -> Generation | None:
        """Ask as far ahead as there is place; return what was asked first, or None where all is there."""
        while self._next is not None and len(self._asked) < AHEAD:
            try:
                generation = self._ask(self._next)
            except StrongroomError as error:
                # A place of this call's own is free when the first of its requests ends.
                if error.code not in BUSY or not self._asked:
                    raise
                break
            self._asked.append((self._next, generation))
            self._next = next(self._left, None)
        return self._asked[0][1] if self._asked else None

    def _ask(self, place: slice) -> Generation:
        """Ask for the vectors of one request's texts."""
        assert self._backend is not None  # noqa: S101 - `begin` took it
        return self._backend.embed(
            self._texts[place],
            self._timeout if place.start else self._first_timeout,
            normalize=self._normalize,
            tenant=self._tenant,
            priority=self._priority,
        )

    def take(self, event: Event) -> bool:
        """Take an event of the oldest; return whether it was its last."""
        if not isinstance(event, Embedded):
            return False
        import numpy as np  # noqa: PLC0415 - as above

        place, _ = self._asked.popleft()
        rows = self.rows[place]
        rows[...] = np.frombuffer(event.rows, "<f4").reshape(rows.shape)
        return True

    def cancel(self) -> None:
        """Stop what is under way."""
        while self._asked:
            self._asked.pop()[1].cancel()


def texts_of(texts: object) -> Sequence[str]:
    """Check what is to be embedded; one string is one text."""
    given = (texts,) if isinstance(texts, str) else texts
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray | memoryview):
        raise PromptError(
            "prompt.invalid",
            f"texts must be a string or a sequence of strings, not a {type(texts).__name__}",
            "give a string, or a list of them",
        )
    found = tuple(checked(f"text {place}", text) for place, text in enumerate(given))
    for place, text in enumerate(found):
        if not text:
            raise PromptError("prompt.empty", f"text {place} is empty")
    return found


def orders(texts: Sequence[str]) -> Iterator[slice]:
    """Split texts into requests; one that is too large for any is a request of its own, and refused there."""
    first = size = 0
    for place, text in enumerate(texts):
        more = utf8_size(text) or 0
        if place > first and (place - first == MAX_TEXTS or size + more > MAX_BYTES):
            yield slice(first, place)
            first, size = place, 0
        size += more
    if first < len(texts):
        yield slice(first, len(texts))


def embed(
    registry: Registry, model: str | None, embedding: Embedding, timeout: str | float | None
) -> "NDArray[np.float32]":
    """Compute the vectors in this thread."""
    with Held(registry, model, timeout) as held:
        embedding.begin(*held.ready(), held.timeout)
        try:
            while (generation := embedding.oldest()) is not None:
                while not embedding.take(generation.next()):
                    pass
        finally:
            embedding.cancel()
    return embedding.rows
