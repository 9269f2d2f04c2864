"""What a Router asks of whatever serves a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.messages import Message
from strongroom.results import FinishReason, ModelInfo, Piece, Timings
from strongroom.sampling import Sampling

__all__ = ["Backend", "Began", "Embedded", "Event", "Finished", "Generation", "Published"]


@dataclass(frozen=True, slots=True)
class Began:
    """The request left the queue and its prompt was accepted."""

    prompt_tokens: int
    cached_tokens: int
    """Of the prompt's, the first ones that were not read again."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The request ended well."""

    reason: FinishReason
    completion_tokens: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors that were asked for."""

    tokens: int
    rows: bytearray
    """One row per text, of numbers in IEEE 754 binary32, little-endian."""


@dataclass(frozen=True, slots=True)
class Published:
    """A public prefix is there."""

    tokens: int


Event = Began | Piece | Finished | Embedded | Published
"""What a generation yields: `Began`, pieces, `Finished`; or `Embedded` or `Published` for the last two."""


class Generation(Protocol):
    """The answer to one request, as it is made. Dropped before its end, it cancels."""

    def next(self) -> Event:
        """Wait for what comes next. An error is the last thing that comes."""

    def poll(self) -> Event | None:
        """Return what `next()` would, or None where it would wait."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when `poll()` has something."""

    def cancel(self) -> None:
        """Stop decoding at the next step."""


class Backend(Protocol):
    """A model that is served. Safe to use from many threads."""

    def info(self) -> ModelInfo:
        """Describe the model, and what serves it now."""

    def generate(
        self,
        prompt: str | Sequence[Message],
        sampling: Sampling,
        timeout: str | float | None,
        *,
        whole: bool,
    ) -> Generation:
        """Ask for a continuation of text, or for an answer to messages; returns at once.

        `timeout` None is the longest that the settings allow. A `whole` answer comes in one piece, at its
        end, or in a few where it is long; any other as it is decoded.
        """

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of plain text."""

    def close(self) -> None:
        """End the requests and whatever serves them. Again is nothing."""
