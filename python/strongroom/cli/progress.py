"""How far reading and hashing is."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from strongroom.cli.terminal import notes, plain
from strongroom.models.progress import Progress as Callback

__all__ = ["checking"]


@contextmanager
def checking(what: str, *, quiet: bool = False, verb: str = "checking") -> Iterator[Callback | None]:
    """Show how far reading and hashing is, where standard error is a terminal."""
    console = notes()
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{verb} {plain(what).plain}", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield progress
