"""An encrypted model store: a directory of sealed files and an index of their names.

Adding, removing and the rest are each whole or not at all, also where this process is killed or the disk is
full: a sealed file gets a name only once it is on the disk, and counts only once the index has it. What a
kill leaves behind is no part of the store, and `gc` removes it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from strongroom import _core
from strongroom.errors import ChecksumError, OptionError, StoreError
from strongroom.keeping import guarded
from strongroom.options import is_path, path_text, shown
from strongroom.store import context, index
from strongroom.store.directory import Directory, New
from strongroom.store.files import written
from strongroom.store.index import REFUSALS, Entry, Index, checked_name
from strongroom.store.keys import EnvironmentKey, Key, key_of, keyring_of
from strongroom.text import printable
from strongroom.trust.decision import Decision
from strongroom.trust.evidence import Found

__all__ = ["Opened", "Shown", "Store"]

Progress = Callable[[int, int], None]
"""Called with the bytes done and in total; what it raises ends the work, and nothing is changed."""

MODELS = "models"
INDEX = "index.json"

MOST_NAMED = 10
"""Names of models in a message."""


class Opened(NamedTuple):
    """A model out of the store, every byte of it authenticated."""

    image: _core.Image
    evidence: Found
    """What was found when it entered."""
    entry: Entry
    path: str
    """Of its sealed file."""


class Sealed(NamedTuple):
    """The sealed file of a model, open."""

    entry: Entry
    descriptor: int
    path: str
    expected: dict[str, str | None]
    """Of its context."""


class Shown(NamedTuple):
    """What a sealed file says to whoever has no key. Nothing of it is authenticated."""

    entry: Entry
    header: _core.SealedHeader
    bytes_on_disk: int


class Store:
    """A store in one directory. Safe to use from many threads and processes at once."""

    def __init__(
        self, directory: str | os.PathLike[str], keys: Sequence[Key] = (), *, expected_id: str | None = None
    ) -> None:
        """Name a store; nothing is read or made yet.

        Each data key is wrapped under every one of `keys`, and any one of them opens what it wrapped. With
        `expected_id` the directory has to be that very store, and every model that is opened one of it.
        """
        path = path_text(directory)
        if not path or not is_path(path):
            raise OptionError("option.wrong_type", f"directory must be a path, not {shown(directory)}")
        self._directory = os.path.realpath(path)
        self._files = Directory(f"{self._directory}/{MODELS}")
        self._keys = tuple(key_of(f"keys[{place}]", key) for place, key in enumerate(keys))
        if expected_id is not None and not index.is_id(expected_id):
            told = f"expected_id must be 32 hexadecimal digits, not {shown(expected_id)}"
            raise OptionError("option.out_of_range", told)
        self._id = expected_id
        self._keyrings: dict[int, _core.Keyring] = {}
        self._reader = os.getpid()
        self._making = threading.Lock()

    @property
    def directory(self) -> str:
        """Where it is, without symbolic links."""
        return self._directory

    @property
    def id(self) -> str | None:
        """The random id that the store was made with, and that each model is sealed for.

        None where it isn't there yet, or an older version made it. Raises StoreError.
        """
        return self._read().store

    def models(self) -> dict[str, Entry]:
        """Return what is in the store, by name; of one that isn't there yet, nothing.

        Raises StoreError.
        """
        return self._read().entries

    def _read(self) -> Index:
        """Return the index; of a store that isn't there yet, an empty one."""
        try:
            os.lstat(self._index)  # exists() tells nothing of what can't be looked at
        except FileNotFoundError:
            return Index(None, {})
        except OSError as error:
            where = printable(self._directory, keep="")
            raise StoreError("store.unreadable", f"{where} is no store: {error.strerror}") from None
        found = index.read(self._index)
        if self._id not in {None, found.store}:
            where = printable(self._directory, keep="")
            is_now = "has no id" if found.store is None else f"is {found.store}"
            raise StoreError(
                "store.other", f"the store {where} {is_now}; {self._id} is the one that is meant"
            )
        return found

    def open_keys(self) -> None:
        """Read the keys, of which there must be one to seal with; they are kept from then on.

        Raises StoreError, SealError, SourceError.
        """
        self._writing()

    def add(
        self,
        name: str,
        image: _core.Image,
        decision: Decision,
        *,
        replacing: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Seal a model that was verified, under `name`; with `replacing` also where there is one.

        Raises StoreError, SealError.
        """
        checked_name(name)
        evidence = decision.evidence
        assert evidence.digest is not None  # noqa: S101 - whoever adds asks for SHA-256
        entry = Entry(
            file="",
            digest=evidence.digest,
            size=image.size,
            version=decision.version,
            architecture=image.header.architecture,
            added=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        )
        if not replacing:
            self._refuse_present(name, self.models())
        keyrings = self._writing()
        with self._files.new() as new:
            store = self._made()
            entry = replace(entry, bound=store is not None)
            bound = context.bound(name, entry, store, evidence)
            message = _core.seal_image(
                image, new.descriptor, keyrings=keyrings, context=bound, progress=progress
            )
            entry = replace(entry, file=index.file_name(entry.digest, message))
            with guarded(self._index, REFUSALS):
                found = self._read()  # another process may have been faster
                if not replacing:
                    self._refuse_present(name, found.entries)
                self._enter(new, name, entry, found, store)
        return entry

    def open(
        self,
        name: str,
        *,
        allow_architectures: Sequence[str] = (),
        size_limit: int | None = None,
        progress: Progress | None = None,
    ) -> Opened:
        """Open a model into sealed memory; every frame of it is authenticated before any is handed on.

        Raises StoreError, SealError, PreflightError, SourceError.
        """
        with self._sealed(name) as (entry, descriptor, path, expected):
            image, found = _core.Image.unseal(
                path,
                descriptor,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=expected,
                digest=entry.digest,
                allow_architectures=list(allow_architectures),
                size_limit=size_limit,
                progress=progress,
            )
        evidence = replace(
            context.restored(name, entry, found), architecture=image.header.architecture, size=image.size
        )
        return Opened(image, evidence, entry, path)

    def show(self, name: str) -> Shown:
        """Return what the store says of a model without a key.

        Raises StoreError, SealError.
        """
        with self._sealed(name) as (entry, descriptor, path, _):
            return Shown(entry, _core.sealed_header(path, descriptor), os.fstat(descriptor).st_size)

    def verify(self, name: str, *, progress: Progress | None = None) -> Found:
        """Authenticate every byte of a model, and keep none; returns how it came to be trusted.

        Raises StoreError, SealError, ChecksumError.
        """
        with self._sealed(name) as (entry, descriptor, path, expected):
            found, digest = _core.verify_sealed(
                path,
                descriptor,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=expected,
                progress=progress,
            )
        evidence = context.restored(name, entry, found)
        # One that came in parts is known by the digest of their digests, and they are no more.
        if digest != entry.digest and not evidence.part_digests:
            told = f"{name!r} was sealed as {entry.digest}, and what is in its sealed file is {digest}"
            raise ChecksumError("checksum.mismatch", told, "add the model again, from its source")
        return evidence

    def export(self, name: str, output: str | os.PathLike[str], *, progress: Progress | None = None) -> Entry:
        """Write the plain model to a file that isn't there yet; it has its name once it is whole.

        Raises StoreError, SealError, OutputError.
        """
        path = path_text(output)
        if not path or not is_path(path):
            raise OptionError("option.wrong_type", f"output must be a path, not {shown(output)}")
        with self._sealed(name) as (entry, descriptor, sealed, expected), written(path) as plain:
            _core.export_sealed(
                sealed,
                descriptor,
                path,
                plain,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=expected,
                progress=progress,
            )
        return entry

    def rekey(self, name: str, target: "Store", *, progress: Progress | None = None) -> Entry:
        """Seal a model anew, under a fresh data key and the keys of `target`, which names the same directory.

        Its old sealed file is removed when the new one is in the index. A store that an older version made
        gets its id with the first model that is sealed anew. Raises StoreError, SealError.
        """
        if target.directory != self._directory:
            raise OptionError("option.out_of_range", "the keys to write with must be of the same store")
        with self._sealed(name) as (entry, descriptor, path, expected), self._files.new() as new:
            store = self._identified()
            message = _core.reseal(
                path,
                descriptor,
                new.descriptor,
                keyrings=self._reading(),
                new_keyrings=target._writing(),  # noqa: SLF001 - of this very class
                message_id=index.message_id(entry),
                expected=expected,
                added={} if entry.bound else {context.STORE: store},
                progress=progress,
            )
            changed = replace(entry, file=index.file_name(entry.digest, message), bound=True)
            with guarded(self._index, REFUSALS):
                found = self._read()
                if found.entries.get(name) != entry:
                    raise StoreError("store.changed", f"{name!r} was changed by another process meanwhile")
                self._enter(new, name, changed, found, store)
        return changed

    def remove(self, name: str) -> Entry:
        """Take a model out of the store. Raises StoreError."""
        self._entry(name, self.models())  # of a store that isn't there, none is made
        with guarded(self._index, REFUSALS):
            found = self._read()
            entry = self._entry(name, found.entries)
            kept = {other: kept for other, kept in found.entries.items() if other != name}
            index.write(self._index, found._replace(entries=kept))
            self._files.unlink(entry.file)
        return entry

    def gc(self) -> list[str]:
        """Remove sealed files that the index doesn't have, as a kill leaves them; return their names.

        Raises StoreError.
        """
        if not os.path.lexists(self._files.path):
            self.models()
            return []
        with guarded(self._index, REFUSALS):
            if not os.path.lexists(self._index):
                # Nothing would be kept. Of a store that never had a model, the next one brings the index.
                raise REFUSALS.refusal(
                    "missing", self._index, "is not there: which files are models, nothing says"
                )
            return self._files.unlink_others({entry.file for entry in self.models().values()})

    def _made(self) -> str | None:
        """Make the store where it isn't there, and return its id; one that an older version made has none."""
        return self._read().store if os.path.lexists(self._index) else self._identified()

    def _identified(self) -> str:
        """Return the store's id; where it has none, because it is new or old, it gets one."""
        if (store := self._read().store) is not None:
            return store
        with guarded(self._index, REFUSALS):
            found = self._read()  # another process may have been faster
            if found.store is not None:
                return found.store
            store = self._id or index.new_id()
            index.write(self._index, found._replace(store=store))
        return store

    def _enter(self, new: New, name: str, entry: Entry, found: Index, store: str | None) -> None:
        """Name a file that was sealed for `store`, then put it into the index under the model's name."""
        if found.store != store and entry.bound:
            raise StoreError("store.changed", "another store was put in the place of this one meanwhile")
        entries = found.entries
        try:
            new.name(entry.file)
            index.write(self._index, found._replace(entries=entries | {name: entry}))
        except BaseException:
            # It may have failed after it took effect: if the index has it, that counts.
            with contextlib.suppress(StoreError):
                if entry not in self.models().values():
                    new.unname(entry.file)
            raise
        if name in entries:
            self._files.unlink(entries[name].file)

    @property
    def _index(self) -> str:
        return f"{self._directory}/{INDEX}"

    def _entry(self, name: str, entries: Mapping[str, Entry]) -> Entry:
        """Find a model."""
        checked_name(name)
        try:
            return entries[name]
        except KeyError:
            known = ", ".join(map(repr, list(entries)[:MOST_NAMED])) or "nothing"
            known += f" and {len(entries) - MOST_NAMED} more" if len(entries) > MOST_NAMED else ""
            where = printable(self._directory, keep="")
            raise StoreError(
                "store.unknown", f"there is no {name!r} in the store {where}; there is {known}"
            ) from None

    def _refuse_present(self, name: str, entries: Mapping[str, Entry]) -> None:
        if name in entries:
            raise StoreError("store.exists", f"{name!r} is in the store already, as {entries[name].digest}")

    def _reading(self) -> list[_core.Keyring]:
        """Return the keyrings, each made of its key once: what was in the environment isn't there again."""
        if self._reader != os.getpid():
            # A forked child has none of its parent's keys, and maybe a lock that nobody gives back.
            self._making, self._keyrings, self._reader = threading.Lock(), {}, os.getpid()
        with self._making:
            left = [place for place in range(len(self._keys)) if place not in self._keyrings]
            # What is in the environment is used up by being read: last, once all others could be.
            for place in sorted(left, key=lambda place: used_up(self._keys[place])):
                self._keyrings[place] = keyring_of(self._keys[place])
            return [self._keyrings[place] for place in range(len(self._keys))]

    def _writing(self) -> list[_core.Keyring]:
        """Return the keyrings, of which there must be one."""
        if not self._keys:
            raise StoreError("store.no_key", "the store has no key to seal with")
        return self._reading()

    @contextlib.contextmanager
    def _sealed(self, name: str) -> Iterator[Sealed]:
        """Open the sealed file of a model."""
        found = self._read()
        entry = self._entry(name, found.entries)
        try:
            descriptor = self._files.read(entry.file)
        except FileNotFoundError:
            # Sealed anew by another process after the index was read.
            found = self._read()
            again = self._entry(name, found.entries)
            try:
                descriptor = self._files.read(again.file)
            except FileNotFoundError:
                raise StoreError(
                    "store.missing", f"the sealed file of {name!r}, {again.file}, is not in the store"
                ) from None
            entry = again
        try:
            if self._id is not None and not entry.bound:
                told = f"{name!r} was sealed by an older version, for no store in particular"
                raise StoreError("store.unbound", told)
            expected = context.expected(name, entry, found.store)
            yield Sealed(entry, descriptor, f"{self._files.path}/{entry.file}", expected)
        finally:
            os.close(descriptor)


def used_up(key: Key) -> bool:
    """Whether reading a key is the end of it, and there is one to be read."""
    return isinstance(key, EnvironmentKey) and key.variable in os.environ
