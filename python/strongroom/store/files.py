"""Files that have a name only once they are whole."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator

from strongroom.errors import OutputError
from strongroom.text import printable

__all__ = ["PARTIAL", "abandoned", "link", "nameless", "written"]

PARTIAL = ".partial"
"""The end of the names of files that are not whole, where the system has none without a name."""

UNKNOWN_FLAG = {errno.EOPNOTSUPP, errno.EINVAL, errno.EISDIR}
"""What systems say that have no files without a name."""


@contextlib.contextmanager
def written(path: str) -> Iterator[int]:
    """Make a file that has its name when the block ends well, and is gone when it doesn't."""
    above, _, name = os.path.join(os.getcwd(), path).rpartition("/")  # noqa: PTH109, PTH118
    if name in {"", ".", ".."}:
        told = f"{printable(path, keep='')} is the name of a directory, not of a file"
        raise OutputError("output.unwritable", told, "name the file that is to be made in it")
    try:
        if os.path.lexists(path):  # before the work that would be for nothing
            raise exists(path)
        directory = os.open(above or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor, beside = nameless(directory)
            try:
                yield descriptor
                link(descriptor, beside, directory, name)
            finally:
                os.close(descriptor)
                if beside is not None:
                    with contextlib.suppress(OSError):
                        os.unlink(beside, dir_fd=directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise exists(path) from None
    except OSError as error:
        told = f"can't write {printable(path, keep='')}: {error.strerror}"
        next_step = "name a file in a folder that exists and may be written to"
        raise OutputError("output.unwritable", told, next_step) from None


def exists(path: str) -> OutputError:
    """Build the error for a file that is there already."""
    told = f"{printable(path, keep='')} exists, and is not overwritten"
    return OutputError("output.exists", told, "name another file, or remove that one")


def link(descriptor: int, beside: str | None, directory: int, name: str) -> None:
    """Name a file that is whole, where nothing has the name, and put the name on the disk."""
    if beside is None:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
    else:
        os.link(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def nameless(directory: int) -> tuple[int, str | None]:
    """Make a file that has no name yet; where the system has none such, one whose name `gc` knows."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return opened(os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=directory)), None
    except OSError as error:
        if error.errno not in UNKNOWN_FLAG:
            raise
    name = secrets.token_hex(16) + PARTIAL
    descriptor = opened(
        os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    )
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor, name


def opened(descriptor: int) -> int:
    """Let the core open a new file again by its descriptor, whatever the umask took away."""
    try:
        os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def abandoned(directory: int, name: str) -> bool:
    """Whether nobody writes a partial file any more."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
