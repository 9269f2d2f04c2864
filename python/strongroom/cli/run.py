"""`strongroom run`: ask a model, once or in a chat."""

import sys
from typing import Annotated

import typer

from strongroom.cli import asking
from strongroom.cli.asked import Asked, ModelToLoad
from strongroom.cli.loading import loaded
from strongroom.cli.store.options import at_store
from strongroom.errors import PromptError
from strongroom.messages import Message, conversation, plain_text
from strongroom.sampling import Sampling

__all__ = ["run"]

MOST_INPUT = (1 << 20) + 1
"""Bytes read of standard input: one more than a prompt may have."""


@at_store
def run(
    model: ModelToLoad,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROMPT]",
            help="What to ask. Left out, it is read from standard input; at a terminal a chat begins.",
        ),
    ] = None,
    *,
    at: Asked,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Instructions that precede the conversation.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Continue the prompt as plain text, without a template.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a streamed answer.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")] = False,
) -> None:
    """Check a model, start it in its sandbox, and stream its answer to standard output."""
    if complete and system is not None:
        raise typer.BadParameter("--system is for conversations, --complete has none")
    chatting = prompt is None and not json and sys.stdin.isatty() and sys.stdout.isatty()
    if complete and chatting:
        raise typer.BadParameter("--complete needs a PROMPT, or standard input that is no terminal")
    options, load = at.sampling(), at.load(model)
    Sampling.of(options)  # before minutes may go into loading
    before = () if system is None else (Message("system", system),)
    if chatting:
        with loaded(load, quiet=quiet) as (router, _, _):
            asking.chat(router, before, options, quiet=quiet)
        return
    text = standard_input() if prompt is None else prompt
    question = plain_text(text) if complete else (*before, *conversation(text))
    with loaded(load, quiet=quiet or json) as (router, info, seconds):
        if json:
            asking.write(router, question, options, info, seconds)
        else:
            asking.show(router, question, options, seconds, quiet=quiet)


def standard_input() -> str:
    """Read a prompt from standard input."""
    data = sys.stdin.buffer.read(MOST_INPUT)
    try:
        return data.decode()
    except UnicodeDecodeError:  # holds the text: it must not become the error's context
        pass
    raise PromptError("prompt.not_unicode", "standard input is not UTF-8")
