"""Vectors and public prefixes for an event loop."""

import asyncio
from typing import TYPE_CHECKING

from strongroom.router.bells import Bells
from strongroom.router.embedding import Embedding
from strongroom.router.publishing import prefix_of, published
from strongroom.router.registry import Registry
from strongroom.router.request import Held, Ready

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["async_embed", "async_publish"]


async def ready(held: Held) -> Ready:
    """Return what serves the model; one that rests is started first, while the loop goes on."""
    if held.lease.backend is not None:
        return held.ready()
    starting = held.lease.wake()
    # Not cancelled with this task: it is started for everyone who waits. Nobody need hear why it failed.
    future = asyncio.wrap_future(starting)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait([future], timeout=held.left())
    return held.started(starting)


async def async_embed(
    registry: Registry, bells: Bells, model: str | None, embedding: Embedding, within: str | float | None
) -> "NDArray[np.float32]":
    """Compute the vectors; cancelled, it stops what is under way."""
    with Held(registry, model, within) as held:
        embedding.begin(*await ready(held), held.timeout)
        try:
            while (generation := embedding.oldest()) is not None:
                listening = bells.listening()
                while not embedding.take(await listening.next(generation)):
                    pass
        finally:
            embedding.cancel()
    return embedding.rows


async def async_publish(
    registry: Registry, bells: Bells, prompt: object, model: str | None, within: str | float | None
) -> int:
    """Publish a prefix, and keep it for when the model is started again; return its tokens."""
    prefix = prefix_of(prompt)
    with Held(registry, model, within) as held:
        backend, left = await ready(held)
        generation, listening = backend.publish(prefix, left), bells.listening()
        try:
            while (tokens := published(await listening.next(generation))) is None:
                pass
        finally:
            generation.cancel()
        held.lease.published(prefix)
    return tokens
