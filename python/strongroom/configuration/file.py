"""The configuration file: found, read, and taken apart."""

import os
import pwd
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from strongroom.configuration.lines import lines_of
from strongroom.configuration.origin import Given, Origin
from strongroom.configuration.schema import branches, leaves
from strongroom.errors import SettingsError
from strongroom.keeping import Refusals, read_kept
from strongroom.options import LONGEST_PATH, misspelt, path_text, shown

__all__ = [
    "MOST_BYTES",
    "NAME",
    "REFUSALS",
    "Found",
    "decoded",
    "find",
    "parsed",
    "read",
    "taken_apart",
    "text_of",
    "user_directory",
]

MOST_BYTES = 64 << 10
MOST_COLUMNS = 2048
"""Of one line: tomllib takes time that grows with the square of a key's parts, for each key anew."""

REFUSALS = Refusals(SettingsError, "the configuration", "settings.file_")
VARIABLE = "STRONGROOM_CONFIG"
NAME = "strongroom.toml"


def user_directory(environment: Mapping[str, str]) -> Path | None:
    """Return where the user's configuration is: `$XDG_CONFIG_HOME/strongroom`, `~/.config/strongroom`.

    A path that isn't absolute would mean the working directory, and counts as none.
    """
    named = environment.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(named):  # noqa: PTH117 - text that may be anything
        return Path(named) / "strongroom"
    home = environment.get("HOME", "")
    if not home:
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            return None
    return Path(home) / ".config/strongroom" if os.path.isabs(home) else None  # noqa: PTH117


def find(path: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> str | None:
    """Return the file to read: the caller's, that of STRONGROOM_CONFIG, or the user's where there is one."""
    if path is not None:
        given: object = path
        text = path_text(given)
        if text is None or len(text) >= LONGEST_PATH:
            raise SettingsError("settings.invalid", f"the configuration must be a path, not {shown(given)}")
        return text
    if (named := environment.get(VARIABLE)) is not None:
        if not os.path.isabs(named) or len(named) >= LONGEST_PATH:  # noqa: PTH117
            raise SettingsError(
                "settings.invalid",
                f"{VARIABLE} must be an absolute path, not {shown(named)}",
                "write the path from / on: the working directory decides nothing",
            )
        return named
    directory = user_directory(environment)
    if directory is None:
        return None
    users = directory / NAME
    return str(users) if os.path.lexists(users) else None


class Found(NamedTuple):
    """What a file says."""

    options: dict[str, Given]
    tables: frozenset[str]
    """Names on its top level."""
    path: str
    """Absolute."""


def read(path: str) -> Found:
    """Read a file; what it gives is not yet checked."""
    return taken_apart(*text_of(path))


def text_of(path: str) -> tuple[str, str]:
    """Return the text of a file, and its absolute path."""
    kept = read_kept(path, MOST_BYTES, REFUSALS)
    return decoded(kept.data, kept.path), kept.path


def taken_apart(text: str, path: str) -> Found:
    """Find the options in the text of a file."""
    tables = parsed(text, path)
    lines = lines_of(text)

    def origin(key: tuple[str, ...]) -> Origin:
        line = lines.get(key)
        return Origin("file", path if line is None else f"{path}:{line}")

    return Found(dict(options(tables, (), origin)), frozenset(tables), path)


def decoded(data: bytes, path: str) -> str:
    """Decode a file."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise malformed(path, f"is not UTF-8: byte {error.start + 1} begins no character") from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MOST_COLUMNS:
            raise malformed(path, f"has more than {MOST_COLUMNS} characters in line {number}")
    return text


def parsed(text: str, path: str) -> dict[str, Any]:
    """Parse TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise malformed(path, f"is no TOML: {error}") from None
    except RecursionError:
        raise malformed(path, "is no TOML that can be read: it is nested too deeply") from None


def malformed(path: str, problem: str) -> SettingsError:
    """Build the error for content that is none."""
    error = REFUSALS.refusal("malformed", path, problem)
    assert isinstance(error, SettingsError)  # noqa: S101 - as REFUSALS says
    return error


def options(
    table: Mapping[str, Any], path: tuple[str, ...], origin: Callable[[tuple[str, ...]], Origin]
) -> Iterator[tuple[str, Given]]:
    """Walk a table; a name that nothing has is an error."""
    known, options_known = branches(), leaves()
    owner = ".".join(path)
    for key, value in table.items():
        here = (*path, key)
        name = ".".join(here)
        if key and "." not in key and name in known:
            if not isinstance(value, dict):
                raise SettingsError(
                    "settings.invalid",
                    f"{name} must be a table, as in [{name}], not {shown(value)} (set in {origin(here)})",
                )
            yield from options(value, here, origin)
        elif "." not in key and name in options_known:
            yield name, Given(value, origin(here))
        else:
            prefix = f"{owner}." if owner else ""
            inside = {
                other.removeprefix(prefix).partition(".")[0]
                for other in (*known, *options_known)
                if other.startswith(prefix) and other != owner
            } - {""}
            what = f"[{owner}]" if owner else "the configuration"
            raise SettingsError(
                "settings.unknown_option", f"{misspelt(key, inside, what)} (set in {origin(here)})"
            )
