"""Where the keys of a store are. A key's name and namespace lie readable in what it sealed."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Protocol, runtime_checkable

from strongroom import _core
from strongroom.errors import SettingsError
from strongroom.options import Options, is_path, path_text
from strongroom.quantities import invalid
from strongroom.store.services.kms import AwsKms
from strongroom.store.services.transit import VaultTransit

__all__ = [
    "AwsKms",
    "EnvironmentKey",
    "KernelKey",
    "Key",
    "KeyFile",
    "KeyService",
    "PassphraseKey",
    "VaultTransit",
    "keyring_of",
]

NAMESPACE = "strongroom"
NAME = "store"


@dataclass(frozen=True, kw_only=True)
class KeyFile(Options):
    """A raw AES-256 key in a file that only its owner may read: 32 bytes, or 64 hexadecimal digits."""

    file: str | os.PathLike[str]
    name: str = NAME
    """Of the key, as every program that opens what it sealed must name it."""
    namespace: str = NAMESPACE

    def __post_init__(self) -> None:
        """Check every option."""
        object.__setattr__(self, "file", path_of("file", self.file))
        named(self)


@dataclass(frozen=True, kw_only=True)
class EnvironmentKey(Options):
    """A raw AES-256 key in an environment variable, as 64 hexadecimal digits; read once, and removed."""

    variable: str
    name: str = NAME
    namespace: str = NAMESPACE

    def __post_init__(self) -> None:
        """Check every option."""
        variable: object = self.variable
        if not isinstance(variable, str) or not variable.isidentifier():
            raise invalid("variable", variable, "the name of an environment variable")
        named(self)


@dataclass(frozen=True, kw_only=True)
class PassphraseKey(Options):
    """A key made of a passphrase by Argon2id; what it was made with lies in what it sealed."""

    passphrase_file: str | os.PathLike[str]
    """Of one line."""

    def __post_init__(self) -> None:
        """Check the option."""
        object.__setattr__(self, "passphrase_file", path_of("passphrase_file", self.passphrase_file))


@dataclass(frozen=True, kw_only=True)
class KernelKey(Options):
    """A raw AES-256 key of 32 bytes in this process's keyrings in the kernel, of the type `user`."""

    description: str
    """As `keyctl padd user DESCRIPTION @u` has it."""
    name: str = NAME
    namespace: str = NAMESPACE

    def __post_init__(self) -> None:
        """Check every option."""
        description: object = self.description
        if not isinstance(description, str) or not description.isprintable() or not description:
            raise invalid("description", description, "a key's description")
        named(self)


@runtime_checkable
class KeyService(Protocol):
    """A service that wraps data keys and never shows the key that it does it with."""

    @property
    def provider(self) -> str:
        """The format's name for it, which is written into what it sealed."""

    @property
    def name(self) -> str:
        """Which of its keys it is, for people."""

    def wrap(self, data_key: bytearray, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Return what the service has to know to unwrap it, and the wrapped key; 32 bytes are wrapped.

        Raises StoreError, which doesn't show the key.
        """

    def unwrap(self, info: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytearray | None:
        """Return the data key; None where another key of the service wrapped it.

        Raises StoreError.
        """


Key = KeyFile | EnvironmentKey | PassphraseKey | KernelKey | KeyService

BY_OPTION: Mapping[str, type[KeyFile | EnvironmentKey | PassphraseKey | KernelKey]] = {
    "file": KeyFile,
    "variable": EnvironmentKey,
    "passphrase_file": PassphraseKey,
    "description": KernelKey,
}
"""Which key a table of a configuration file is: the one with this option."""

SERVICES: Mapping[str, type[AwsKms | VaultTransit]] = {"kms": AwsKms, "transit": VaultTransit}
"""Which service it is: the one with this option, which is the service's `key`."""


def path_of(option: str, value: object) -> str:
    """Check a path."""
    path = path_text(value)
    if not path or not is_path(path):
        raise invalid(option, value, "a path")
    return path


def named(key: KeyFile | EnvironmentKey | KernelKey) -> None:
    """Check the names; the core checks what else it has to."""
    for option in ("name", "namespace"):
        value: object = getattr(key, option)
        if not isinstance(value, str) or not value.isprintable() or not value:
            raise invalid(option, value, "a printable name")


def key_of(option: str, value: object) -> Key:
    """Read a key, or a table of a configuration file that says where one is."""
    if isinstance(value, KeyFile | EnvironmentKey | PassphraseKey | KernelKey | KeyService):
        return value
    if not isinstance(value, Mapping):
        raise invalid(option, value, "a key")
    known = [name for name in (*BY_OPTION, *SERVICES) if name in value]
    if len(known) != 1:
        raise invalid(option, value, f"a table with one of {', '.join((*BY_OPTION, *SERVICES))}")
    options = dict(value)
    try:
        if known[0] in BY_OPTION:
            return BY_OPTION[known[0]](**options)
        return service_of(known[0], options)
    except SettingsError as error:
        raise SettingsError(error.code, f"{option}: {error.message}", error.next_step) from None


def service_of(kind: str, options: dict[str, Any]) -> AwsKms | VaultTransit:
    """Read the table of a service."""
    service = SERVICES[kind]
    if "key" in options:
        raise SettingsError("settings.unknown_option", f"the table has no option 'key': {kind} names the key")
    options["key"] = options.pop(kind)
    for field in fields(service):
        if field.default is MISSING and field.name not in options:
            raise SettingsError("settings.invalid", f"the table needs {field.name} beside {kind}")
    return service(**options)


def keyring_of(key: Key) -> _core.Keyring:
    """Read a key.

    Raises SealError, SourceError, SettingsError.
    """
    match key:
        case KeyFile():
            return _core.Keyring.from_key_file(os.fspath(key.file), namespace=key.namespace, name=key.name)
        case EnvironmentKey():
            return _core.Keyring.from_variable(key.variable, namespace=key.namespace, name=key.name)
        case PassphraseKey():
            return _core.Keyring.from_passphrase(passphrase_file=os.fspath(key.passphrase_file))
        case KernelKey():
            return _core.Keyring.from_kernel(key.description, namespace=key.namespace, name=key.name)
        case AwsKms():
            key.require()
    return _core.Keyring.from_service(key)
