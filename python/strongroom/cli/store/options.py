"""What the commands on a store share: where it is, and which keys open it."""

from pathlib import Path
from typing import Annotated

import typer

from strongroom.cli.arguments import configured
from strongroom.errors import OptionError
from strongroom.settings import Settings
from strongroom.store.keys import NAME, NAMESPACE, EnvironmentKey, KernelKey, Key, KeyFile, PassphraseKey
from strongroom.store.store import Store

__all__ = [
    "Directory",
    "KernelKeyName",
    "KeyFiles",
    "KeyName",
    "KeyNamespace",
    "KeyVariable",
    "PassphraseFile",
    "keys_of",
    "settings_of",
    "store_of",
    "store_options",
]

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


def store_options(
    directory: Path | None,
    *,
    files: list[Path] | None = None,
    variable: str | None = None,
    passphrase_file: Path | None = None,
    kernel_key: str | None = None,
    names: list[str] | None = None,
    namespace: str = NAMESPACE,
) -> dict[str, object]:
    """Return the options of the settings, of which the keys stand for the configuration's."""
    keys = keys_of(
        files=files,
        variable=variable,
        passphrase_file=passphrase_file,
        kernel_key=kernel_key,
        names=names,
        namespace=namespace,
    )
    return {"store.directory": None if directory is None else str(directory), "store.keys": keys or None}


def settings_of(
    config: Path | None,
    directory: Path | None = None,
    *,
    files: list[Path] | None = None,
    variable: str | None = None,
    passphrase_file: Path | None = None,
    kernel_key: str | None = None,
    names: list[str] | None = None,
    namespace: str = NAMESPACE,
) -> Settings:
    """Return the settings, with what the command line says of the store."""
    options = store_options(
        directory,
        files=files,
        variable=variable,
        passphrase_file=passphrase_file,
        kernel_key=kernel_key,
        names=names,
        namespace=namespace,
    )
    return configured(config, options)


def store_of(settings: Settings) -> Store:
    """Return the store that settings name."""
    return Store(settings.store.place, settings.store.keys)
