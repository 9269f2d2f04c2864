"""The token that a service is asked with: in a file or a variable, and in nothing that is shown."""

import os
import stat

from strongroom.errors import StoreError

__all__ = ["token_in_file", "token_in_variable"]

LONGEST = 8192


def token_in_file(path: str) -> bytes:
    """Read a token from a file that only its owner, this user or root, may read.

    Raises StoreError.
    """
    try:
        # Not to wait for a pipe's other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise StoreError("store.service", f"the token's file can't be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError("store.service", "the token's file is no regular file")
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o077:
            raise StoreError("store.service", "the token's file is open to others: chmod 600")
        return checked(os.read(descriptor, LONGEST + 1).rstrip(b"\r\n"), "the token's file")
    except OSError as error:
        raise StoreError("store.service", f"the token's file can't be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def token_in_variable(variable: str) -> bytes:
    """Read a token from an environment variable. Raises StoreError."""
    token = os.environb.get(variable.encode())
    if token is None:
        raise StoreError("store.service", f"the environment has no {variable} to read the token from")
    return checked(token, f"the variable {variable}")


def checked(token: bytes, where: str) -> bytes:
    """Check that a token can be one: a header that can't be sent is shown by who refuses to."""
    if not 0 < len(token) <= LONGEST or any(not 0x21 <= byte <= 0x7E for byte in token):
        raise StoreError("store.service", f"{where} holds no token")
    return token
