"""What a request claims: whose it is, how urgent, and how long it may take, as a caller says it."""

from typing import cast, get_args

from strongroom.backends.backend import Priority
from strongroom.errors import OptionError
from strongroom.quantities import seconds_of
from strongroom.sampling import out_of_range
from strongroom.text import utf8_size

__all__ = ["MAX_TENANT", "checked_priority", "checked_tenant", "checked_timeout"]

MAX_TENANT = 256


def checked_tenant(tenant: object) -> bytes | None:
    """Check the name of a tenant; return its bytes, those of text in UTF-8. No error shows it."""
    if tenant is None:
        return None
    if isinstance(tenant, str):
        size = utf8_size(tenant)
        if size is None:
            raise OptionError("option.out_of_range", "tenant must be text without lone surrogates, or bytes")
    elif isinstance(tenant, bytes):
        size = len(tenant)
    else:
        raise OptionError("option.wrong_type", "tenant must be a string or bytes")
    if not 1 <= size <= MAX_TENANT:
        raise OptionError("option.out_of_range", f"tenant must have 1 to {MAX_TENANT} bytes, not {size}")
    return tenant.encode() if isinstance(tenant, str) else tenant


def checked_priority(priority: object) -> Priority:
    """Check a priority. It may be content gone astray: no error shows it."""
    if not isinstance(priority, str):
        raise OptionError("option.wrong_type", "priority must be a string")
    if priority not in get_args(Priority):
        raise OptionError("option.out_of_range", f"priority must be one of {', '.join(get_args(Priority))}")
    return cast("Priority", priority)


def checked_timeout(timeout: str | float | None, longest: float) -> float:
    """Check a timeout; return its seconds: `longest`, as the settings say, at most and by default."""
    if timeout is None:
        return longest
    seconds = seconds_of("timeout", timeout, OptionError, "option.out_of_range")
    if seconds > longest:
        raise out_of_range("timeout", seconds, f"at most {longest:g}s, as the settings say")
    return seconds
