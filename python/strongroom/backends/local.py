"""A model served by a sandboxed worker on this machine."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from strongroom import _core
from strongroom.backends.backend import Began, Embedded, Embeddings, Event, Finished, Priority, Published
from strongroom.backends.capacity import Capacity
from strongroom.backends.dispatch import worker_for
from strongroom.errors import OptionError, StrongroomError
from strongroom.messages import Message
from strongroom.models.evidence import Evidence
from strongroom.options import shown
from strongroom.results import ModelInfo, Piece, Timings
from strongroom.sampling import Sampling, whole
from strongroom.settings import MAX_CONTEXT, Settings
from strongroom.text import utf8_size
from strongroom.trust.decision import Decision

__all__ = ["Local", "check_options"]

logger = logging.getLogger("strongroom.backends")

WORKERS = Path(__file__).parent.parent
"""Where the wheel puts the workers' executables."""


POOLINGS = ("mean", "cls", "last")

POOLS = "finding.embedding_model"
"""Preflight's finding of a file that says how to pool."""


def check_options(context_length: int | None, chat_template: str | None, embeddings: Embeddings) -> None:
    """Check what a load may set for a worker.

    Raises OptionError.
    """
    way: object = embeddings
    if not isinstance(way, bool | str):
        raise OptionError("option.wrong_type", "embeddings must be True, False, or how to pool: a string")
    if isinstance(way, str) and way not in POOLINGS:
        raise OptionError(
            "option.out_of_range", f"embeddings must be one of {', '.join(POOLINGS)}, not {shown(way)}"
        )
    if way and chat_template is not None:
        raise OptionError(
            "option.out_of_range", "chat_template has no place in a load with embeddings: nothing is answered"
        )
    if context_length is not None:
        whole("context_length", context_length, 1, MAX_CONTEXT)
    template: object = chat_template
    if template is not None and (not isinstance(template, str) or utf8_size(template) is None):
        raise OptionError("option.wrong_type", "chat_template must be text without lone surrogates")


def event_of(
    update: _core.Began | _core.Piece | _core.Finished | _core.Embedded | _core.Published,
) -> Event:
    """Translate what the core says."""
    match update:
        case _core.Piece():
            return Piece(update.text, update.tokens)
        case _core.Began():
            return Began(update.prompt_tokens, update.cached_tokens)
        case _core.Embedded():
            return Embedded(update.tokens, update.rows)
        case _core.Published():
            return Published(update.tokens)
        case _core.Finished():
            return Finished(
                update.reason,
                update.completion_tokens,
                Timings(update.queue_seconds, update.prompt_seconds, update.decode_seconds),
            )


def said(prompt: str | Sequence[Message]) -> str | list[tuple[str, str, str | None]]:
    """Translate a prompt for the core."""
    return prompt if isinstance(prompt, str) else [(m.role, m.content, m.name) for m in prompt]


def pooling_of(header: _core.Header, embeddings: Embeddings) -> str | None:
    """Return the core's word for how vectors are made of a text's.

    Raises OptionError where the file is to say it, and doesn't.
    """
    if embeddings is not True:
        return embeddings or None
    if not any(finding.code == POOLS for finding in header.findings):
        raise OptionError(
            "option.out_of_range",
            "embeddings=True takes the pooling that the model's file names, and it names none",
            f"say how: embeddings={' or '.join(repr(way) for way in POOLINGS)}, as its publisher does",
        )
    return "model"


class LocalGeneration:
    """The answer to one request, out of a worker."""

    __slots__ = ("_stream",)

    def __init__(self, stream: _core.Stream) -> None:
        """Wrap the core's stream."""
        self._stream = stream

    def next(self) -> Event:
        """Wait for what comes next."""
        return event_of(self._stream.next())

    def poll(self) -> Event | None:
        """Return what `next()` would, or None where it would wait."""
        update = self._stream.poll()
        return None if update is None else event_of(update)

    def watch(self, bell: _core.Bell, key: int) -> None:
        """Have `bell` told, under `key`, of what comes after `poll()` returned None, or is there now."""
        self._stream.watch(bell, key)

    def expires(self) -> None:
        """Return None: the bell is told of everything."""

    def cancel(self) -> None:
        """Stop decoding at the next step."""
        self._stream.cancel()


class Local:
    """A model served by a worker, which is replaced when it dies."""

    def __init__(
        self,
        name: str,
        path: str,
        image: _core.Image,
        decision: Decision,
        settings: Settings,
        *,
        capacity: Capacity,
        context_length: int | None,
        chat_template: str | None,
        embeddings: Embeddings,
        proceed: Callable[[], bool] | None = None,
    ) -> None:
        """Start a worker of `image` and wait until it is ready.

        Once `proceed`, which is called now and then, returns False, the worker is ended and LoadError
        raised.
        """
        check_options(context_length, chat_template, embeddings)
        security = settings.security
        given_length = settings.limits.context_length if context_length is None else context_length
        self._name = name
        self._path = path
        self._image = image
        self._decision = decision
        self._capacity = capacity
        self._template_digest = (
            None if chat_template is None else hashlib.sha256(chat_template.encode()).hexdigest()
        )
        self._isolation = security.isolation
        self._piece_interval = settings.limits.piece_interval_seconds
        if security.isolation == "danger-none":
            logger.warning('%r runs with isolation="danger-none": no layer of the sandbox is in force', name)
        if security.erasure == "danger-none":
            logger.warning('%r runs with erasure="danger-none": requests leave prompts in memory', name)
        if security.separation == "danger-none":
            logger.warning(
                '%r runs with separation="danger-none": tenants can tell what others have asked', name
            )
        worker = worker_for(settings.limits, WORKERS)
        self._instruction_set = worker.instruction_set
        self._model = _core.Model.start(
            image,
            executable=worker.executable,
            isolation=security.isolation,
            address_space=security.sandboxing.address_space,
            cores=security.sandboxing.cores,
            load_timeout=settings.limits.load_timeout_seconds,
            request_timeout=security.sandboxing.timeout_seconds,
            concurrent_requests=settings.limits.concurrent_requests,
            tenant_requests=settings.limits.tenant_requests,
            max_concurrent=capacity.max_concurrent,
            batch_tokens=capacity.batch_tokens,
            threads=settings.limits.threads,
            prefix_quota=capacity.prefix_quota,
            prefix_tenants=capacity.prefix_tenants,
            prefix_idle=settings.limits.prefix_idle_seconds,
            erase=security.erasure == "always",
            separate=security.separation == "tenant",
            embeddings=pooling_of(image.header, embeddings),
            context_length=capacity.context_length if embeddings else given_length,
            chat_template=chat_template,
            proceed=proceed,
        )
        self._last = self._described()

    def info(self) -> ModelInfo:
        """Describe the model, and the worker that serves it now; or that served it, with its failure."""
        try:
            self._last = self._described()
            failure = self._model.quarantine
        except StrongroomError as error:
            failure = (error.code, error.message)
        return replace(self._last, failure=failure)

    def _described(self) -> ModelInfo:
        """Ask the core."""
        image, header, model = self._image, self._image.header, self._model
        return ModelInfo(
            name=self._name,
            path=self._path,
            digest=image.digest,
            verified=image.verified,
            signer=self._decision.signer,
            version=self._decision.version,
            why=self._decision.why,
            evidence=tuple(Evidence.of(found) for found in image.evidence),
            size=image.size,
            architecture=header.architecture,
            parameters=model.parameters,
            quantization=header.quantization,
            context_length=model.context_length,
            context_trained=model.context_trained,
            vocabulary_size=model.vocabulary_size,
            chat_refusal=model.chat_refusal,
            findings=tuple(header.findings),
            isolation=self._isolation,
            sandbox=tuple(model.report()),
            pid=model.pid,
            restarts=model.restarts,
            threads=model.threads,
            instruction_set=self._instruction_set,
            pinned=image.pinned,
            image_seconds=image.seconds,
            lock_seconds=model.lock_seconds,
            load_seconds=model.load_seconds,
            max_concurrent=model.max_concurrent,
            prefix_tenants=self._capacity.prefix_tenants,
            memory=self._capacity.memory,
            embeds=model.dimensions > 0,
            dimensions=model.dimensions,
            template_digest=self._template_digest,
        )

    def generate(
        self,
        prompt: str | Sequence[Message],
        sampling: Sampling,
        timeout: float,
        *,
        tenant: bytes | None,
        priority: Priority,
        whole: bool,
    ) -> LocalGeneration:
        """Ask the worker; returns at once."""
        return LocalGeneration(
            self._model.generate(
                said(prompt),
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                min_p=sampling.min_p,
                repeat_penalty=sampling.repeat_penalty,
                presence_penalty=sampling.presence_penalty,
                frequency_penalty=sampling.frequency_penalty,
                seed=sampling.seed,
                logit_bias=list(sampling.logit_bias.items()),
                stop=list(sampling.stop),
                max_tokens=sampling.max_tokens,
                timeout=timeout,
                piece_interval=None if whole else self._piece_interval,
                tenant=tenant,
                priority=priority,
            )
        )

    def embed(
        self,
        texts: Sequence[str],
        timeout: float,
        *,
        normalize: bool,
        tenant: bytes | None,
        priority: Priority,
    ) -> LocalGeneration:
        """Ask the worker for vectors; returns at once."""
        return LocalGeneration(
            self._model.embed(texts, normalize=normalize, timeout=timeout, tenant=tenant, priority=priority)
        )

    def publish(self, prompt: str | Sequence[Message], timeout: float) -> LocalGeneration:
        """Ask the worker to keep a prefix for everyone; returns at once."""
        return LocalGeneration(self._model.publish(said(prompt), timeout=timeout))

    def tokenize(self, text: str, timeout: float) -> list[int]:
        """Return the ids of plain text."""
        return self._model.tokenize(text, timeout=timeout)

    def release(self) -> None:
        """Let it start a worker again."""
        self._model.release()

    def close(self) -> None:
        """End the worker."""
        self._model.close()
