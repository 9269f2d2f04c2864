"""From a reference to a model that is served."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import cache

from strongroom import _core
from strongroom.backends.local import Local
from strongroom.errors import ChecksumError, OptionError
from strongroom.models.fetching import fetch_remote, origin_of
from strongroom.models.listed import SignedManifest
from strongroom.models.source import Checksum, Reference, Remote, Stored, source_of
from strongroom.models.stored import take
from strongroom.models.trust import Admitted, Progress, admit
from strongroom.quantities import invalid
from strongroom.results import ModelInfo
from strongroom.router.registry import Registry
from strongroom.settings import Settings
from strongroom.store.store import Store
from strongroom.trust import lock
from strongroom.trust.evidence import Https, HuggingFace
from strongroom.trust.roots import check_roots

__all__ = ["checked", "load", "store_of"]


def checked(settings: Settings | None) -> Settings:
    """Check settings against this machine as a Router is made of them; None is the defaults."""
    if settings is None:
        return Settings()
    if not isinstance(settings, Settings):
        raise invalid("settings", settings, "a Settings")
    policy = settings.security.model_verification
    check_roots(policy)
    if policy.lock != "off":
        lock.read(policy.lock)
    return settings


def store_of(settings: Settings) -> Callable[[], Store]:
    """Return what makes, once, the store that settings name, when the first model is taken from it."""
    return cache(lambda: Store(settings.store.place, settings.store.keys))


def load(
    registry: Registry,
    settings: Settings,
    store: Callable[[], Store],
    name: str,
    reference: Reference | None,
    *,
    checksum: Checksum | None,
    version: str | None,
    signature: Reference | None,
    public_key: Reference | None,
    hash: str | None,
    manifest: SignedManifest | None,
    context_length: int | None,
    chat_template: str | None,
    allow_architectures: Sequence[str],
    progress: Progress | None,
    abandoned: threading.Event | None = None,
) -> ModelInfo:
    """Read, check, seal and start a model under `name`.

    Whoever waited may set `abandoned` from another thread: reading then ends with CancelledError, and
    starting a worker with LoadError, which nobody waits for.
    """

    def check() -> None:
        if abandoned is not None and abandoned.is_set():
            raise CancelledError

    def watched(done: int, total: int) -> None:
        check()
        if progress is not None:
            progress(done, total)

    def read(path: str, origin: Https | HuggingFace | None = None) -> Admitted:
        return admit(
            path,
            origin=origin,
            name=name,
            version=version,
            checksum=checksum,
            signature=signature,
            public_key=public_key,
            hash=hash,
            manifest=manifest,
            security=settings.security,
            allow_architectures=allow_architectures,
            progress=watched,
        )

    def admitted(source: str | Remote | Stored) -> tuple[str, Admitted]:
        if isinstance(source, Stored):
            if signature or public_key or hash or manifest:
                raise OptionError(
                    "option.out_of_range",
                    f"{source.name!r} was proved when it entered the store: signature, public_key, hash and "
                    "manifest have no place there",
                )
            return take(
                store(),
                source.name,
                name=name,
                version=version,
                checksum=checksum,
                security=settings.security,
                allow_architectures=allow_architectures,
                progress=watched,
            )
        if not isinstance(source, Remote):
            return source, read(source)

        def fetched(*, recheck: bool) -> _core.Fetched:
            return fetch_remote(
                source, checksum=checksum, settings=settings, recheck=recheck, progress=watched
            )

        origin = origin_of(source)
        file = fetched(recheck=False)
        try:
            return file.path, read(file.path, origin)
        except ChecksumError:
            # Hashed while it was loaded, as every file is: what lay in the cache was damaged.
            if not file.cached:
                raise
        file = fetched(recheck=True)
        return file.path, read(file.path, origin)

    def start() -> Local:
        path, (image, decision) = admitted(source_of(name if reference is None else reference))
        check()
        local = Local(
            name,
            path,
            image,
            decision,
            settings,
            context_length=context_length,
            chat_template=chat_template,
            proceed=None if abandoned is None else lambda: not abandoned.is_set(),
        )
        try:
            check()
        except CancelledError:
            local.close()
            raise
        return local

    return registry.add(name, start).info()
