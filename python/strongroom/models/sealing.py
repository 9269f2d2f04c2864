"""Adding a model to an encrypted store."""

from collections.abc import Sequence

from strongroom.errors import OptionError
from strongroom.models.listed import SignedManifest
from strongroom.models.progress import Progress
from strongroom.models.proofs import Given
from strongroom.models.source import Checksum, Reference, path_of
from strongroom.models.stored import enter
from strongroom.options import shown
from strongroom.settings import Settings
from strongroom.store.index import Entry
from strongroom.store.store import Store

__all__ = ["add_to_store"]


def add_to_store(
    store: Store,
    name: str,
    reference: Reference,
    *,
    checksum: Checksum | None = None,
    version: str | None = None,
    signature: Reference | None = None,
    public_key: Reference | None = None,
    hash: str | None = None,
    manifest: SignedManifest | None = None,
    settings: Settings | None = None,
    allow_architectures: Sequence[str] = (),
    replacing: bool = False,
    progress: Progress | None = None,
    sealing: Progress | None = None,
) -> Entry:
    """Verify a model's file as for a load, once, and seal it into a store under `name`.

    What proves it is given as to `Router.load`; the policy is the settings'. With `replacing` also where
    the store has a model of that name. `progress(done, total)` is called while the file is read, `sealing`
    while it is sealed; what they raise ends the work, and the store is as it was.

    Raises what `Router.load` does before a worker is started, StoreError, SealError.
    """
    given: object = settings
    if given is not None and not isinstance(given, Settings):
        raise OptionError("option.wrong_type", f"settings must be a Settings, not {shown(given)}")
    where: object = store
    if not isinstance(where, Store):
        raise OptionError("option.wrong_type", f"store must be a Store, not {shown(where)}")
    return enter(
        store,
        name,
        path_of(reference),
        version=version,
        given=Given(
            checksum=checksum, signature=signature, public_key=public_key, hash=hash, manifest=manifest
        ),
        security=(Settings() if settings is None else settings).security,
        allow_architectures=allow_architectures,
        replacing=replacing,
        progress=progress,
        sealing=sealing,
    )
