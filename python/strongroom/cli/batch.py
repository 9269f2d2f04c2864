"""`strongroom batch`: answer a file of prompts, into a file of results."""

import os
from contextlib import closing
from typing import Annotated

import typer

from strongroom.cli.asked import Asked, ModelToLoad
from strongroom.cli.batch_lines import Input, line_of
from strongroom.cli.loading import loaded
from strongroom.cli.store.options import at_store
from strongroom.cli.terminal import note
from strongroom.errors import OutputError, StrongroomError
from strongroom.router.batching import Plan, answers
from strongroom.sampling import Sampling
from strongroom.store.files import exists, written

__all__ = ["batch"]

JOURNAL = ".journal"
"""What the name of an output's journal ends in."""
NEW = ".new"
"""What the name of a file ends in that replaces another."""


@at_store
def batch(
    model: ModelToLoad,
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="INPUT.jsonl",
            help='Prompts, one JSON value a line: a string, or {"prompt": …} or {"messages": […]}, with an '
            '"id" where wanted.',
        ),
    ],
    *,
    at: Asked,
    output: Annotated[
        str, typer.Option(metavar="OUTPUT.jsonl", help="The results, a line each, in the prompts' order.")
    ],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with OUTPUT.jsonl.journal, and ask again what failed."),
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="Requests at once; default as many as the model holds.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Continue the prompts as plain text, without a template.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing of what is done.")] = False,
) -> None:
    """Answer a file of prompts. Exit code 1 where some failed: their results say why.

    Killed or interrupted, the same command with --resume goes on where it ended. Results and journal are
    plain text, for their owner alone; the journal is removed once every prompt has its answer.
    """
    options, load = at.sampling(), at.load(model)
    Sampling.of(options)  # before minutes may go into loading
    given = Input(prompts, raw=complete)
    journal = output + JOURNAL
    refuse_present(output, journal, resume=resume)
    with loaded(load, quiet=quiet) as (router, info, _):
        plan = Plan(
            router._registry,  # noqa: SLF001 - results one by one, not a list of all
            given,
            raw=complete,
            model=info.name,
            concurrency=concurrency,
            limit=load.settings.limits.concurrent_requests,
            resume=journal,
            progress=not quiet,
            on_error="keep",
            tenant=None,
            priority="normal",
            timeout=None,
            options=options,
        )
        failed = answer(plan, given, output)
    if not quiet:
        note("batch", f"{len(given) - failed} of {len(given)} prompts answered, in {output}")
    if failed:
        note("next:", "see the errors in it; --resume asks again what failed")
        raise typer.Exit(1)
    os.unlink(journal)  # noqa: PTH108 - of text that may be no path


def refuse_present(output: str, journal: str, *, resume: bool) -> None:
    """Refuse to begin where there are results or a journal already, unless they are to be gone on with."""
    there = [path for path in (output, journal) if os.path.lexists(path)]
    if there and not (resume and journal in there):
        error = exists(there[0])
        step = error.next_step if resume else "go on with --resume, or name another file"
        raise OutputError(error.code, error.message, step)


def answer(plan: Plan, given: Input, output: str) -> int:
    """Write the results as they come, into a file that has a name once it is whole; count the errors."""
    failed = 0
    results = answers(plan)
    again = os.path.lexists(output)  # of the call before, which this one goes on with
    whole = output + NEW if again else output
    with closing(results), written(whole) as descriptor, os.fdopen(os.dup(descriptor), "wb") as file:
        for index, result in enumerate(results):
            failed += isinstance(result, StrongroomError)
            file.write(line_of(index, given.ids.popleft(), result))
        file.flush()
        os.fsync(descriptor)
    if again:
        os.replace(whole, output)
    return failed
