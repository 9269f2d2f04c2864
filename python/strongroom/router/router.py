"""The Router for threads."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from strongroom.backends.backend import Embeddings, Priority
from strongroom.errors import StrongroomError
from strongroom.messages import Prompt
from strongroom.models.listed import SignedManifest
from strongroom.models.progress import Progress
from strongroom.models.source import Checksum, Reference
from strongroom.results import Completion, ModelInfo
from strongroom.router.batch import BatchProgress, OnError
from strongroom.router.batching import Plan, answers
from strongroom.router.embedding import Embedding, embed
from strongroom.router.loading import checked, load, store_of
from strongroom.router.registry import Registry
from strongroom.router.request import begin, publish, release, tokenize
from strongroom.router.stream import Stream
from strongroom.sampling import SamplingOptions
from strongroom.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Router"]


class Router:
    """Loads models, each in a sandboxed worker of its own, and puts requests to them.

    Safe to use from many threads. After a fork, and after `close`, every method raises RouterError.
    `model` may be left out where exactly one model is loaded.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Make a Router without models. Without settings it has the defaults: it reads no configuration.

        Raises SettingsError where this machine lacks what the settings ask for, and TrustError where the
        record of models that the trust policy names is damaged.
        """
        self._settings = checked(settings)
        self._registry = Registry(self._settings)
        self._store = store_of(self._settings)

    def load(
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
        """Read a model's file once, check it, seal it in memory, and start a worker of it.

        `reference` is a path, a source on a host, `https://…` or `hf://…`, or a name in the encrypted store,
        which it is by default; `checksum` is `sha256:`, `sha384:` or `sha512:` and hexadecimal digits, of
        one in parts also one per part;
        `version`, numbers with dots, is what the trust policy and the record of models go by;
        `public_key`, `signature` and `hash` are those of `verify_signature`; `manifest` is a signed list
        of files that has this one in it, or its parts; what is given has to hold, of a source on a host
        before it has a name in the cache, and again of what is loaded;
        `context_length` takes precedence over the settings'; `chat_template` replaces the file's;
        `embeddings` loads it for `embed` instead of answers: True makes vectors as its file says, "mean",
        "cls" and "last" say how; its texts have at most 512 tokens unless `context_length` says more;
        `allow_architectures` names architectures that preflight can't check in depth. `progress(done,
        total)` is called with bytes; what it raises ends the loading.

        Weights, key-value cache and buffers are accounted first. Where they don't fit beside the other
        models, the longest unused one that no request is using and that wasn't loaded with `keep` is
        unloaded, if `Limits.unload_idle` lets it; the next request for it starts it again, out of its sealed
        image where memory allowed to keep that, or read and proved anew. What doesn't fit then is refused,
        with the sum.

        Raises SourceError, FetchError, ChecksumError, SignatureError, SigningKeyError, ManifestError,
        CertificateError, TrustError (without any proof, unless the settings name the danger),
        PreflightError, SandboxError, LoadError, WorkerError, OptionError, RouterError.
        """
        return load(
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
        )

    def unload(self, name: str) -> None:
        """End a model's worker; the requests it holds end with RequestError.

        Raises RouterError.
        """
        self._registry.remove(name)

    def release(self, name: str) -> None:
        """Let a quarantined model start a worker again, which the next requests wait for.

        A model is quarantined once its workers died three times in a row without an answer in between,
        whoever killed them: `models()` shows it as its failure, and every request raises WorkerError
        (`worker.quarantined`). For a model that isn't, this is nothing.

        Raises RequestError, RouterError.
        """
        release(self._registry, name)

    def models(self) -> list[ModelInfo]:
        """Describe every loaded model, its worker, and the sandbox that the worker is in.

        Raises RouterError.
        """
        return self._registry.models()

    def chat(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Completion:
        """Answer a conversation, or the one thing that a user says.

        `tenant` is whose request it is, 1 to 256 bytes, or text of as many in UTF-8; None is nobody's. Of the
        requests that wait those of a higher `priority`, "low", "normal" or "high", go first.
        `timeout` is in seconds, or as "30s"; at most, and by default, the settings'.

        Raises PromptError, TemplateError, OptionError, RequestError, WorkerError, RouterError.
        """
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
        with Stream(*begun) as stream:
            return stream.read()

    def complete(
        self,
        prompt: str,
        *,
        model: str | None = None,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Completion:
        """Continue a text, without a template. Special tokens in it are not parsed.

        Raises PromptError, OptionError, RequestError, WorkerError, RouterError.
        """
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
        with Stream(*begun) as stream:
            return stream.read()

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
    ) -> Stream:
        """Do what `chat` does, or with `raw` what `complete` does, piece by piece.

        Raises OptionError, PromptError, RequestError, RouterError; the stream raises the rest.
        """
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
        return Stream(*begun)

    def generate_batch(
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
        timeout: str | float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> list[Completion | StrongroomError]:
        """Answer many prompts, with as many requests at once as the model holds, or `concurrency` of them.

        The results are in the prompts' order; what failed is its error, in its place, unless `on_error` is
        "raise". Prompts are drawn as they are needed. With `raw` each is a text to continue, as for
        `complete`, else what `chat` answers. `resume` names a journal of the answers, which is made where it
        isn't there yet: the same call goes on where it was killed, and asks again what failed. It holds
        answers in plain text, for its owner alone. `progress` True shows a bar at a terminal; a callable is
        called with how many are done, and of how many where that is known. `tenant`,
        `priority` and `timeout` are each request's, as for `chat`.

        Raises OptionError, RouterError, JournalError; with "raise" what a request raises.
        """
        return list(
            answers(
                Plan(
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
            )
        )

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        normalize: bool = True,
        tenant: str | bytes | None = None,
        priority: Priority = "normal",
        timeout: str | float | None = None,
    ) -> "NDArray[np.float32]":
        """Return the vectors of some texts, a row each, in their order; of one string there is one row.

        The array is C-contiguous, of float32, with as many columns as `ModelInfo.dimensions`; of no texts it
        has no rows. With `normalize` each vector has length 1, else it is as the model made it. The texts go
        to the model as requests of at most 256 texts and 1 MiB, several at once; `tenant`, `priority` and
        `timeout` are each request's, as for `chat`. It takes a model that was loaded with `embeddings`, and
        the extra `strongroom[numpy]`.

        Raises PromptError, OptionError, RequestError (`request.wrong_task` of a model that answers),
        WorkerError, RouterError, and SettingsError without NumPy.
        """
        embedding = Embedding(texts, normalize=normalize, tenant=tenant, priority=priority)
        return embed(self._registry, model, embedding, timeout)

    def publish(self, prompt: Prompt, *, model: str | None = None, timeout: str | float | None = None) -> int:
        """Let the prompts of every tenant go on from this one; return its tokens.

        It is the operator's word that the prefix is no secret: a system message that all share, or an
        instruction. A string is text that `complete` goes on from, messages are a conversation that `chat`
        goes on from. It has a place beside the tenants', `Limits.prefix_cache` for all that is published, and
        stays until the model is unloaded; a worker that takes this one's place reads it again.
        `Completion.cached_tokens` shows that a request went on from it.

        Raises PrefixError (`prefix.no_room`) where it has no place, PromptError, TemplateError, OptionError,
        RequestError, WorkerError, RouterError.
        """
        return publish(self._registry, prompt, model, timeout)

    def tokenize(self, text: str, *, model: str | None = None) -> list[int]:
        """Return the ids of a text, BOS as the model says. Special tokens in it are not parsed.

        Raises PromptError, RequestError, WorkerError, RouterError.
        """
        return tokenize(self._registry, text, model)

    def close(self) -> None:
        """End every worker. Again is nothing."""
        self._registry.close()

    def __enter__(self) -> Self:
        """Close it in the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
