"""Encryption of what an application stores, record by record.

    from strongroom import DataCipher, DataKey, KeyFile

    cipher = DataCipher(
        [
            DataKey(id="app", version=2, key=KeyFile(file="/etc/app/data-2.key")),
            DataKey(id="app", version=1, key=KeyFile(file="/etc/app/data-1.key")),
        ]
    )
    envelope = cipher.encrypt({"answer": 42}, {"tenant": "acme", "record": "note/7"})
    cipher.decrypt(envelope, {"tenant": "acme", "record": "note/7"})

The first key encrypts, all of them decrypt. An envelope says which key it is under, and nothing of its
context: whoever moves it to another tenant's or record's place has something that doesn't open there.
`rust/seal/ENVELOPE.md` describes its bytes and the limits. What comes out of `decrypt` is in Python's memory,
which nobody wipes; what was a buffer comes back as a `bytearray`, which its reader can overwrite.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from strongroom import _core
from strongroom.errors import DataError, OptionError
from strongroom.options import Options, shown
from strongroom.quantities import invalid
from strongroom.store.keys import NAME, NAMESPACE, EnvironmentKey, KernelKey, KeyFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DataCipher", "DataKey", "KeyName"]

Storable: TypeAlias = "Buffer | str | int | float | bool | list[object] | dict[str, object] | None"
"""What can be encrypted: values in lists and dicts are str, int, float, bool, None, list and dict."""


@dataclass(frozen=True, kw_only=True)
class DataKey(Options):
    """A version of a data key, and where it is. Its id and version stand readable in every envelope."""

    id: str
    """What its versions have in common: 1 to 64 visible ASCII characters."""
    version: int
    """0 to 2³² - 1; any other number than those of the id's other keys."""
    key: KeyFile | EnvironmentKey | KernelKey
    """Where the 32 bytes are. A name and a namespace are of stores' keys: here it has none."""

    def __post_init__(self) -> None:
        """Check every option; the core checks the id."""
        identity: object = self.id
        version: object = self.version
        key: object = self.key
        if type(identity) is not str or not identity.isascii():
            raise invalid("id", identity, "a key's id of visible ASCII characters")
        if type(version) is not int or not 0 <= version < 1 << 32:
            raise invalid("version", version, "an integer from 0 to 4294967295")
        if not isinstance(key, KeyFile | EnvironmentKey | KernelKey):
            raise invalid("key", key, "a KeyFile, an EnvironmentKey or a KernelKey")
        if (key.name, key.namespace) != (NAME, NAMESPACE):
            raise invalid("key", key, "a key without a name or namespace: a data key has an id and a version")


class KeyName(NamedTuple):
    """Which key an envelope says that it is under."""

    id: str
    version: int


class DataCipher:
    """Encrypts and decrypts records with AES-256-GCM. Any thread may use it.

    A process that is forked from this one may not (`data.forked`): the keys aren't in its memory. It makes a
    cipher of its own, which begins with salts of its own.
    """

    __slots__ = ("_cipher",)

    def __init__(self, keyring: Sequence[DataKey]) -> None:
        """Read the keys.

        Args:
            keyring: 1 to 64 keys. The first encrypts; the others are older ones, or newer ones that this
                process shall only read yet.

        Raises:
            DataError: `data.keyring`.
            SealError: a key can't be read.
            OptionError: `option.wrong_type`.

        """
        ring: object = keyring
        if not isinstance(ring, Sequence) or not all(isinstance(key, DataKey) for key in ring):
            raise OptionError("option.wrong_type", f"keyring must be a list of DataKey, not {shown(ring)}")
        self._cipher = _core.DataCipher([_read(key) for key in keyring])

    def encrypt(self, obj: Storable, context: Mapping[str, str], purpose: str = "data") -> bytes:
        """Return an envelope with `obj` in it.

        Args:
            obj: Bytes-like, `str`, or what JSON has: `dict` with `str` keys, `list`, `int` of any size,
                finite `float`, `bool`, `None`; no subclasses. `decrypt` returns the same, type and all; what
                is bytes-like and no `bytes`, as a `bytearray`. At most 64 MiB.
            context: What the record is bound to: `tenant`, `record`, and any other pairs of text, of 64 KiB
                in all. None of it is in the envelope: it has to be given again, the same.
            purpose: Which kind of data it is, of 1 to 255 bytes: each has a key of its own.

        Raises:
            DataError: `data.value`, `data.too_large`, `data.context`, `data.purpose`, `data.forked`.
            OptionError: `option.wrong_type`.

        """
        return self._cipher.encrypt(obj, _pairs(context), _purpose(purpose))

    def decrypt(self, envelope: Buffer, context: Mapping[str, str], purpose: str = "data") -> Storable:
        """Return what is in an envelope.

        Raises:
            DataError: `data.authentication` for another key, context or purpose, and for any change;
                `data.unknown_key`, `data.not_envelope`, `data.unsupported`, `data.truncated`,
                `data.malformed`, `data.too_large`, `data.context`, `data.purpose`, `data.forked`.
            OptionError: `option.wrong_type`.

        """
        return self._cipher.decrypt(_bytes(envelope), _pairs(context), _purpose(purpose))

    def reencrypt(self, envelope: Buffer, context: Mapping[str, str], purpose: str = "data") -> bytes:
        """Return a new envelope, under the first key, with what is in `envelope`; Python never sees that.

        Raises as `decrypt`.
        """
        return self._cipher.reencrypt(_bytes(envelope), _pairs(context), _purpose(purpose))

    def key_of(self, envelope: Buffer) -> KeyName:
        """Return which key an envelope says that it is under, to find what to re-encrypt.

        Nothing vouches for it: only `decrypt` tells whether it is true.

        Raises:
            DataError: `data.not_envelope`, `data.unsupported`, `data.truncated`, `data.malformed`,
                `data.too_large`.
            OptionError: `option.wrong_type`.

        """
        return KeyName(*self._cipher.key_of(_bytes(envelope)))

    @property
    def keys(self) -> tuple[KeyName, ...]:
        """The keys of the ring, the one that encrypts first."""
        return tuple(KeyName(*key) for key in self._cipher.keys)

    def __repr__(self) -> str:
        """Show the keys' names."""
        names = ", ".join(f"{key.id} version {key.version}" for key in self.keys)
        return f"<strongroom.DataCipher {names}>"


def _read(key: DataKey) -> _core.DataKey:
    match key.key:
        case KeyFile():
            return _core.DataKey.from_key_file(os.fspath(key.key.file), key_id=key.id, version=key.version)
        case EnvironmentKey():
            return _core.DataKey.from_variable(key.key.variable, key_id=key.id, version=key.version)
        case KernelKey():
            return _core.DataKey.from_kernel(key.key.description, key_id=key.id, version=key.version)


def _pairs(context: object) -> dict[str, str]:
    if not isinstance(context, Mapping):
        raise DataError("data.context", "the context can't be used: it is no mapping", _CONTEXT)
    return context if type(context) is dict else dict(context)


_CONTEXT = "give a mapping of text to text with `tenant` and `record`, of at most 64 KiB"


def _purpose(purpose: object) -> str:
    if type(purpose) is not str:
        raise OptionError("option.wrong_type", f"purpose must be a string, not {shown(purpose)}")
    return purpose


def _bytes(envelope: object) -> Buffer:
    if type(envelope) is bytes:
        return envelope
    try:
        with memoryview(envelope) as view:  # type: ignore[arg-type]
            if view.c_contiguous:
                return envelope  # type: ignore[return-value]
    except TypeError:
        pass
    raise OptionError(
        "option.wrong_type", f"envelope must be bytes in a row, not a {type(envelope).__name__}"
    )
