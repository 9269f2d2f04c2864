"""Arguments of calls: checked before they go to the core, with errors that name them."""

import os

from strongroom.errors import OptionError
from strongroom.options import shown

__all__ = ["comment_of", "file_of", "required", "secret", "word"]


def file_of(option: str, value: object) -> str | None:
    """Return the path that an option names."""
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise OptionError("option.wrong_type", f"{option} must be a path, not {shown(value)}")
    if not path or "\0" in path:
        raise OptionError("option.out_of_range", f"{option} must be a path, not {shown(value)}")
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
