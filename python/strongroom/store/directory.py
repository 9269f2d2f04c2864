"""The directory of the sealed files."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from strongroom.errors import StoreError
from strongroom.keeping import directory_of
from strongroom.store.files import PARTIAL, abandoned, link, nameless
from strongroom.store.index import REFUSALS, is_file_name
from strongroom.text import printable

__all__ = ["Directory", "New"]

UNFOLLOWED = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class New(NamedTuple):
    """A sealed file that is being written, and has no name yet."""

    descriptor: int
    beside: str | None
    directory: int
    path: str

    def name(self, file: str) -> None:
        """Name it, and put the name on the disk."""
        with writing(self.path):
            link(self.descriptor, self.beside, self.directory, file)

    def unname(self, file: str) -> None:
        """Take that name away again; where it stays, it is `gc`'s."""
        with contextlib.suppress(OSError):
            os.unlink(file, dir_fd=self.directory)


class Directory:
    """A directory that nobody else may write to, with sealed files in it."""

    def __init__(self, path: str) -> None:
        """Name it; nothing is made or read yet."""
        self.path = path

    def read(self, file: str) -> int:
        """Open a sealed file to read: a descriptor.

        Raises FileNotFoundError, and StoreError where it is there and can't be read or is no regular file.
        """
        try:
            with self.entered() as directory:
                descriptor = os.open(file, UNFOLLOWED, dir_fd=directory)
        except FileNotFoundError:
            raise
        except OSError as error:
            link = error.errno == errno.ELOOP
            raise unreadable(file, "it is a symbolic link" if link else error.strerror) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise unreadable(file, "it is no regular file")
        return descriptor

    @contextlib.contextmanager
    def new(self) -> Iterator[New]:
        """Make a file without a name; without being named it is gone at the end."""
        with contextlib.ExitStack() as left:
            with writing(self.path):
                directory = left.enter_context(self.entered(make=True))
                descriptor, beside = nameless(directory)
            try:
                yield New(descriptor, beside, directory, self.path)
            finally:
                os.close(descriptor)
                if beside is not None:
                    with contextlib.suppress(OSError):
                        os.unlink(beside, dir_fd=directory)

    def unlink(self, file: str) -> None:
        """Remove a sealed file that the index doesn't have any more; what stays is `gc`'s."""
        with contextlib.suppress(OSError, StoreError), self.entered() as directory:
            os.unlink(file, dir_fd=directory)

    def unlink_others(self, kept: set[str]) -> list[str]:
        """Remove sealed files that aren't among those, and partial ones that nobody writes.

        Other files stay, and directories whatever their names. Whoever calls it holds the index's guard.
        Raises StoreError.
        """
        with writing(self.path), self.entered() as directory:
            loose = [
                name
                for name in os.listdir(directory)  # noqa: PTH208 - of a descriptor
                if not is_directory(directory, name)
                and (
                    (is_file_name(name) and name not in kept)
                    or (name.endswith(PARTIAL) and abandoned(directory, name))
                )
            ]
            for name in loose:
                os.unlink(name, dir_fd=directory)
        return sorted(loose)

    @contextlib.contextmanager
    def entered(self, *, make: bool = False) -> Iterator[int]:
        """Open it."""
        with directory_of(f"{self.path}/.", REFUSALS, make=make) as (found, _):
            directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=found)
        try:
            yield directory
        finally:
            os.close(directory)


def is_directory(directory: int, name: str) -> bool:
    """Whether a name is a directory's; nobody but the store's owner could have made it one."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def unreadable(file: str, reason: str | None) -> StoreError:
    """Build the error for a file that isn't read."""
    return StoreError("store.unreadable", f"the sealed file {file} can't be read: {reason}")


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Tell the system's refusals in the store's words."""
    try:
        yield
    except OSError as error:
        where = printable(path, keep="")
        raise StoreError("store.unwritable", f"{where} can't be written: {error.strerror}") from None
