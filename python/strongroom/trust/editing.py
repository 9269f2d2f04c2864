"""Changes to the policy in the configuration file: what stands there stays as it is, comments and all."""

import os
import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array

from strongroom.configuration import file
from strongroom.configuration.load import composed
from strongroom.errors import SettingsError
from strongroom.keeping import guarded, replace

__all__ = ["append"]


def append(path: str | os.PathLike[str] | None, option: str, entry: Mapping[str, object]) -> str:
    """Add an entry to a list of the policy, in the file that is in effect; returns its path.

    Without a file the user's is made. The new text is checked like any configuration before it replaces
    the old one, in one rename; a symbolic link is refused.

    Raises SettingsError; the file is then as it was.
    """
    target = absolute(path)
    with guarded(target, file.REFUSALS):
        text = file.text_of(target)[0] if os.path.lexists(target) else ""
        changed = appended(text, option, entry, target)
        composed(file.taken_apart(changed, target), os.environ, {}, {})
        replace(target, changed.encode(), file.REFUSALS)
    return target


def absolute(path: str | os.PathLike[str] | None) -> str:
    """Return the path of the file to change."""
    found = file.find(path, os.environ)
    if found is None:
        directory = file.user_directory(os.environ)
        if directory is None:
            raise SettingsError(
                "settings.invalid", "this user has no configuration directory", "name the file with --config"
            )
        found = str(directory / file.NAME)
    return os.path.join(os.getcwd(), found)  # noqa: PTH109, PTH118 - as `read_kept` has it


def appended(text: str, option: str, entry: Mapping[str, object], path: str) -> str:
    """Return the text with the entry added, and nothing else changed."""
    file.taken_apart(text, path)  # what has no sound names is not added to
    before = file.parsed(text, path)
    there = before.get("trust", {}).get(option, [])
    if not isinstance(there, list):
        raise by_hand(path, f"trust.{option} is no list")
    short = short_form(entry, table=any(isinstance(item, dict) for item in there))
    try:
        document = tomlkit.parse(text)
        changed = tomlkit.dumps(placed(document, option, short))
    except TOMLKitError as error:
        raise by_hand(path, str(error)) from None
    except RecursionError:
        raise by_hand(path, "it is nested too deeply") from None
    expected = before | {"trust": dict(before.get("trust", {}))}
    expected["trust"][option] = [*there, short]
    try:
        found = tomllib.loads(changed)
    except tomllib.TOMLDecodeError as error:
        raise by_hand(path, str(error)) from None
    if found != expected:
        raise by_hand(path, "the change would touch more than it should")
    return changed


def short_form(entry: Mapping[str, object], *, table: bool) -> Any:  # noqa: ANN401 - text, or a table
    """Return an entry as it is written: a place with nothing more to say of it as text, among others."""
    options = dict(entry)
    if "source" not in options:
        return options
    source = str(options.pop("source"))
    if not options and not table:
        return source
    scheme, separator, rest = source.partition("://")
    kinds = {"https": "host", "hf": "organisation"}
    return {kinds.get(scheme, "root"): rest if separator and scheme in kinds else source, **options}


def placed(document: tomlkit.TOMLDocument, option: str, entry: Any) -> tomlkit.TOMLDocument:  # noqa: ANN401
    """Put an entry behind those that are there."""
    if "trust" not in document:
        document.append("trust", tomlkit.table(is_super_table=not isinstance(entry, str)))
    trust: Any = document["trust"]
    there = trust.get(option)
    if isinstance(there, AoT) or (there is None and not isinstance(entry, str)):
        table = tomlkit.table()
        for name, value in entry.items():
            table.append(name, value)
        if there is None:
            there = tomlkit.aot()
            trust.append(option, there)
        table.trivia.indent = "\n"  # a blank line before it
        there.append(table)
    elif isinstance(there, Array):
        item = entry
        if not isinstance(entry, str):
            item = tomlkit.inline_table()
            item.update(entry)
        there.append(item)
    else:
        trust.append(option, [entry])
    return document


def by_hand(path: str, reason: str) -> SettingsError:
    """Build the error for a layout that can't be changed without being rewritten."""
    return SettingsError(
        "settings.file_unwritable",
        f"the configuration {path} can't be changed without touching the rest of it: {reason}",
        "add the entry by hand; README.md has an example",
    )
