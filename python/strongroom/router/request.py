"""From the arguments of a call to a generation."""

from typing import NamedTuple

from strongroom.backends.backend import Generation, Priority
from strongroom.messages import conversation, plain_text
from strongroom.router.claim import checked_priority, checked_tenant
from strongroom.router.registry import Registry
from strongroom.sampling import Sampling, SamplingOptions

__all__ = ["Begun", "begin"]


class Begun(NamedTuple):
    """A request that was asked for."""

    generation: Generation
    model: str
    seed: int


def begin(
    registry: Registry,
    prompt: object,
    *,
    raw: bool,
    model: str | None,
    tenant: str | bytes | None,
    priority: Priority,
    timeout: str | float | None,
    options: SamplingOptions,
    whole: bool = False,
) -> Begun:
    """Check everything, choose the model and ask it; returns at once.

    A `raw` prompt is text to continue, any other a conversation to answer. A `whole` answer comes at its
    end.
    """
    name, backend = registry.get(model)
    whose, urgency = checked_tenant(tenant), checked_priority(priority)
    sampling = Sampling.of(options)
    checked = plain_text(prompt) if raw else conversation(prompt)
    return Begun(
        backend.generate(checked, sampling, timeout, tenant=whose, priority=urgency, whole=whole),
        name,
        sampling.seed,
    )
