"""What the commands on a store share: where it is, and which keys open it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from strongroom.cli.arguments import Config, configured
from strongroom.cli.terminal import json_of, write_json
from strongroom.errors import OptionError, StrongroomError
from strongroom.settings import Settings
from strongroom.store.keys import NAME, NAMESPACE, EnvironmentKey, KernelKey, Key, KeyFile, PassphraseKey
from strongroom.store.store import Store

__all__ = ["AtStore", "AtStoreWithKeys", "Json", "at_store", "keys_of"]

KEYS = "Keys"

Directory = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="The store; default ~/.local/share/strongroom/store."),
]
"""The option `--store`."""

KeyFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="A key of 32 bytes or 64 hexadecimal digits that only its owner may read; may be repeated.",
        rich_help_panel=KEYS,
    ),
]
"""The option `--key-file`."""

KeyVariable = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="An environment variable of 64 hexadecimal digits.", rich_help_panel=KEYS
    ),
]
"""The option `--key-variable`."""

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="A passphrase, in one line, to derive a key from by Argon2id.",
        rich_help_panel=KEYS,
    ),
]
"""The option `--passphrase-file`."""

KernelKeyName = Annotated[
    str | None,
    typer.Option(
        "--kernel-key", metavar="NAME", help="A user key in the kernel's keyrings.", rich_help_panel=KEYS
    ),
]
"""The option `--kernel-key`."""

KeyName = Annotated[
    list[str] | None,
    typer.Option(
        "--key-name",
        metavar="NAME",
        help=f"What the key is called in what it sealed; default {NAME}. Repeated as --key-file is.",
        rich_help_panel=KEYS,
    ),
]
"""The option `--key-name`."""

KeyNamespace = Annotated[
    str,
    typer.Option(metavar="NAME", help="Whose name that is: the format's provider.", rich_help_panel=KEYS),
]
"""The option `--key-namespace`."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
"""The option `--json`."""


def keys_of(
    *,
    files: list[Path] | None,
    variable: str | None,
    passphrase_file: Path | None,
    kernel_key: str | None,
    names: list[str] | None,
    namespace: str,
) -> list[Key]:
    """Return the keys that the command line names."""
    given = names or [NAME]
    raw = len(files or ()) + (variable is not None) + (kernel_key is not None)
    if len(given) not in {1, raw}:
        raise OptionError(
            "option.out_of_range", f"--key-name is given once, or as often as keys are: {raw} times"
        )
    each = iter(given if len(given) == raw else given * raw)
    keys: list[Key] = [KeyFile(file=file, name=next(each), namespace=namespace) for file in files or ()]
    if variable is not None:
        keys.append(EnvironmentKey(variable=variable, name=next(each), namespace=namespace))
    if kernel_key is not None:
        keys.append(KernelKey(description=kernel_key, name=next(each), namespace=namespace))
    if passphrase_file is not None:
        keys.append(PassphraseKey(passphrase_file=passphrase_file))
    return keys


@dataclass(frozen=True, kw_only=True)
class AtStore:
    """The options of a command that needs no key."""

    store: Directory = None
    config: Config = None

    def settings(self, options: Mapping[str, object] | None = None) -> Settings:
        """Return the settings, with what the command line says of the store, and other `options` of it."""
        directory = None if self.store is None else str(self.store)
        return configured(
            self.config,
            {"store.directory": directory, "store.keys": self.keys() or None, **(options or {})},
        )

    def keys(self) -> list[Key]:
        """Return the keys that the command line names, in place of the configuration's."""
        return []

    def opened(self) -> Store:
        """Return the store."""
        where = self.settings().store
        return Store(where.place, where.keys, expected_id=where.id)


@dataclass(frozen=True, kw_only=True)
class AtStoreWithKeys(AtStore):
    """The options of a command that opens models, or seals them."""

    key_file: KeyFiles = None
    key_variable: KeyVariable = None
    passphrase_file: PassphraseFile = None
    kernel_key: KernelKeyName = None
    key_name: KeyName = None
    key_namespace: KeyNamespace = NAMESPACE

    def keys(self) -> list[Key]:
        """Return the keys that the command line names."""
        return keys_of(
            files=self.key_file,
            variable=self.key_variable,
            passphrase_file=self.passphrase_file,
            kernel_key=self.kernel_key,
            names=self.key_name,
            namespace=self.key_namespace,
        )


def at_store(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its argument `at`, an `AtStore`, which it gets made of them.

    Where the command has `--json` and was given it, an error is also printed as JSON.
    """
    own = inspect.signature(command, eval_str=True)
    kind = own.parameters["at"].annotation
    hints = get_type_hints(kind, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(kind)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - what the command's own annotations say
        options = {option.name: given.pop(option.name) for option in shared if option.name in given}
        try:
            command(at=kind(**options), **given)
        except StrongroomError as error:
            if given.get("json"):
                write_json(json_of(error))
            raise

    others = [parameter for name, parameter in own.parameters.items() if name != "at"]
    run.__signature__ = own.replace(parameters=[*others, *shared])  # type: ignore[attr-defined]
    return run
