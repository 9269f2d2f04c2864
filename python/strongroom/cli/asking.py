"""Putting questions to a loaded model, and showing what comes."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from strongroom.cli.terminal import Answers, note, report, write_json
from strongroom.errors import StrongroomError
from strongroom.messages import Message
from strongroom.results import Completion, ModelInfo
from strongroom.router.router import Router
from strongroom.sampling import SamplingOptions

__all__ = ["Question", "chat", "show", "write"]

Question = str | Sequence[Message]
"""Text to continue, or a conversation to answer."""

CHATTER = "chat"
"""Whose a chat's requests are: each goes on from what is kept of the one before."""


def show(
    router: Router, question: Question, options: SamplingOptions, load_seconds: float, *, quiet: bool
) -> None:
    """Stream one answer, then one line of figures. Ctrl-C stops the decoding and is passed on."""
    answers = Answers()
    start = time.perf_counter()
    first: float | None = None
    with router.stream(question, raw=isinstance(question, str), **options) as stream:
        try:
            for piece in stream:
                if first is None:
                    first = time.perf_counter() - start
                answers.write(piece.text)
        except KeyboardInterrupt:
            answers.end()
            note("stopped", "by Ctrl-C")
            raise
        finally:
            answers.end()
        if not quiet:
            note("figures", figures(stream.result, load_seconds, first))


def figures(result: Completion, load_seconds: float | None, first: float | None) -> str:
    """Sum an answer up in one line."""
    decode = result.timings.decode
    parts = [
        None if load_seconds is None else f"load {load_seconds:.2f} s",
        None if first is None else f"first token {first:.2f} s",
        f"{result.completion_tokens / decode:.1f} tokens/s" if decode > 0 else None,
        f"{result.prompt_tokens} + {result.completion_tokens} tokens",
        f"{result.cached_tokens} of them known" if result.cached_tokens else None,
        f"ended by {result.finish_reason}",
        f"seed {result.seed}",
    ]
    return " · ".join(part for part in parts if part is not None)


def write(
    router: Router, question: Question, options: SamplingOptions, info: ModelInfo, load_seconds: float
) -> None:
    """Print one answer as JSON."""
    with router.stream(question, raw=isinstance(question, str), **options) as stream:
        result = stream.read()
    write_json({**dataclasses.asdict(result), "load_seconds": load_seconds, "model": json_of_model(info)})


def json_of_model(info: ModelInfo) -> dict[str, Any]:
    """Return a loaded model for programs."""
    model = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)}
    model["evidence"] = [dataclasses.asdict(evidence) for evidence in info.evidence]
    model["memory"] = {**dataclasses.asdict(info.memory), "total": info.memory.total}
    model["findings"] = [{"code": finding.code, "message": finding.message} for finding in info.findings]
    model["sandbox"] = [
        {"name": layer.name, "state": layer.state, "detail": layer.detail} for layer in info.sandbox
    ]
    return model


def chat(router: Router, before: Sequence[Message], options: SamplingOptions, *, quiet: bool) -> None:
    """Chat at the terminal: Ctrl-C stops an answer, Ctrl-D leaves."""
    import readline  # noqa: F401, PLC0415 - gives input() editing and history; only wanted here

    if not quiet:
        note("chat", "Ctrl-C stops an answer, Ctrl-D leaves")
    history = list(before)
    while True:
        try:
            line = input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            continue
        if not line.strip():
            continue
        try:
            question = Message("user", line)
            answer = turn(router, [*history, question], options, quiet=quiet)
        except StrongroomError as error:
            report(error)
            continue
        except KeyboardInterrupt:  # before the first word, or after the last
            sys.stdout.write("\n")
            continue
        history += [question, Message("assistant", answer)]


def turn(router: Router, messages: Sequence[Message], options: SamplingOptions, *, quiet: bool) -> str:
    """Stream one answer of a chat; return what was said, up to Ctrl-C if that came."""
    answers = Answers()
    said: list[str] = []
    with router.stream(messages, tenant=CHATTER, **options) as stream:
        try:
            for piece in stream:
                said.append(piece.text)
                answers.write(piece.text)
        except KeyboardInterrupt:
            answers.end()
            note("stopped", "by Ctrl-C")
        else:
            answers.end()
            if not quiet:
                note("figures", figures(stream.result, None, None))
    return "".join(said)
