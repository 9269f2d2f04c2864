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
from strongroom.errors import OptionError, StoreError
from strongroom.keeping import guarded
from strongroom.options import is_path, path_text, shown
from strongroom.store import context, index
from strongroom.store.directory import Directory, New
from strongroom.store.files import written
from strongroom.store.index import REFUSALS, Entry, checked_name
from strongroom.store.keys import Key, key_of, keyring_of
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


class Shown(NamedTuple):
    """What a sealed file says to whoever has no key. Nothing of it is authenticated."""

    entry: Entry
    header: _core.SealedHeader
    bytes_on_disk: int


class Store:
    """A store in one directory. Safe to use from many threads and processes at once."""

    def __init__(self, directory: str | os.PathLike[str], keys: Sequence[Key] = ()) -> None:
        """Name a store; nothing is read or made yet.

        Each data key is wrapped under every one of `keys`, and any one of them opens what it wrapped.
        """
        path = path_text(directory)
        if not path or not is_path(path):
            raise OptionError("option.wrong_type", f"directory must be a path, not {shown(directory)}")
        self._directory = os.path.realpath(path)
        self._files = Directory(f"{self._directory}/{MODELS}")
        self._keys = tuple(key_of(f"keys[{place}]", key) for place, key in enumerate(keys))
        self._keyrings: list[_core.Keyring] = []
        self._reader = os.getpid()
        self._making = threading.Lock()

    @property
    def directory(self) -> str:
        """Where it is, without symbolic links."""
        return self._directory

    def models(self) -> dict[str, Entry]:
        """Return what is in the store, by name; of one that isn't there yet, nothing.

        Raises StoreError.
        """
        try:
            os.lstat(self._index)  # exists() tells nothing of what can't be looked at
        except FileNotFoundError:
            return {}
        except OSError as error:
            where = printable(self._directory, keep="")
            raise StoreError("store.unreadable", f"{where} is no store: {error.strerror}") from None
        return index.read(self._index)

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
        bound = context.bound(name, entry, evidence)
        with self._files.new() as new:
            message = _core.seal_image(
                image, new.descriptor, keyrings=keyrings, context=bound, progress=progress
            )
            entry = replace(entry, file=index.file_name(entry.digest, message))
            with guarded(self._index, REFUSALS):
                entries = self.models()  # another process may have been faster
                if not replacing:
                    self._refuse_present(name, entries)
                self._enter(new, name, entry, entries)
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
        with self._sealed(name) as (entry, descriptor, path):
            image, found = _core.Image.unseal(
                path,
                descriptor,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=context.expected(name, entry),
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
        with self._sealed(name) as (entry, descriptor, path):
            return Shown(entry, _core.sealed_header(path, descriptor), os.fstat(descriptor).st_size)

    def verify(self, name: str, *, progress: Progress | None = None) -> Found:
        """Authenticate every byte of a model, and keep none; returns how it came to be trusted.

        Raises StoreError, SealError.
        """
        with self._sealed(name) as (entry, descriptor, path):
            found = _core.verify_sealed(
                path,
                descriptor,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=context.expected(name, entry),
                digest=entry.digest,
                progress=progress,
            )
        return context.restored(name, entry, found)

    def export(self, name: str, output: str | os.PathLike[str], *, progress: Progress | None = None) -> Entry:
        """Write the plain model to a file that isn't there yet; it has its name once it is whole.

        Raises StoreError, SealError, OutputError.
        """
        path = path_text(output)
        if not path or not is_path(path):
            raise OptionError("option.wrong_type", f"output must be a path, not {shown(output)}")
        with self._sealed(name) as (entry, descriptor, sealed), written(path) as plain:
            _core.export_sealed(
                sealed,
                descriptor,
                path,
                plain,
                keyrings=self._reading(),
                message_id=index.message_id(entry),
                expected=context.expected(name, entry),
                progress=progress,
            )
        return entry

    def rekey(self, name: str, target: "Store", *, progress: Progress | None = None) -> Entry:
        """Seal a model anew, under a fresh data key and the keys of `target`, which names the same directory.

        Its old sealed file is removed when the new one is in the index. Raises StoreError, SealError.
        """
        if target.directory != self._directory:
            raise OptionError("option.out_of_range", "the keys to write with must be of the same store")
        with self._sealed(name) as (entry, descriptor, path), self._files.new() as new:
            message = _core.reseal(
                path,
                descriptor,
                new.descriptor,
                keyrings=self._reading(),
                new_keyrings=target._writing(),  # noqa: SLF001 - of this very class
                message_id=index.message_id(entry),
                expected=context.expected(name, entry),
                progress=progress,
            )
            changed = replace(entry, file=index.file_name(entry.digest, message))
            with guarded(self._index, REFUSALS):
                entries = self.models()
                if entries.get(name) != entry:
                    raise StoreError("store.changed", f"{name!r} was changed by another process meanwhile")
                self._enter(new, name, changed, entries)
        return changed

    def remove(self, name: str) -> Entry:
        """Take a model out of the store. Raises StoreError."""
        self._entry(name, self.models())  # of a store that isn't there, none is made
        with guarded(self._index, REFUSALS):
            entries = self.models()
            entry = self._entry(name, entries)
            index.write(self._index, {other: kept for other, kept in entries.items() if other != name})
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

    def _enter(self, new: New, name: str, entry: Entry, entries: dict[str, Entry]) -> None:
        """Name a sealed file, then put it into the index in place of what has its name there."""
        try:
            new.name(entry.file)
            index.write(self._index, entries | {name: entry})
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
            self._making, self._keyrings, self._reader = threading.Lock(), [], os.getpid()
        with self._making:
            for key in self._keys[len(self._keyrings) :]:
                self._keyrings.append(keyring_of(key))
            return self._keyrings

    def _writing(self) -> list[_core.Keyring]:
        """Return the keyrings, of which there must be one."""
        if not self._keys:
            raise StoreError("store.no_key", "the store has no key to seal with")
        return self._reading()

    @contextlib.contextmanager
    def _sealed(self, name: str) -> Iterator[tuple[Entry, int, str]]:
        """Open the sealed file of a model: its entry, a descriptor and its path."""
        entry = self._entry(name, self.models())
        try:
            descriptor = self._files.read(entry.file)
        except FileNotFoundError:
            # Sealed anew by another process after the index was read.
            again = self._entry(name, self.models())
            try:
                descriptor = self._files.read(again.file)
            except FileNotFoundError:
                raise StoreError(
                    "store.missing", f"the sealed file of {name!r}, {again.file}, is not in the store"
                ) from None
            entry = again
        try:
            yield entry, descriptor, f"{self._files.path}/{entry.file}"
        finally:
            os.close(descriptor)
