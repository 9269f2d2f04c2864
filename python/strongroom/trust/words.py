"""The words of a trust policy, each read strictly: what could be meant in two ways is refused."""

import ipaddress
import os
import re

from strongroom.errors import SettingsError
from strongroom.options import shown
from strongroom.quantities import invalid

__all__ = [
    "MOST",
    "digest_of",
    "fingerprint_of",
    "host_of",
    "matches",
    "organisation_of",
    "path_of",
    "pattern_of",
    "refuse_user",
    "text_of",
    "version_key",
    "version_of",
]

MOST = 10_000
"""Entries of one list."""
LONGEST = 1024

HEXADECIMAL = {"sha256": 64, "sha384": 96, "sha512": 128}
DIGEST = re.compile(r"(sha256|sha384|sha512):([0-9a-fA-F]{64,128})", re.ASCII)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
PORT = re.compile(r"[1-9]\d{0,4}", re.ASCII)
ORGANISATION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,94}[A-Za-z0-9])?", re.ASCII)
PATTERN = re.compile(r"[A-Za-z0-9 ._:@+*-]{1,100}", re.ASCII)
VERSION = re.compile(r"v?\d{1,9}(\.\d{1,9}){0,7}", re.ASCII)


def text_of(option: str, value: object, expected: str) -> str:
    """Read a line of text that is shown to people."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= LONGEST
        or not value.isprintable()
        or value != value.strip()
    ):
        raise invalid(option, value, expected)
    return value


def digest_of(option: str, value: object) -> str:
    """Read a digest; its digits become lower case."""
    expected = "sha256:, sha384: or sha512: and as many hexadecimal digits as that has"
    if not isinstance(value, str) or not (match := DIGEST.fullmatch(value)):
        raise invalid(option, value, expected)
    if len(match[2]) != HEXADECIMAL[match[1]]:
        raise invalid(option, value, expected)
    return f"{match[1]}:{match[2].lower()}"


def fingerprint_of(option: str, value: object) -> str:
    """Read the id of a key, or of a certificate: the SHA-256 of its DER."""
    expected = "sha256: and 64 hexadecimal digits"
    if not isinstance(value, str) or not value.startswith("sha256:") or not DIGEST.fullmatch(value):
        raise invalid(option, value, expected)
    return digest_of(option, value)


def path_of(option: str, value: object) -> str:
    """Read a path that means the same wherever it is read: absolute, and with nothing to resolve."""
    expected = "an absolute path without `.`, `..`, `//` or a `/` at its end"
    if isinstance(value, str) and (not value.startswith("/") or value.startswith("//")):
        refuse_user(option, value)
    if not isinstance(value, str) or len(value) > 4 * LONGEST or "\0" in value:
        raise invalid(option, value, expected)
    if not value.startswith("/") or value != os.path.normpath(value) or value.startswith("//"):
        raise invalid(option, value, expected)
    return value


def host_of(option: str, value: object) -> str:
    """Read a host and, where it isn't 443, its port; names become lower case.

    Names are ASCII: one in another script is written in its `xn--` form, so that what looks alike is
    not alike.
    """
    expected = (
        "a host's name in ASCII (xn--… for others) or its address, with `:` and a port where that isn't 443; "
        "no user, path, wildcard or dot at the end"
    )
    refuse_user(option, value)
    if not isinstance(value, str) or not value.isascii() or len(value) > LONGEST:
        raise invalid(option, value, expected)
    host, port = value.lower(), ""
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise invalid(option, value, expected)
        name = address(host, version=6)
    else:
        host, colon, port = host.partition(":")
        port = colon + port
        name = address(host, version=4) if host[-1:].isdigit() else named(host)
    if name is None:
        raise invalid(option, value, expected)
    if port and (not PORT.fullmatch(port[1:]) or int(port[1:]) > 65_535):
        raise invalid(option, value, expected)
    return name if port in {"", ":443"} else f"{name}{port}"


def refuse_user(option: str, value: object) -> None:
    """Refuse what may hold a user and a password, without repeating it."""
    if isinstance(value, str) and "@" in value:
        raise SettingsError(
            "settings.invalid",
            f"{option} must be without a user and a password; it is not repeated here",
            "leave out what stands before the `@`, and the `@`",
        )


def address(host: str, version: int) -> str | None:
    """Return an address in its one spelling."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    if found.version != version or "%" in host:
        return None
    return str(found) if version == 4 else f"[{found}]"


def named(host: str) -> str | None:
    """Return a host's name."""
    labels = host.split(".")
    return host if len(host) <= 253 and all(LABEL.fullmatch(label) for label in labels) else None


def organisation_of(option: str, value: object) -> str:
    """Read the name of an organisation or a user of Hugging Face."""
    refuse_user(option, value)
    if not isinstance(value, str) or not ORGANISATION.fullmatch(value) or ".." in value or "--" in value:
        raise invalid(option, value, "an organisation's name as Hugging Face writes it, without a path")
    return value


def pattern_of(option: str, value: object) -> str:
    """Read a pattern of names: characters that mean themselves, and at most one `*` for any number."""
    expected = "a name, or one with a single `*` for what may vary; no other wildcard, and ASCII alone"
    if not isinstance(value, str) or not PATTERN.fullmatch(value) or value.count("*") > 1:
        raise invalid(option, value, expected)
    if value != value.strip():
        raise invalid(option, value, expected)
    return value


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern has a name in it, letter by letter."""
    before, star, after = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after)


def version_of(option: str, value: object) -> str:
    """Read a version: numbers with dots between them."""
    if not isinstance(value, str) or not VERSION.fullmatch(value):
        raise invalid(option, value, 'a version of numbers and dots, such as "1.2" or "v2.0.1"')
    return value


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by: number by number, an absent one is zero."""
    numbers = [int(number) for number in version.removeprefix("v").split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def unique(option: str, names: list[str]) -> None:
    """Refuse a list in which something is twice, for which of the two would count."""
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(option, twice, f"named once; {shown(twice)} is there twice")
