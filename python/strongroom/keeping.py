"""Files that decide what is trusted: beyond the reach of other users, and replaced whole or not at all."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from strongroom.errors import StrongroomError
from strongroom.text import printable

__all__ = ["Kept", "Refusals", "guarded", "read_kept", "replace"]

PATIENCE = 10.0
"""Seconds that another process may take to replace a file; it needs milliseconds."""


class Refusals(NamedTuple):
    """How whoever reads a file names what is wrong with it."""

    error: type[StrongroomError]
    what: str
    """As in "the configuration"."""
    prefix: str
    """Of the codes, which end in missing, unreadable, special, too_large, permissions, unwritable, busy."""

    def refusal(self, reason: str, path: str, problem: str, next_step: str | None = None) -> StrongroomError:
        """Build the error."""
        shown = printable(path, keep="")
        return self.error(f"{self.prefix}{reason}", f"{self.what} {shown} {problem}", next_step)


class Kept(NamedTuple):
    """What was read of a file, and of whom it is."""

    data: bytes
    path: str
    """Absolute."""


def read_kept(path: str | os.PathLike[str], limit: int, refusals: Refusals) -> Kept:
    """Read a file whole, once nobody but its owner, who is this user or root, can change or replace it.

    The checks are made on the descriptor that is read. A symbolic link is refused, not followed: who
    made it would decide what is read.
    """
    absolute = os.path.join(os.getcwd(), os.fspath(path))  # noqa: PTH109, PTH118 - `..` left to the kernel
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(absolute, flags)
    except (OSError, ValueError) as error:
        raise unopened(error, absolute, refusals) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise refusals.refusal("special", absolute, f"is {kind}")
        refuse_strangers(absolute, status, refusals)
        refuse_directories(absolute, refusals)
        if status.st_size > limit:
            raise refusals.refusal("too_large", absolute, f"has {status.st_size} bytes, more than {limit}")
        data = bytearray()
        while len(data) <= limit and (some := os.read(descriptor, limit + 1 - len(data))):
            data += some
    except OSError as error:
        raise unopened(error, absolute, refusals) from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise refusals.refusal("too_large", absolute, f"has more than {limit} bytes")
    return Kept(bytes(data), absolute)


def unopened(error: OSError | ValueError, path: str, refusals: Refusals) -> StrongroomError:
    """Say why a file can't be opened."""
    if isinstance(error, ValueError):  # a NUL in it
        return refusals.refusal("missing", path, "has a name that no file has")
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return refusals.refusal("missing", path, "is not there")
    if error.errno == errno.ELOOP:
        return refusals.refusal("special", path, "is a symbolic link")
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        return refusals.refusal("special", path, "is no regular file")
    return refusals.refusal("unreadable", path, f"can't be read: {error.strerror}")


def refuse_directories(path: str, refusals: Refusals) -> None:
    """Refuse a path that another user than root can make something else of.

    Every directory above counts, by the path as it is written and by the one that its links lead to; and so
    does the owner of each link.
    """
    written = Path(os.path.dirname(path))  # noqa: PTH120 - the text as it is
    real = Path(os.path.realpath(written))
    for directory in dict.fromkeys((written, *written.parents, real, *real.parents)):
        try:
            found = directory.lstat()
        except OSError as error:
            raise refusals.refusal(
                "unreadable", path, f"is in a directory that can't be examined: {error.strerror}"
            ) from None
        # A link has no mode of its own. In a directory with the sticky bit others can add names, but not
        # replace those of others.
        exempt = stat.S_ISLNK(found.st_mode) or bool(found.st_mode & stat.S_ISVTX)
        refuse_strangers(str(directory), found, refusals, sticky=exempt)


def refuse_strangers(path: str, status: os.stat_result, refusals: Refusals, *, sticky: bool = False) -> None:
    """Refuse what somebody else owns or may write to."""
    if status.st_uid not in {0, os.geteuid()}:
        raise refusals.refusal(
            "permissions",
            path,
            f"belongs to user {status.st_uid}, who could change it",
            f"make it yours: chown {os.geteuid()} {printable(path, keep='')}",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise refusals.refusal(
            "permissions",
            path,
            "can be written by others",
            f"take that away: chmod go-w {printable(path, keep='')}",
        )


@contextlib.contextmanager
def guarded(path: str, refusals: Refusals) -> Iterator[None]:
    """Keep other processes from replacing a file. The guard is one of its own: the file doesn't stay."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        refuse_directories(path, refusals)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        guard = os.open(f"{path}.guard", flags, 0o600)
    except OSError as error:
        raise unwritable(path, error, refusals) from None
    try:
        deadline = time.monotonic() + PATIENCE
        while not taken(guard):
            if time.monotonic() > deadline:
                raise refusals.refusal("busy", path, f"was kept by another process for {PATIENCE:g} s")
            time.sleep(0.005)
        yield
    finally:
        os.close(guard)


def taken(guard: int) -> bool:
    """Try to take a guard."""
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def replace(path: str, data: bytes, refusals: Refusals) -> None:
    """Replace a file: whole, and on the disk, or not at all. Whoever calls it holds the guard.

    What a process that was killed left beside it is overwritten by the next. A symbolic link in its place
    is replaced, not followed.
    """
    beside = f"{path}.new"
    try:
        write_beside(path, beside, data)
        os.replace(beside, path)
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        if isinstance(error, OSError):
            raise unwritable(path, error, refusals) from None
        raise


def write_beside(path: str, beside: str, data: bytes) -> None:
    """Write what is to replace `path`, with its mode but for what lets others write, and sync it."""
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.lstat(path).st_mode) & 0o755
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)  # noqa: PTH108
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(beside, flags, 0o600)
    try:
        os.fchmod(descriptor, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: str, error: OSError, refusals: Refusals) -> StrongroomError:
    """Build the error for a file that can't be replaced."""
    return refusals.refusal("unwritable", path, f"can't be written: {error.strerror}")
