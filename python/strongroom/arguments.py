"""Arguments of calls: checked before they go to the core, with errors that name them."""

import os
from collections.abc import Iterable

from strongroom.errors import OptionError
from strongroom.options import is_path, path_text, shown

__all__ = ["comment_of", "file_of", "files_of", "names", "required", "secret", "text", "word"]


def file_of(option: str, value: object) -> str | None:
    """Return the path that an option names."""
    if value is None:
        return None
    path = path_text(value)
    if path is None:
        raise OptionError("option.wrong_type", f"{option} must be a path, not {shown(value)}")
    if not path or not is_path(path):
        raise OptionError("option.out_of_range", f"{option} must be a path, not {shown(path)}")
    return path


def required(option: str, value: object) -> str:
    """Return the path that an option names, and must."""
    path = file_of(option, value)
    if path is None:
        raise OptionError("option.wrong_type", f"{option} must be a path, not None")
    return path


def word(option: str, value: object) -> str | None:
    """Return the word that an option is; the core knows which ones it has."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise OptionError("option.wrong_type", f"{option} must be a string, not {shown(value)}")
    return value.encode("ascii", "backslashreplace").decode()


def comment_of(value: object) -> str | None:
    """Return a comment, which the core checks further."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise OptionError("option.wrong_type", f"comment must be a string, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OptionError("option.out_of_range", "comment holds a lone surrogate") from None
    return value


def secret(value: object) -> bytearray | None:
    """Return a passphrase, of the one type that can be wiped; its value is in no error."""
    if value is not None and not isinstance(value, bytearray):
        raise OptionError("option.wrong_type", "passphrase must be a bytearray, which can be wiped")
    return value


def files_of(option: str, value: object) -> list[str]:
    """Return the paths of one or several small files."""
    if isinstance(value, str | os.PathLike):
        return [required(option, value)]
    if not isinstance(value, Iterable):
        raise OptionError("option.wrong_type", f"{option} must be a path or several, not {shown(value)}")
    return [required(option, one) for one in value]


def text(option: str, value: object) -> str | None:
    """Return text that UTF-8 has bytes for."""
    return None if value is None else names(option, [value])[0]


def names(option: str, value: object) -> list[str]:
    """Return names of files in a manifest."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError("option.wrong_type", f"{option} must be a list of paths, not {shown(value)}")
    checked = []
    for name in value:
        if not isinstance(name, str):
            raise OptionError(
                "option.wrong_type", f"{option} must be a list of strings: one is {shown(name)}"
            )
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise OptionError("option.out_of_range", f"{option}: {shown(name)} is no text")
        checked.append(name)
    return checked
