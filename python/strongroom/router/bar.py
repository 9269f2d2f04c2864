"""The progress of a batch, at a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from strongroom.router.batch import BatchProgress
from strongroom.text import printable

__all__ = ["shown_progress"]


@contextmanager
def shown_progress(model: str) -> Iterator[BatchProgress | None]:
    """Show a bar on standard error, if that is a terminal; the name of the model is all that it says."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(model, keep=""), total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield progress
