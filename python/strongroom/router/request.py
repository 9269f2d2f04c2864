"""From the arguments of a call to a generation."""

import time
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, Self

from strongroom.backends.backend import Backend, Generation, Priority
from strongroom.errors import StrongroomError
from strongroom.messages import conversation, plain_text
from strongroom.quantities import MIN_SECONDS
from strongroom.router.claim import checked_priority, checked_tenant, checked_timeout
from strongroom.router.leased import Leased, Waking, late, own
from strongroom.router.publishing import prefix_of, published
from strongroom.router.registry import Lease, Registry
from strongroom.sampling import Sampling, SamplingOptions

__all__ = ["BUSY", "Begun", "Held", "begin", "publish", "release", "tokenize"]


BUSY = frozenset({"request.busy", "request.tenant_busy"})
"""What waiting helps against."""


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
    end. A model that rests is started first.
    """
    lease = registry.lease(model)
    try:
        return begun(
            lease,
            registry.timeout,
            prompt,
            raw=raw,
            tenant=tenant,
            priority=priority,
            timeout=timeout,
            options=options,
            whole=whole,
        )
    except BaseException:  # whose traceback would hold the model
        lease.release()
        raise


def begun(
    lease: Lease,
    longest: float,
    prompt: object,
    *,
    raw: bool,
    tenant: object,
    priority: object,
    timeout: str | float | None,
    options: SamplingOptions,
    whole: bool,
) -> Begun:
    """Ask the model that is held; `longest` is what the settings let a request take, in seconds."""
    whose, urgency = checked_tenant(tenant), checked_priority(priority)
    seconds = checked_timeout(timeout, longest)
    sampling = Sampling.of(options)
    checked = plain_text(prompt) if raw else conversation(prompt)
    if lease.backend is not None:
        asked = lease.backend.generate(
            checked, sampling, seconds, tenant=whose, priority=urgency, whole=whole
        )
        return Begun(Leased(lease, asked), lease.name, sampling.seed)

    def ask(backend: Backend, waited: float) -> Generation:
        left = seconds - waited
        if left < MIN_SECONDS:  # which no timeout may be: the caller's was not wrong, it is over
            raise late()
        return backend.generate(checked, sampling, left, tenant=whose, priority=urgency, whole=whole)

    return Begun(Waking(lease, ask, seconds), lease.name, sampling.seed)


class Ready(NamedTuple):
    """What serves a model that is held."""

    backend: Backend
    left: float
    """Seconds of the call's that are left, for what is asked first."""


class Held:
    """A model that is held until its `with` block ends, for requests that are put to what serves it."""

    def __init__(self, registry: Registry, model: object, timeout: str | float | None = None) -> None:
        """Hold it. The time of the call begins: as long as `timeout`, or as the settings let a request take.

        Raises OptionError, RouterError.
        """
        self.timeout = checked_timeout(timeout, registry.timeout)
        self._called = time.monotonic()
        self.lease = registry.lease(model)

    def ready(self) -> Ready:
        """Return what serves it; one that rests is started first, within the time of the call.

        Raises RequestError, and why it can't be started.
        """
        if self.lease.backend is not None:
            return Ready(self.lease.backend, self.timeout)
        return self.started(self.lease.wake())

    def left(self) -> float:
        """Return the seconds of the call's time that are left."""
        return max(0.0, self.timeout - (time.monotonic() - self._called))

    def started(self, starting: Future[Backend]) -> Ready:
        """Wait for what `lease.wake` began, for what is left of the call's time at most.

        Raises RequestError, and why it can't be started.
        """
        try:
            backend = starting.result(self.left())
        except TimeoutError:
            if starting.done():  # the start's own
                raise
            raise late() from None
        except StrongroomError as error:
            raise own(error) from None
        left = self.left()
        if left < MIN_SECONDS:
            raise late()
        return Ready(backend, left)

    def __enter__(self) -> Self:
        """Release it in the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it."""
        self.lease.release()


def publish(registry: Registry, prompt: object, model: str | None, timeout: str | float | None) -> int:
    """Publish a prefix, and keep it for when the model is started again; return its tokens."""
    prefix = prefix_of(prompt)
    with Held(registry, model, timeout) as held:
        backend, left = held.ready()
        generation = backend.publish(prefix, left)
        while (tokens := published(generation.next())) is None:
            pass
        held.lease.published(prefix)
    return tokens


def release(registry: Registry, model: str) -> None:
    """Let a quarantined model start a worker again; one that rests has none that died."""
    lease = registry.lease(model)
    try:
        if lease.backend is not None:
            lease.backend.release()
    finally:
        lease.release()


def tokenize(registry: Registry, text: object, model: str | None) -> list[int]:
    """Return the ids of a text, within the time that a request may take, a start included."""
    checked = plain_text(text)
    with Held(registry, model) as held:
        backend, left = held.ready()
        return backend.tokenize(checked, left)
