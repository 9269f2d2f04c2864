"""From a reference to a model that is served."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import cache

from strongroom.backends.local import Local
from strongroom.errors import (
    ChecksumError,
    ManifestError,
    PreflightError,
    SignatureError,
    SourceError,
)
from strongroom.models.fetching import Download, origin_of
from strongroom.models.listed import SignedManifest
from strongroom.models.parts import parts_of
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given, Proofs
from strongroom.models.source import Checksum, Reference, Remote, Stored, source_of
from strongroom.models.stored import proved_before, take
from strongroom.models.trust import Admitted, admit_files
from strongroom.quantities import invalid
from strongroom.results import ModelInfo
from strongroom.router.registry import Registry
from strongroom.settings import Settings
from strongroom.store.store import Store
from strongroom.trust import lock
from strongroom.trust.evidence import Https, HuggingFace
from strongroom.trust.roots import check_roots

__all__ = ["checked", "load", "store_of"]

DAMAGED = (ChecksumError, SignatureError, ManifestError, PreflightError, SourceError)
"""What a file of the cache may be refused with that is no longer what it was; the headers of parts are read
before their digests are known."""


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
    return cache(lambda: Store(settings.store.place, settings.store.keys, expected_id=settings.store.id))


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

    given = Given(checksum=checksum, signature=signature, public_key=public_key, hash=hash, manifest=manifest)

    def read(
        path: str, parts: Sequence[str], proofs: Proofs, origin: Https | HuggingFace | None = None
    ) -> Admitted:
        return admit_files(
            path,
            parts,
            proofs,
            origin=origin,
            name=name,
            version=version,
            security=settings.security,
            allow_architectures=allow_architectures,
            progress=watched,
        )

    def admitted(source: str | Remote | Stored) -> tuple[str, Admitted]:
        if isinstance(source, Stored):
            if signature or public_key or hash or manifest:
                raise proved_before(source.name)
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
            parts = parts_of(source)
            return source, read(source, parts, given.of_files(parts or [source]))

        download = Download.of(source, given, settings)
        origin = origin_of(source)
        found = download.fetch(recheck=False, progress=watched)
        try:
            return found.path, read(found.path, found.parts, download.proofs, origin)
        except DAMAGED:
            # Held to its proofs while it was loaded, as every file is: what lay in the cache was damaged,
            # or is another version than the one that is signed now.
            if not (found.cached or found.parts):
                raise
        found = download.fetch(recheck=True, progress=watched)
        return found.path, read(found.path, found.parts, download.proofs, origin)

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
