"""Prefixes that the operator declares public: every tenant's prompts may go on from them."""

import logging
from collections.abc import Sequence

from strongroom.backends.backend import Backend, Event, Published
from strongroom.errors import StrongroomError
from strongroom.messages import Message, conversation, plain_text

__all__ = ["Prefix", "prefix_of", "published", "read_again"]

logger = logging.getLogger("strongroom.router")

Prefix = str | tuple[Message, ...]
"""Text that `complete` goes on from, or messages that `chat` does."""


def prefix_of(prompt: object) -> Prefix:
    """Check what is to be published.

    Raises PromptError.
    """
    return plain_text(prompt) if isinstance(prompt, str) else conversation(prompt)


def published(event: Event) -> int | None:
    """Return the tokens of a prefix, once it is there."""
    return event.tokens if isinstance(event, Published) else None


def read_again(name: str, backend: Backend, prefixes: Sequence[Prefix], timeout: float) -> None:
    """Publish again, to what serves a model that rested; what fails is logged, and costs time alone.

    Each may take `timeout` seconds.
    """
    for prefix in prefixes:
        try:
            generation = backend.publish(prefix, timeout)
            while published(generation.next()) is None:
                pass
        except StrongroomError as error:
            logger.warning("%r lost a public prefix as it was started again: %s", name, error.code)
