"""Addresses of services that data keys are sent to."""

import ipaddress
from urllib.parse import urlsplit

from strongroom.errors import SettingsError
from strongroom.quantities import invalid

__all__ = ["address_of"]

LONGEST = 2048


def address_of(option: str, value: object) -> tuple[str, str, int]:
    """Check an address of a scheme, a host and perhaps a port; return the three.

    Without TLS a data key would lie open on the way: http is taken only to this very machine.

    Raises SettingsError.
    """
    expected = "an address such as https://keys.example.org:8200; http only to a loopback address"
    if not isinstance(value, str) or len(value) > LONGEST or not value.isascii() or not value.isprintable():
        raise invalid(option, value, expected)
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise invalid(option, value, expected) from None
    if parts.username is not None or parts.password is not None:
        # Not shown: it may have a password in it.
        raise SettingsError("settings.invalid", f"{option} must be {expected}, without a user in it")
    rest = parts.path not in {"", "/"} or parts.query or parts.fragment or " " in value
    allowed = parts.scheme == "https" or (parts.scheme == "http" and host is not None and is_loopback(host))
    if not host or rest or not allowed or port == 0:
        raise invalid(option, value, expected)
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address alone: a name could be resolved to anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
