"""From a reference to a model that is served, and served again after it was unloaded to make place."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

from strongroom import _core
from strongroom.backends.backend import Embeddings
from strongroom.backends.capacity import MOST_AUTOMATIC, Capacity, capacity_of, embedding_capacity_of
from strongroom.backends.local import Local, check_options
from strongroom.errors import (
    ChecksumError,
    LoadError,
    ManifestError,
    OptionError,
    PreflightError,
    RouterError,
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
from strongroom.options import shown
from strongroom.quantities import invalid
from strongroom.results import MemoryUse, ModelInfo
from strongroom.router.registry import MakeRoom, Registry, checked_name
from strongroom.settings import MAX_TENANTS, Settings
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
    # One alone: a key in an environment variable can be read once.
    lock, made = threading.Lock(), list[Store]()

    def store() -> Store:
        with lock:
            if not made:
                made.append(Store(settings.store.place, settings.store.keys, expected_id=settings.store.id))
            return made[0]

    return store


class Recipe:
    """How a model is read, proved and started; kept by the Router for as long as it knows the model."""

    def __init__(
        self,
        settings: Settings,
        store: Callable[[], Store],
        name: str,
        reference: Reference | None,
        *,
        given: Given,
        version: str | None,
        context_length: int | None,
        chat_template: str | None,
        embeddings: Embeddings,
        allow_architectures: Sequence[str],
        progress: Progress | None,
        abandoned: threading.Event | None,
    ) -> None:
        """Take what `load` was given.

        Raises OptionError, SourceError.
        """
        check_options(context_length, chat_template, embeddings)
        self._settings = settings
        self._store = store
        self._name = name
        self._source = source_of(name if reference is None else reference)
        self._given = given
        self._version = version
        self._context_length = context_length
        self._chat_template = chat_template
        self._embeddings: Embeddings = embeddings
        self._allow_architectures = tuple(allow_architectures)
        self._progress = progress
        self._abandoned = abandoned
        self._held: tuple[str, Admitted] | None = None
        self._digests: frozenset[str] | None = None

    @property
    def image_bytes(self) -> int:
        """Bytes of the sealed image, if it is held; else 0."""
        return 0 if self._held is None else self._held[1].image.size

    def forget(self) -> None:
        """Let go of the sealed image."""
        self._held = None

    def start(self, make_room: MakeRoom) -> Local:
        """Start a worker of the image that is held, or of one that is read and proved anew.

        Whoever waited may have set `abandoned`: reading then ends with CancelledError, and starting a
        worker with LoadError, which nobody waits for.
        """
        # The image may be let go meanwhile, to make place: what is being started holds it itself.
        held = self._held
        if held is None:
            held = self._held = self._admitted(make_room)
        try:
            local = self._started(*held, make_room)
        except BaseException:
            if self._digests is None:  # never started: nobody waits for it to be started again
                self._held = None
            raise
        finally:
            # What was called while it was loaded is not called when it is started again.
            self._progress = self._abandoned = None
        self._held = held
        return local

    def _started(self, path: str, admitted: Admitted, make_room: MakeRoom) -> Local:
        """Account the worker's memory, and start it."""
        image, decision = admitted
        if self._digests is not None and not self._digests.intersection(image.digests):
            self._held = None
            raise RouterError(
                "router.model_changed", f"what {self._name!r} was loaded from holds another model by now"
            )
        self._check()
        capacity = self._capacity(image, make_room)
        abandoned = self._abandoned
        local = Local(
            self._name,
            path,
            image,
            decision,
            self._settings,
            capacity=capacity,
            context_length=self._context_length,
            chat_template=self._chat_template,
            embeddings=self._embeddings,
            proceed=None if abandoned is None else lambda: not abandoned.is_set(),
        )
        try:
            self._check()
        except CancelledError:
            local.close()
            raise
        self._digests = frozenset(image.digests)
        return local

    def _capacity(self, image: _core.Image, make_room: MakeRoom) -> Capacity:
        """Make room for a worker.

        Where what would be good doesn't fit, it keeps something of half as many tenants, down to one, then it
        decodes half as many sequences.
        """
        limits, at_most, tenants = self._settings.limits, MOST_AUTOMATIC, MAX_TENANTS
        if self._embeddings:
            capacity = embedding_capacity_of(
                image.header,
                image.size,
                limits,
                address_space=self._settings.security.sandboxing.address_space,
                context_length=self._context_length,
            )
            make_room(capacity.memory)
            return capacity
        while True:
            capacity = capacity_of(
                image.header,
                image.size,
                limits,
                address_space=self._settings.security.sandboxing.address_space,
                context_length=self._context_length,
                at_most=at_most,
                at_most_tenants=tenants,
            )
            try:
                make_room(capacity.memory)
            except LoadError:
                if limits.prefix_tenants is None and capacity.prefix_tenants > 1:
                    tenants = capacity.prefix_tenants // 2
                    continue
                if limits.max_concurrent is not None or capacity.max_concurrent == 1:
                    raise
                at_most = capacity.max_concurrent // 2
            else:
                return capacity

    def _check(self) -> None:
        """End what nobody waits for any more."""
        if self._abandoned is not None and self._abandoned.is_set():
            raise CancelledError

    def _watched(self, done: int, total: int) -> None:
        """Pass progress on."""
        self._check()
        if self._progress is not None:
            self._progress(done, total)

    def _admitted(self, make_room: MakeRoom) -> tuple[str, Admitted]:
        """Read a model into a sealed image that its proofs hold for; return also its file's path."""
        source, given = self._source, self._given
        if isinstance(source, Stored):
            return self._taken(source, make_room)
        if not isinstance(source, Remote):
            parts = parts_of(source)
            return source, self._read(source, parts, given.of_files(parts or [source]), make_room)

        download = Download.of(source, given, self._settings)
        origin = origin_of(source)
        found = download.fetch(recheck=False, progress=self._watched)
        try:
            return found.path, self._read(found.path, found.parts, download.proofs, make_room, origin)
        except DAMAGED:
            # Held to its proofs while it was loaded, as every file is: what lay in the cache was damaged,
            # or is another version than the one that is signed now.
            if not (found.cached or found.parts):
                raise
        found = download.fetch(recheck=True, progress=self._watched)
        return found.path, self._read(found.path, found.parts, download.proofs, make_room, origin)

    def _taken(self, source: Stored, make_room: MakeRoom) -> tuple[str, Admitted]:
        """Take a model out of the store."""
        given = self._given
        if given.signature or given.public_key or given.hash or given.manifest:
            raise proved_before(source.name)
        store = self._store()
        if (entry := store.models().get(source.name)) is not None:
            make_room(weights_of(entry.size))
        return take(
            store,
            source.name,
            name=self._name,
            version=self._version,
            checksum=given.checksum,
            security=self._settings.security,
            allow_architectures=self._allow_architectures,
            progress=self._watched,
        )

    def _read(
        self,
        path: str,
        parts: Sequence[str],
        proofs: Proofs,
        make_room: MakeRoom,
        origin: Https | HuggingFace | None = None,
    ) -> Admitted:
        """Read a file, or the parts of one."""
        make_room(weights_of(sum(size_of(part) for part in parts or [path])))
        return admit_files(
            path,
            parts,
            proofs,
            origin=origin,
            name=self._name,
            version=self._version,
            security=self._settings.security,
            allow_architectures=self._allow_architectures,
            progress=self._watched,
        )


def weights_of(size: int) -> MemoryUse:
    """Return what is known of a model's memory before it is read: its weights."""
    return MemoryUse(weights=size, cache=0, compute=0, prefixes=0, paused=0, process=0)


def size_of(path: str) -> int:
    """Return the size of a file that is about to be read; what can't be looked at, the core tells."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - of text that may be no path
    except (OSError, ValueError):
        return 0


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
    embeddings: Embeddings,
    allow_architectures: Sequence[str],
    keep: bool,
    progress: Progress | None,
    abandoned: threading.Event | None = None,
) -> ModelInfo:
    """Read, check, seal and start a model under `name`.

    Whoever waited may set `abandoned` from another thread.
    """
    if not isinstance(keep, bool):
        raise OptionError("option.wrong_type", f"keep must be True or False, not {shown(keep)}")
    given = Given(checksum=checksum, signature=signature, public_key=public_key, hash=hash, manifest=manifest)
    registry.check()
    recipe = Recipe(
        settings,
        store,
        checked_name(name),
        reference,
        given=given,
        version=version,
        context_length=context_length,
        chat_template=chat_template,
        embeddings=embeddings,
        allow_architectures=allow_architectures,
        progress=progress,
        abandoned=abandoned,
    )
    return registry.add(name, recipe, keep=keep)
