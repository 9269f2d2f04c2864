"""How a request ended, and whether it may: the same for threads and for an event loop."""

from __future__ import annotations

from collections.abc import Sequence

from benches.soak.asking import Asking, wrong
from benches.soak.ledger import Ledger, Ticket
from strongroom import Completion, Piece, StrongroomError

__all__ = ["answered", "embedded", "failed", "streamed"]

KILLED = "worker.killed"
TOLERANCE = 1e-3
"""Of each number of a vector of length 1: rounding differs with what is beside it."""


def answered(ledger: Ledger, asking: Asking, result: Completion) -> str:
    """Judge an answer; return how it ended."""
    if asking.must is not None:
        ledger.fault(f"{asking.kind}: answered, and {asking.must} had to be raised")
    elif asking.answer is not None and result.text != asking.answer:
        if result.text in asking.others or not ledger.tied(asking.prompt, result.text):
            ledger.fault(
                f"{asking.kind} of {asking.model}: {result.text!r} and not {asking.answer!r}, the answer of "
                f"{asking.prompt!r}; {result.cached_tokens} of {result.prompt_tokens} tokens were kept"
            )
    elif (reason := wrong(asking, result)) is not None:
        ledger.fault(f"{asking.kind}, {asking.reading}, of {asking.model}: {reason}")
    return "cancelled" if result.finish_reason == "cancelled" else "answered"


def streamed(
    ledger: Ledger, asking: Asking, pieces: Sequence[Piece], again: Piece | None, result: Completion
) -> str:
    """Judge the answer of a stream: its pieces, and what it gave when it was asked `again` after its end."""
    if again is not None:
        ledger.fault(f"{asking.kind} of {asking.model}: a piece came after the end")
    if "".join(piece.text for piece in pieces) != result.text:
        ledger.fault(f"{asking.kind} of {asking.model}: the pieces are not the answer")
    if sum(piece.tokens for piece in pieces) > result.completion_tokens:
        ledger.fault(f"{asking.kind} of {asking.model}: the pieces have more tokens than the answer")
    return answered(ledger, asking, result)


def embedded(ledger: Ledger, asking: Asking, rows: list[list[float]]) -> str:
    """Judge vectors: as many as texts, and each its text's, whatever was computed beside it."""
    if len(rows) != len(asking.rows) or any(
        len(row) != len(known) or max(abs(a - b) for a, b in zip(row, known, strict=True)) > TOLERANCE
        for row, known in zip(rows, asking.rows, strict=True)
    ):
        ledger.fault(f"{asking.kind} of {asking.model}: not the vectors of its texts")
    return "answered"


def failed(ledger: Ledger, ticket: Ticket, asking: Asking, error: Exception) -> str:
    """Judge what was raised; return its code."""
    if not isinstance(error, StrongroomError):
        ledger.fault(f"{ticket.kind} of {ticket.model}: {type(error).__name__}: {error}")
        return type(error).__name__
    code = error.code
    if asking.must is not None and code in {asking.must, "request.busy"}:
        return code
    if asking.must is None and (code in asking.allowed or (code == KILLED and ledger.killed_since(ticket))):
        return code
    ledger.fault(f"{ticket.kind} of {ticket.model}: {error}")
    return code
