"""From the arguments of a call to a generation."""

from typing import NamedTuple

from strongroom.backends.backend import Backend, Generation
from strongroom.errors import OptionError
from strongroom.messages import conversation, plain_text
from strongroom.quantities import seconds_of
from strongroom.router.leased import Leased, Waking, late
from strongroom.router.registry import Lease, Registry
from strongroom.sampling import Sampling, SamplingOptions

__all__ = ["Begun", "begin", "tokenize"]


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
    timeout: str | float | None,
    options: SamplingOptions,
    whole: bool = False,
) -> Begun:
    """Check everything, choose the model and ask it; returns at once.

    A `raw` prompt is text to continue, any other a conversation to answer. A `whole` answer comes at its
    end. A model that rests is started first.
    """
    lease = registry.lease(model)
    try:
        return begun(lease, registry.timeout, prompt, raw=raw, timeout=timeout, options=options, whole=whole)
    except BaseException:  # whose traceback would hold the model
        lease.release()
        raise


def begun(
    lease: Lease,
    longest: float,
    prompt: object,
    *,
    raw: bool,
    timeout: str | float | None,
    options: SamplingOptions,
    whole: bool,
) -> Begun:
    """Ask the model that is held; `longest` is what the settings let a request take, in seconds."""
    sampling = Sampling.of(options)
    checked = plain_text(prompt) if raw else conversation(prompt)
    if lease.backend is not None:
        asked = lease.backend.generate(checked, sampling, timeout, whole=whole)
        return Begun(Leased(lease, asked), lease.name, sampling.seed)

    limit = longest if timeout is None else timeout
    seconds = seconds_of("timeout", limit, OptionError, "option.out_of_range")

    def ask(backend: Backend, waited: float) -> Generation:
        # More than the settings allow is for the backend to refuse.
        left = seconds if seconds > longest else seconds - waited
        if left <= 0:
            raise late()
        return backend.generate(checked, sampling, left, whole=whole)

    return Begun(Waking(lease, ask, seconds), lease.name, sampling.seed)


def tokenize(registry: Registry, text: object, model: str | None) -> list[int]:
    """Return the ids of a text, once its model is there."""
    checked = plain_text(text)
    lease = registry.lease(model)
    try:
        backend = lease.backend if lease.backend is not None else lease.wake().result()
        return backend.tokenize(checked)
    finally:
        lease.release()
