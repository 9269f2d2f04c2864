"""What an operator decides: one frozen tree. Every option acts, or raises.

    Settings(
        security=Security(
            isolation="maximum",
            sandboxing=Sandboxing(memory_limit="2GB", cpu_limit="2 cores", timeout="30s"),
        ),
        limits=Limits(context_length=2048),
    )

A misspelt option, a value that can't be read, and an option that can't be enforced all raise
`SettingsError`, which names the option.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from strongroom.errors import SettingsError
from strongroom.options import Options, shown
from strongroom.quantities import bytes_of, cores_of, invalid, seconds_of
from strongroom.sources import Sources
from strongroom.store.settings import StoreSettings
from strongroom.trust.policy import ModelVerification

__all__ = ["Limits", "Sandboxing", "Security", "Settings"]

Isolation = Literal["process", "maximum", "danger-none"]
Verification = Literal["always", "danger-none"]
InstructionSet = Literal["auto", "avx2", "avx512"]
Erasure = Literal["always", "danger-none"]
Separation = Literal["tenant", "danger-none"]

MAX_CONTEXT = 2**31 - 1
MAX_REQUESTS = 1024
MAX_SEQUENCES = 128
"""As many as the protocol lets a worker decode at once."""
MAX_THREADS = 1024
MAX_BATCH = 8192
"""Tokens of a step; with more a cancelled request would decode for seconds."""
MAX_TENANTS = 64
"""Tenants of which prefixes are kept, where `prefix_tenants` doesn't say."""
MOST_TENANTS = 65_536
MIN_MEMORY = 32 * 10**6
"""With less no worker can load the smallest of models."""


def unavailable(option: str, value: object, reason: str) -> SettingsError:
    """Build the error for an option that nothing enforces yet."""
    return SettingsError("settings.unavailable", f"{option}={shown(value)} is not yet available: {reason}")


def whole(option: str, value: object, most: int) -> int:
    """Check a count: a whole number from 1 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid(option, value, f"a whole number from 1 to {most}")
    return value


@dataclass(frozen=True, kw_only=True)
class Sandboxing(Options):
    """What a worker may use of the machine. The values are bounds that the kernel enforces."""

    memory_limit: str | int = "4GB"
    """Address space of each worker, weights included: "2GB" is 2·10⁹ bytes, "2GiB" 2·2³⁰; from 32MB on."""
    cpu_limit: str | int | None = None
    """Cores that each worker may run on: 2, "2 cores", "80%" (rounded down, at least one); None is all."""
    network_access: Literal[False] = False
    """Only False: a worker has no network."""
    file_system_access: Literal["none"] = "none"
    """Only "none": a worker sees no file."""
    timeout: str | float = "300s"
    """Of one request, from the call on, its time in the queue included; the longest a call may ask for."""

    def __post_init__(self) -> None:
        """Check every option."""
        if bytes_of("memory_limit", self.memory_limit) < MIN_MEMORY:
            raise invalid("memory_limit", self.memory_limit, f"at least {MIN_MEMORY // 10**6}MB")
        cores_of("cpu_limit", self.cpu_limit)
        seconds_of("timeout", self.timeout)
        if self.network_access is not False:
            raise unavailable("network_access", self.network_access, "a worker has no network, use False")
        if self.file_system_access != "none":
            raise unavailable(
                "file_system_access", self.file_system_access, 'a worker sees no file, use "none"'
            )

    @property
    def address_space(self) -> int:
        """`memory_limit` in bytes."""
        return bytes_of("memory_limit", self.memory_limit)

    @property
    def cores(self) -> int:
        """`cpu_limit` in cores of this machine."""
        return cores_of("cpu_limit", self.cpu_limit)

    @property
    def timeout_seconds(self) -> float:
        """`timeout` in seconds."""
        return seconds_of("timeout", self.timeout)


@dataclass(frozen=True, kw_only=True)
class Security(Options):
    """What is trusted, and what stands between a model and the machine."""

    trust_level: Literal["zero"] = "zero"
    """Only "zero": a model is trusted for what proves its bytes, never for where it lies."""
    verification: Verification = "always"
    """"always" refuses a model that nothing proves; "danger-none" loads it, and each load says so."""
    isolation: Isolation = "process"
    """"process" requires seccomp, the rlimits and Landlock; "maximum" also Landlock's network and scope
    rights, and no swap; "danger-none" is a worker with no layer in force, for measuring."""
    erasure: Erasure = "always"
    """"always" overwrites what an ended request left in its worker; "danger-none" leaves it, to measure what
    that costs."""
    separation: Separation = "tenant"
    """"tenant" keeps what is kept of one tenant from all others; "danger-none" takes all requests for one
    tenant's, nobody's too, to measure what that costs."""
    sandboxing: Sandboxing = field(default_factory=Sandboxing)
    """Bounds of a worker."""
    model_verification: ModelVerification = field(default_factory=ModelVerification)
    """The trust policy; the table [trust] of a configuration file."""
    audit_level: None = None
    """Only None: nothing writes an audit trail yet."""

    def __post_init__(self) -> None:
        """Check every option."""
        if self.trust_level != "zero":
            raise unavailable("trust_level", self.trust_level, 'nothing is trusted unproved, use "zero"')
        if self.verification not in ("always", "danger-none"):
            raise invalid("verification", self.verification, '"always" or "danger-none"')
        isolation: object = self.isolation
        if isolation == "container":
            raise unavailable("isolation", isolation, 'use "process" or "maximum"')
        if isolation not in ("process", "maximum", "danger-none"):
            raise invalid("isolation", isolation, '"process", "maximum" or "danger-none"')
        if self.erasure not in ("always", "danger-none"):
            raise invalid("erasure", self.erasure, '"always" or "danger-none"')
        if self.separation not in ("tenant", "danger-none"):
            raise invalid("separation", self.separation, '"tenant" or "danger-none"')
        if not isinstance(self.sandboxing, Sandboxing):
            raise invalid("sandboxing", self.sandboxing, "a Sandboxing")
        if not isinstance(self.model_verification, ModelVerification):
            raise invalid("model_verification", self.model_verification, "a ModelVerification")
        if self.verification == "danger-none" and self.model_verification.demanding:
            raise SettingsError(
                "settings.conflict",
                'verification="danger-none" contradicts a trust policy that asks for more than a digest',
                "take the demand out of the policy, if that is meant",
            )
        if self.audit_level is not None:
            raise unavailable("audit_level", self.audit_level, "nothing writes an audit trail, leave it out")


@dataclass(frozen=True, kw_only=True)
class Limits(Options):
    """Bounds on what callers ask for."""

    context_length: int | None = None
    """Tokens of prompt and answer together; None is min(what the model was trained with, 4096)."""
    concurrent_requests: int = 64
    """Requests that one model holds at once, waiting ones included; more are refused."""
    tenant_requests: int | None = None
    """Of these, for one tenant; None is as many. Requests without a tenant are bounded together alone."""
    max_concurrent: int | None = None
    """Sequences that one model decodes at once, 1 to 128; None is as many as half of the memory that its
    weights leave holds the key-value cache of, at most 16."""
    total_context: int | None = None
    """Tokens of all sequences of one model together; max_concurrent is lowered to hold it."""
    batch_tokens: int | None = None
    """Tokens of one decode step at most, all sequences together; None is 64."""
    threads: int | None = None
    """That compute, of each model: at most as many as it may have cores; None is one per core that is
    really free."""
    prefix_cache: str | int = "64MB"
    """Bytes that what one model keeps of ended requests may take, for each tenant apart, so that a prompt
    that begins alike needn't be read again; as many again are for what is published. Less where an eighth of
    what memory_limit leaves is less and prefix_tenants isn't given. 0 keeps nothing, and nothing can be
    published."""
    prefix_tenants: int | None = None
    """Tenants of which something is kept at the same time; of one more nothing is, until one was idle for
    prefix_idle. None is as many as fit into an eighth of what memory_limit leaves beside weights and
    key-value cache, 1 to 64."""
    prefix_idle: str | float = "10m"
    """From a tenant's last request to all being overwritten that is kept of it; at least 1s, rounded up to
    whole seconds."""
    total_memory: str | int | None = None
    """Of all models of a Router together, weights, caches and computation, accounted before one is started:
    "8GB"; None is what the machine and its control group have available at that time, less a reserve."""
    unload_idle: bool = True
    """Whether a model that no request is using may be unloaded to make place for another, the longest unused
    first; the next request for it starts it again. False refuses the other one instead."""
    load_timeout: str | float = "120s"
    """From a worker's start to its model being ready."""
    piece_interval: str | float = "40ms"
    """Between the ticks at which pieces of a model's streams come, the first piece of each not counted: each
    wakes Python, which costs more than its bytes. 0 is a piece for every token that has text. What isn't read
    before the next piece comes is one with it."""
    instruction_set: InstructionSet = "auto"
    """What the worker is compiled for: "auto" is the fastest that the processor runs and the installation
    has; "avx2" or "avx512" is that one, or an error when a model is loaded."""
    device: Literal["cpu"] = "cpu"
    """Only "cpu": models are computed on the processor."""
    gpu_layers: Literal[0] = 0
    """Only 0: no layer is offloaded."""
    n_gpu_layers: Literal[0] = 0
    """The same, by llama.cpp's name for it."""

    def __post_init__(self) -> None:
        """Check every option."""
        if self.context_length is not None:
            whole("context_length", self.context_length, MAX_CONTEXT)
        whole("concurrent_requests", self.concurrent_requests, MAX_REQUESTS)
        if self.tenant_requests is not None:
            whole("tenant_requests", self.tenant_requests, MAX_REQUESTS)
            if self.tenant_requests > self.concurrent_requests:  # it would never act
                bound = f"at most concurrent_requests, {self.concurrent_requests}"
                raise invalid("tenant_requests", self.tenant_requests, bound)
        for option, value, most in (
            ("max_concurrent", self.max_concurrent, MAX_SEQUENCES),
            ("total_context", self.total_context, MAX_CONTEXT),
            ("batch_tokens", self.batch_tokens, MAX_BATCH),
            ("threads", self.threads, MAX_THREADS),
            ("prefix_tenants", self.prefix_tenants, MOST_TENANTS),
        ):
            if value is not None:
                whole(option, value, most)
        self._check_together()
        _ = self.total_memory_bytes, self.prefix_idle_seconds
        if self.prefix_cache_bytes == 0 and self.prefix_tenants is not None:  # it would never act
            raise SettingsError(
                "settings.conflict",
                f"prefix_tenants={self.prefix_tenants} has nothing to share out: prefix_cache is 0",
                "leave out prefix_tenants, or give prefix_cache a size",
            )
        if not isinstance(self.unload_idle, bool):
            raise invalid("unload_idle", self.unload_idle, "True or False")
        seconds_of("load_timeout", self.load_timeout)
        _ = self.piece_interval_seconds
        if self.instruction_set not in get_args(InstructionSet):
            raise invalid("instruction_set", self.instruction_set, '"auto", "avx2" or "avx512"')
        if self.device != "cpu":
            raise unavailable("device", self.device, 'no worker computes on a GPU, use "cpu"')
        for name in ("gpu_layers", "n_gpu_layers"):
            layers: object = getattr(self, name)
            if layers != 0 or isinstance(layers, bool):
                raise unavailable(name, layers, "no worker computes on a GPU, use 0")

    def _check_together(self) -> None:
        """Refuse numbers of which one makes another impossible."""
        if self.max_concurrent and self.max_concurrent > self.concurrent_requests:  # it would never act
            raise SettingsError(
                "settings.conflict",
                f"max_concurrent={self.max_concurrent} is more than concurrent_requests="
                f"{self.concurrent_requests}, of which they are a part",
                "raise concurrent_requests, or lower max_concurrent",
            )
        if self.batch_tokens and self.max_concurrent and self.batch_tokens < self.max_concurrent:
            raise SettingsError(
                "settings.conflict",
                f"batch_tokens={self.batch_tokens} is less than max_concurrent={self.max_concurrent}: a step "
                "takes one token of each sequence at least",
            )
        if self.total_context and self.context_length and self.total_context < self.context_length:
            raise SettingsError(
                "settings.conflict",
                f"total_context={self.total_context} is less than context_length={self.context_length}, the "
                "tokens of one request",
            )

    @property
    def prefix_cache_bytes(self) -> int:
        """`prefix_cache` in bytes."""
        if self.prefix_cache == 0 and not isinstance(self.prefix_cache, bool):
            return 0
        return bytes_of("prefix_cache", self.prefix_cache)

    @property
    def prefix_idle_seconds(self) -> int:
        """`prefix_idle` in whole seconds."""
        seconds = seconds_of("prefix_idle", self.prefix_idle)
        if seconds < 1:
            raise invalid("prefix_idle", self.prefix_idle, "at least 1s")
        return math.ceil(seconds)

    @property
    def total_memory_bytes(self) -> int | None:
        """`total_memory` in bytes."""
        return None if self.total_memory is None else bytes_of("total_memory", self.total_memory)

    @property
    def load_timeout_seconds(self) -> float:
        """`load_timeout` in seconds."""
        return seconds_of("load_timeout", self.load_timeout)

    @property
    def piece_interval_seconds(self) -> float:
        """`piece_interval` in seconds."""
        if self.piece_interval == 0 and not isinstance(self.piece_interval, bool):
            return 0.0
        return seconds_of("piece_interval", self.piece_interval)


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """The whole tree."""

    security: Security = field(default_factory=Security)
    limits: Limits = field(default_factory=Limits)
    sources: Sources = field(default_factory=Sources)
    """Which hosts models may be fetched from; by default none."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """Where models lie encrypted, and the keys."""

    def __post_init__(self) -> None:
        """Check the branches."""
        if not isinstance(self.security, Security):
            raise invalid("security", self.security, "a Security")
        if not isinstance(self.limits, Limits):
            raise invalid("limits", self.limits, "a Limits")
        if not isinstance(self.sources, Sources):
            raise invalid("sources", self.sources, "a Sources")
        if not isinstance(self.store, StoreSettings):
            raise invalid("store", self.store, "a StoreSettings")
