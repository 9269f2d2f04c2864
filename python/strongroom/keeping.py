"""Files that decide what is trusted: beyond the reach of other users, and replaced whole or not at all."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

from strongroom.errors import StrongroomError
from strongroom.text import printable

__all__ = ["Kept", "Refusals", "guarded", "read_kept", "replace"]

PATIENCE = 10.0
"""Seconds that another process may take to replace a file; it needs milliseconds."""

MOST_LINKS = 40
"""On the way to a file; the kernel follows as many."""


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
        with directory_of(absolute, refusals) as (directory, name):
            descriptor = os.open(name, flags, dir_fd=directory)
    except StrongroomError:  # of which some are ValueErrors
        raise
    except (OSError, ValueError) as error:
        raise unopened(error, absolute, refusals) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise refusals.refusal("special", absolute, f"is {kind}")
        refuse_strangers(absolute, status, refusals)
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


@contextlib.contextmanager
def directory_of(path: str, refusals: Refusals, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the directory of a file that no other user than root can make something else of.

    Every directory and every link on the way is opened, looked at, and gone on from by its descriptor, those
    that a link leads through too: what was looked at is what is used. Yields the descriptor, and the file's
    name in it. `make` makes directories that aren't there.
    """
    above, _, name = os.path.join(os.getcwd(), path).rpartition("/")  # noqa: PTH109, PTH118
    steps = steps_of(f"{above}/")
    here, links = "/", 0
    directory = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        while steps:
            step = steps.pop()
            here = os.path.normpath(os.path.join(here, step))  # noqa: PTH118 - no link is left in it
            found = entered(directory, step, make=make)
            try:
                status = os.fstat(found)
                link = stat.S_ISLNK(status.st_mode)
                # A link has no mode of its own. In a directory with the sticky bit others can add names, but
                # not replace those of others.
                sticky = link or bool(status.st_mode & stat.S_ISVTX)
                refuse_strangers(here, status, refusals, sticky=sticky)
                if not link:
                    os.dup2(found, directory, inheritable=False)
                    continue
                links += 1
                if links > MOST_LINKS:
                    raise refusals.refusal("special", path, f"is behind more than {MOST_LINKS} links")
                steps += steps_of(os.readlink("", dir_fd=found))
                here = os.path.dirname(here)  # noqa: PTH120
            finally:
                os.close(found)
        yield directory, name or "."
    finally:
        os.close(directory)


def steps_of(path: str) -> list[str]:
    """Return the names that a path goes through, the last one first; `/` is the root's."""
    names = [name for name in path.split("/") if name not in {"", "."}]
    return names[::-1] + ["/"] * path.startswith("/")


def entered(directory: int, name: str, *, make: bool) -> int:
    """Open what has a name in a directory, the link itself where it is one."""
    flags = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
        return usable(os.open(name, flags, dir_fd=directory))
    return os.open(name, flags, dir_fd=directory)


def usable(made: int) -> int:
    """Let its owner enter a directory that was just made, whatever the umask took away."""
    try:
        status = os.fstat(made)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            os.chmod(f"/proc/self/fd/{made}", 0o700)  # noqa: PTH101 - of the very directory that is open
    except BaseException:
        os.close(made)
        raise
    return made


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
    owner = os.getpid()
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with directory_of(path, refusals, make=True) as (directory, name):
            guard = os.open(f"{name}.guard", flags, 0o600, dir_fd=directory)
        # Whatever the umask took away: the next process has to open it.
        if not os.fstat(guard).st_mode & stat.S_IRUSR:
            os.fchmod(guard, 0o600)
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
        # Closing alone would leave it to a child that was forked meanwhile; and a child has no part in it.
        if os.getpid() == owner:
            with contextlib.suppress(OSError):
                fcntl.flock(guard, fcntl.LOCK_UN)
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
    try:
        with directory_of(path, refusals) as (directory, name):
            replace_in(directory, name, data)
    except OSError as error:
        raise unwritable(path, error, refusals) from None


def replace_in(directory: int, name: str, data: bytes) -> None:
    """Do so in an open directory."""
    beside = f"{name}.new"
    try:
        write_beside(directory, name, beside, data)
        os.replace(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
        synced = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.fsync(synced)
        finally:
            os.close(synced)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=directory)
        raise


def write_beside(directory: int, name: str, beside: str, data: bytes) -> None:
    """Write what is to replace a file, with its mode but for what lets others write, and sync it."""
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode) & 0o755
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(beside, flags, 0o600, dir_fd=directory)
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
