"""What comes back. No `repr` here shows a word of an answer."""

from dataclasses import dataclass, field
from typing import Literal

from strongroom._core import Finding, Layer
from strongroom.models.evidence import Evidence
from strongroom.settings import Isolation

__all__ = ["Completion", "FinishReason", "MemoryUse", "ModelInfo", "Piece", "Timings"]

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an answer, in whole characters."""

    text: str = field(repr=False)
    tokens: int
    """Decoded for it; text may need several, or be held back for a stop string."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in seconds, as the worker measured it."""

    queue: float
    """Waiting for other requests."""
    prompt: float
    """From leaving the queue to the first token's probabilities."""
    decode: float
    """From there to the end."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str = field(repr=False)
    model: str
    """The name that the model was loaded under."""
    prompt_tokens: int
    """The template's scaffold and BOS included."""
    cached_tokens: int
    """Of these, the first ones that were not read again: the tenant's own, or a public prefix's."""
    completion_tokens: int
    """The one that ended the answer not counted."""
    finish_reason: FinishReason
    """"stop": the model's end or a stop string; "length": max_tokens or the context; "cancelled"."""
    seed: int
    """Of the random numbers: the same seed, options and prompt choose alike, where they are decoded alike.
    Beside other requests numbers are rounded otherwise, and rarely another token is the one: with
    `Limits(max_concurrent=1)`, without a prefix that is kept, an answer can be had again exactly."""
    timings: Timings


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a loaded model takes of memory, in bytes, as it was accounted before it was started."""

    weights: int
    """The sealed image, which all workers of it share."""
    cache: int
    """The key-value cache of all sequences that are decoded at once."""
    compute: int
    """The buffers that a step is computed in: an estimate."""
    prefixes: int
    """What may be kept of tenants' ended requests, and of what is published."""
    paused: int
    """What sequences may take that gave up their places for another tenant's: a quarter of the cache, as much
    as one has there at least, and nothing where one is decoded at a time."""
    process: int
    """The process itself, its vocabulary and heap: an estimate. Of an architecture that isn't checked in
    depth all that the memory limit lets it take beside the weights."""

    @property
    def worker(self) -> int:
        """All but the weights: what ends with the worker."""
        return self.cache + self.compute + self.prefixes + self.paused + self.process

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.worker


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A loaded model and the worker that serves it. Text from the file is the file's: untrusted."""

    name: str
    path: str
    """As it was given."""
    digest: str
    """Of the bytes that are served."""
    verified: bool
    """Whether a checksum, of the call or of the policy, or a signature held."""
    signer: str | None
    """Whose signature counted: a key's id, or an identity and who vouched for it."""
    version: str | None
    """As the call or the policy says."""
    why: tuple[str, ...]
    """The rules of trust by which it was admitted, a line each."""
    size: int
    """Of the file, in bytes."""
    architecture: str
    parameters: int
    quantization: str
    context_length: int
    """Tokens of prompt and answer together."""
    context_trained: int
    vocabulary_size: int
    chat_refusal: tuple[str, str] | None
    """Code and reason of why `chat` will be refused, where it will."""
    findings: tuple[Finding, ...]
    """What preflight noticed and did not refuse."""
    isolation: Isolation
    """As it was asked for."""
    sandbox: tuple[Layer, ...]
    """Every layer, as the worker that serves now found it in force."""
    pid: int
    """Of the worker that serves now, or of the last one."""
    restarts: int
    """Workers replaced."""
    threads: int
    """Compute threads."""
    instruction_set: Literal["avx2", "avx512"]
    """What the worker is compiled for."""
    pinned: bool
    """Whether none of the model's image can go to a swap device: only out of the store, as far as the limit
    on locked memory allows."""
    image_seconds: float
    """From opening the file to the sealed, proved and preflighted image."""
    lock_seconds: float
    """From the worker's first order to its sandbox in force."""
    load_seconds: float
    """In llama.cpp: parsing the image and making the context."""
    max_concurrent: int
    """Sequences that are decoded at once, as the worker found possible."""
    prefix_tenants: int
    """Tenants of which something is kept at the same time."""
    memory: MemoryUse
    """What it takes while it is loaded."""
    embeds: bool = False
    """Whether it was loaded for vectors: `embed` is answered, and `chat` isn't."""
    dimensions: int = 0
    """Numbers of a vector, where it embeds."""
    state: Literal["ready", "resting"] = "ready"
    """"resting": unloaded to make place, and started again by the next request."""
    kept: bool = False
    """Whether it is never unloaded to make place."""
    idle_seconds: float = field(default=0.0, compare=False)
    """Since a request last used it; 0 while one does."""
    evidence: tuple[Evidence, ...] = ()
    """What verifying its signature found, where a key was given; of a model in parts one per part."""
    template_digest: str | None = None
    """SHA-256, in hexadecimal, of the chat template that the load gave; None where the file's own counts."""
    failure: tuple[str, str] | None = None
    """Code and message of why it serves no request, where it doesn't: quarantined, until it is released, or
    for good. The rest is of before."""
