"""How much a worker may hold at once, and the memory that this takes: from header, settings and machine."""

from dataclasses import dataclass

from strongroom._core import Footprint, Header
from strongroom.errors import LoadError, SettingsError
from strongroom.quantities import mib
from strongroom.results import MemoryUse
from strongroom.settings import MAX_TENANTS, Limits

__all__ = ["MOST_AUTOMATIC", "STEP", "Capacity", "capacity_of", "default_context", "embedding_capacity_of"]

STEP = 64
"""Tokens of one decode step at most, where `batch_tokens` doesn't say."""

DEFAULT_CONTEXT = 4096
"""Tokens of a request, where the model was trained with more and nothing else is asked for."""

TEXT = 512
"""Tokens of a text that is embedded, where the model was trained with more and the load doesn't say: it is
computed at once, and what that takes grows with its square."""

NUMBER = 4
"""Bytes of a vector's number."""

MOST_AUTOMATIC = 16
"""Sequences at once, where `max_concurrent` doesn't say: more gain little on a processor."""

SHARE_OF_PAUSED = 4
"""Sequences that gave up their places may take one part of so many of what all may have in the cache, and one
as much as it has there: the engine's rule."""

SHARE_OF_PREFIXES = 8
"""What is kept of requests gets one part of so many, of the address space beside weights and cache."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a worker of a model is made for."""

    context_length: int
    """Tokens of one request."""
    max_concurrent: int
    """Sequences that are decoded at once."""
    batch_tokens: int
    """Tokens of one decode step, of all sequences together."""
    prefix_quota: int
    """Bytes that may be kept of one tenant's ended requests, and as many of what is published."""
    prefix_tenants: int
    """Tenants of which something is kept."""
    memory: MemoryUse


def default_context(trained: int) -> int:
    """Return the tokens of a request that a model gets where nothing is asked for."""
    return min(trained, DEFAULT_CONTEXT)


def capacity_of(
    header: Header,
    size: int,
    limits: Limits,
    *,
    address_space: int,
    context_length: int | None = None,
    at_most: int = MOST_AUTOMATIC,
    at_most_tenants: int = MAX_TENANTS,
) -> Capacity:
    """Derive what is left to be automatic, and the memory that a worker takes for it.

    `size` is of the weights and `address_space` the worker's, in bytes; `context_length` takes precedence
    over that of `limits`; `at_most` bounds the sequences and `at_most_tenants` the tenants of which
    something is kept, where they are automatic. The sequences' cache gets at most
    half of what the address space leaves beside the weights: the rest is for computing, for the prompts'
    text and for what an estimate misses.

    Raises SettingsError where `total_context` is less than one request, and LoadError where the weights and
    the cache alone are more than the address space: those of one request, or of as many as are asked for.
    """
    length = context_length or limits.context_length or default_context(header.context_length)
    if limits.max_concurrent is not None and limits.max_concurrent > length:
        raise SettingsError(
            "settings.conflict",
            f"max_concurrent={limits.max_concurrent} is more than the {length} tokens of one request: a step "
            "takes one token of each sequence at least, and no more than a request has",
            "lower max_concurrent, or raise context_length",
        )
    # As the engine does: a step has a token of each sequence, and no more than a request has in all.
    step = min(max(limits.batch_tokens or STEP, limits.max_concurrent or 1), length)
    most = limits.max_concurrent or min(at_most, limits.concurrent_requests, step)
    if limits.total_context is not None:
        if limits.total_context < length:
            raise SettingsError(
                "settings.conflict",
                f"total_context={limits.total_context} is less than the {length} tokens of one request",
                "raise total_context, or lower context_length",
            )
        most = min(most, limits.total_context // length)
    if (footprint := header.footprint) is None:
        # What the kernel lets it take at most is all that is known.
        rest = max(0, address_space - size)
        quota, tenants = prefixes_of(limits, rest, at_most_tenants)
        return Capacity(
            length,
            limits.max_concurrent or 1,
            step,
            quota,
            tenants,
            MemoryUse(weights=size, cache=0, compute=0, prefixes=0, paused=0, process=rest),
        )

    each = footprint.cache(length, step)
    left = address_space - size
    if limits.max_concurrent is None:
        most = max(1, min(most, left // 2 // each))
    if most * each > left:
        requests = "one request" if most == 1 else f"{most} requests"
        raise LoadError(
            "load.no_room",
            f"its weights ({mib(size)}) and the key-value cache of {requests} of {length} tokens "
            f"({mib(most * each)}) are more than memory_limit, {mib(address_space)}",
            "lower context_length or max_concurrent, raise memory_limit, or take a smaller model",
        )
    quota, tenants = prefixes_of(limits, left - most * each, at_most_tenants)
    return Capacity(
        length,
        most,
        step,
        quota,
        tenants,
        MemoryUse(
            weights=size,
            cache=most * each,
            compute=footprint.compute(length, step, most),
            prefixes=quota * (tenants + 1),
            paused=paused_of(footprint, length, most),
            process=footprint.process(),
        ),
    )


def paused_of(footprint: Footprint, length: int, most: int) -> int:
    """Return the bytes that sequences may take which make way for others: the engine counts their tokens.

    Short ones are in every layer whole, also where a layer's window holds only a part of a long one.
    """
    if most == 1:
        return 0
    tokens = max(length, most * length // SHARE_OF_PAUSED)
    return tokens * (footprint.token_bytes + footprint.window_token_bytes)


def embedding_capacity_of(
    header: Header, size: int, limits: Limits, *, address_space: int, context_length: int | None = None
) -> Capacity:
    """Derive the capacity of a worker that embeds: of texts that are each computed at once.

    A step holds one text at least, and the logits of every token of it, where the model has them.

    Raises LoadError where that is more than the address space.
    """
    length = context_length or min(limits.context_length or TEXT, header.context_length, TEXT)
    step = max(limits.batch_tokens or STEP, length)
    if (footprint := header.footprint) is None:
        rest = max(0, address_space - size)
        return Capacity(
            length,
            1,
            step,
            0,
            0,
            MemoryUse(weights=size, cache=0, compute=0, prefixes=0, paused=0, process=rest),
        )
    memory = MemoryUse(
        weights=size,
        cache=footprint.cache(step, step),
        compute=footprint.compute(step, step, step) + step * header.embedding_length * NUMBER,
        prefixes=0,
        paused=0,
        process=footprint.process(),
    )
    if memory.weights + memory.cache + memory.compute > address_space:
        raise LoadError(
            "load.no_room",
            f"its weights ({mib(size)}) and what texts of {length} tokens are computed in "
            f"({mib(memory.cache + memory.compute)}) are more than memory_limit, {mib(address_space)}",
            "lower context_length or batch_tokens, raise memory_limit, or take a smaller model",
        )
    return Capacity(length, 1, step, 0, 0, memory)


def prefixes_of(limits: Limits, left: int, at_most: int) -> tuple[int, int]:
    """Share out what may be kept of requests: bytes of each tenant, and the number of tenants.

    `left` is the address space beside weights and key-value cache. What is published has the place of one
    more tenant.

    Raises LoadError where as many tenants as are asked for don't fit.
    """
    quota = limits.prefix_cache_bytes
    if quota == 0:
        return 0, 0
    if (tenants := limits.prefix_tenants) is not None:
        if quota * (tenants + 1) > left:
            raise LoadError(
                "load.no_room",
                f"what is kept of {tenants} tenants' requests, and of what is published, takes "
                f"{mib(quota * (tenants + 1))}, and weights and key-value cache leave {mib(left)} of "
                "memory_limit",
                "lower prefix_cache or prefix_tenants, or raise memory_limit",
            )
        return quota, tenants
    share = left // SHARE_OF_PREFIXES
    tenants = max(1, min(at_most, share // quota - 1))
    return min(quota, share // (tenants + 1)), tenants
