"""From a reference to a model that is served."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError

from strongroom import _core
from strongroom.backends.local import Local
from strongroom.errors import ChecksumError
from strongroom.models.fetching import fetch_remote
from strongroom.models.source import Reference, Remote, source_of
from strongroom.models.trust import Progress, admit
from strongroom.results import ModelInfo
from strongroom.router.registry import Registry
from strongroom.settings import Settings

__all__ = ["load"]


def load(
    registry: Registry,
    settings: Settings,
    name: str,
    reference: Reference,
    *,
    checksum: str | None,
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

    def read(path: str) -> _core.Image:
        return admit(
            path,
            checksum=checksum,
            security=settings.security,
            allow_architectures=allow_architectures,
            progress=watched,
        )

    def checked(source: str | Remote) -> tuple[str, _core.Image]:
        if not isinstance(source, Remote):
            return source, read(source)

        def fetched(*, recheck: bool) -> _core.Fetched:
            return fetch_remote(
                source, checksum=checksum, settings=settings, recheck=recheck, progress=watched
            )

        file = fetched(recheck=False)
        try:
            return file.path, read(file.path)
        except ChecksumError:
            # Hashed while it was loaded, as every file is: what lay in the cache was damaged.
            if not file.cached:
                raise
        file = fetched(recheck=True)
        return file.path, read(file.path)

    def start() -> Local:
        path, image = checked(source_of(reference))
        check()
        local = Local(
            name,
            path,
            image,
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
