"""Where the passphrase of a private key comes from."""

import getpass
import sys
from pathlib import Path

from strongroom.errors import OptionError

__all__ = ["asked", "asked_twice"]


def asked(private_key: str) -> bytearray:
    """Ask at the terminal.

    The bytearray is wiped by whoever reads it; the string that Python's terminal input makes can't be.
    """
    if not sys.stdin.isatty():
        raise OptionError(
            "option.out_of_range", "there is no terminal to ask at: name the passphrase's file instead"
        )
    try:
        return bytearray(getpass.getpass(f"Passphrase of {Path(private_key).name!r}: ").encode())
    except (EOFError, UnicodeEncodeError):
        raise OptionError("option.out_of_range", "no passphrase was given") from None


def asked_twice(private_key: str) -> bytearray:
    """Ask for a new passphrase."""
    first = asked(private_key)
    if first != asked(private_key):
        raise OptionError("option.out_of_range", "the two passphrases differ")
    return first
