"""What a Router asks of whatever serves a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from strongroom._core import Bell
from strongroom.messages import Message
from strongroom.results import FinishReason, ModelInfo, Piece, Timings
from strongroom.sampling import Sampling

__all__ = [
    "MAX_BYTES",
    "MAX_TEXTS",
    "Backend",
    "Began",
    "Embedded",
    "Embeddings",
    "Event",
    "Finished",
    "Generation",
    "Priority",
    "Published",
]

Priority = Literal["low", "normal", "high"]

Embeddings = bool | Literal["mean", "cls", "last"]
"""Whether a model is loaded for vectors: True pools as its file says, a word says how."""

MAX_TEXTS = 256
"""Texts that are embedded by one request."""

MAX_BYTES = 2**20
"""Of UTF-8, of one request, all texts together."""


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

    def watch(self, bell: Bell, key: int) -> None:
        """Have `bell` told, under `key`, of what comes after `poll()` returned None, or is there now."""

    def expires(self) -> float | None:
        """Return the seconds after which `poll()` raises, though no bell is told; None where one is."""

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
        timeout: float,
        *,
        tenant: bytes | None,
        priority: Priority,
        whole: bool,
    ) -> Generation:
        """Ask for a continuation of text, or for an answer to messages; returns at once.

        `timeout` is in seconds, at most what the settings allow. A `whole` answer comes in one piece, at its
        end, or in a few where it is long; any other as it is decoded. `tenant`, 1 to 256 bytes, is whose it
        is; of those that wait the ones of a higher `priority` go first.
        """

    def embed(
        self,
        texts: Sequence[str],
        timeout: float,
        *,
        normalize: bool,
        tenant: bytes | None,
        priority: Priority,
    ) -> Generation:
        """Ask for the vectors of 1 to `MAX_TEXTS` texts, of `MAX_BYTES` together; returns at once."""

    def publish(self, prompt: str | Sequence[Message], timeout: float) -> Generation:
        """Ask for a prefix that every tenant may begin with; returns at once."""

    def tokenize(self, text: str, timeout: float) -> list[int]:
        """Return the ids of plain text."""

    def release(self) -> None:
        """Let it start again, where what serves it died too often; nothing where it didn't."""

    def close(self) -> None:
        """End the requests and whatever serves them. Again is nothing."""
