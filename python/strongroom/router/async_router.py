"""The Router for an event loop: the same methods, awaited."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from strongroom.backends.backend import Embeddings, Priority
from strongroom.errors import StrongroomError
from strongroom.messages import Prompt
from strongroom.models.listed import SignedManifest
from strongroom.models.progress import Progress
from strongroom.models.source import Checksum, Reference
from strongroom.results import Completion, ModelInfo
from strongroom.router.async_batching import async_answers
from strongroom.router.async_holding import async_embed, async_publish
from strongroom.router.batch import BatchProgress, OnError
from strongroom.router.batching import Plan
from strongroom.router.bells import Bells
from strongroom.router.embedding import Embedding
from strongroom.router.loading import checked, load, store_of
from strongroom.router.registry import Registry
from strongroom.router.request import begin, release, tokenize
from strongroom.router.stream import AsyncStream
from strongroom.sampling import SamplingOptions
from strongroom.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AsyncRouter"]


class AsyncRouter:
    """Loads models, each in a sandboxed worker of its own, and puts requests to them.

    The methods are those of `Router`, awaited; `stream` alone returns at once. Streaming uses no
    thread; loading, unloading and tokenizing use one of the event loop's.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Make a Router without models. Without settings it has the defaults: it reads no configuration.

        Raises SettingsError where this machine lacks what the settings ask for, and TrustError where the
        record of models that the trust policy names is damaged.
        """
        self._settings = checked(settings)
        self._registry = Registry(self._settings)
        self._store = store_of(self._settings)
        self._bells = Bells()

    async def load(
        self,
        name: str,
        reference: Reference | None = None,
        *,
        checksum: Checksum | None = None,
        version: str | None = None,
        signature: Reference | None = None,
        public_key: Reference | None = None,
        hash: str | None = None,
        manifest: SignedManifest | None = None,
        context_length: int | None = None,
        chat_template: str | None = None,
        embeddings: Embeddings = False,
        allow_architectures: Sequence[str] = (),
        keep: bool = False,
        progress: Progress | None = None,
    ) -> ModelInfo:
        """Do what `Router.load` does; `progress` is called in another thread.

        Cancelled, it stops reading, and ends a worker that is being started.
        """
        abandoned = threading.Event()
        try:
            return await asyncio.to_thread(
                load,
                self._registry,
                self._settings,
                self._store,
                name,
                reference,
                checksum=checksum,
                version=version,
                signature=signature,
                public_key=public_key,
                hash=hash,
                manifest=manifest,
                context_length=context_length,
                chat_template=chat_template,
                embeddings=embeddings,
                allow_architectures=allow_architectures,
                keep=keep,
                progress=progress,
                abandoned=abandoned,
            )
        finally:
            abandoned.set()

    async def unload(self, name: str) -> None:
        """Do what `Router.unload` does."""
        await asyncio.to_thread(self._registry.remove, name)

    async def release(self, name: str) -> None:
        """Do what `Router.release` does."""
        release(self._registry, name)

    async def models(self) -> list[ModelInfo]:
        """Do what `Router.models` does."""
        return self._registry.models()

    async def chat(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,  # noqa: ASYNC109 - the worker's deadline, not the waiter's
        **sampling: Unpack[SamplingOptions],
    ) -> Completion:
        """Do what `Router.chat` does; cancelled, it stops the decoding."""
        begun = begin(
            self._registry,
            prompt,
            raw=False,
            model=model,
            tenant=tenant,
            priority=priority,
            timeout=timeout,
            options=sampling,
            whole=True,
        )
        async with AsyncStream(*begun, self._bells) as stream:
            return await stream.read()

    async def complete(
        self,
        prompt: str,
        *,
        model: str | None = None,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,  # noqa: ASYNC109 - the worker's deadline, not the waiter's
        **sampling: Unpack[SamplingOptions],
    ) -> Completion:
        """Do what `Router.complete` does; cancelled, it stops the decoding."""
        begun = begin(
            self._registry,
            prompt,
            raw=True,
            model=model,
            tenant=tenant,
            priority=priority,
            timeout=timeout,
            options=sampling,
            whole=True,
        )
        async with AsyncStream(*begun, self._bells) as stream:
            return await stream.read()

    def stream(
        self,
        prompt: Prompt,
        *,
        raw: bool = False,
        model: str | None = None,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncStream:
        """Do what `Router.stream` does; the stream is read with `async for`."""
        begun = begin(
            self._registry,
            prompt,
            raw=raw,
            model=model,
            tenant=tenant,
            priority=priority,
            timeout=timeout,
            options=sampling,
        )
        return AsyncStream(*begun, self._bells)

    async def generate_batch(
        self,
        prompts: Iterable[Prompt],
        *,
        raw: bool = False,
        model: str | None = None,
        concurrency: int | None = None,
        resume: Reference | None = None,
        progress: bool | BatchProgress = False,
        on_error: OnError = "keep",
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,  # noqa: ASYNC109 - the worker's deadline, not the waiter's
        **sampling: Unpack[SamplingOptions],
    ) -> list[Completion | StrongroomError]:
        """Do what `Router.generate_batch` does; cancelled, it stops the decoding."""
        plan = Plan(
            self._registry,
            prompts,
            raw=raw,
            model=model,
            concurrency=concurrency,
            limit=self._settings.limits.concurrent_requests,
            resume=resume,
            progress=progress,
            on_error=on_error,
            tenant=tenant,
            priority=priority,
            timeout=timeout,
            options=sampling,
        )
        async with aclosing(async_answers(plan, self._bells)) as results:
            return [result async for result in results]

    async def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        normalize: bool = True,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,  # noqa: ASYNC109 - the worker's deadline, not the waiter's
    ) -> "NDArray[np.float32]":
        """Do what `Router.embed` does; cancelled, it stops the computing."""
        embedding = Embedding(texts, normalize=normalize, tenant=tenant, priority=priority)
        return await async_embed(self._registry, self._bells, model, embedding, timeout)

    async def publish(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        timeout: str | float | None = None,  # noqa: ASYNC109 - the worker's deadline, not the waiter's
    ) -> int:
        """Do what `Router.publish` does; cancelled, it stops the reading."""
        return await async_publish(self._registry, self._bells, prompt, model, timeout)

    async def tokenize(self, text: str, *, model: str | None = None) -> list[int]:
        """Do what `Router.tokenize` does."""
        return await asyncio.to_thread(tokenize, self._registry, text, model)

    async def close(self) -> None:
        """Do what `Router.close` does."""
        await asyncio.to_thread(self._registry.close)
        self._bells.close()

    async def __aenter__(self) -> Self:
        """Close it in the end."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
