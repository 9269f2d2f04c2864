"""Requests, drawn at random: whose, for which model, how they are read, and how they may end."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benches.soak.book import LONGEST, TOKENS, WORDS, Book, Mark, Row
from strongroom import Completion
from strongroom.backends.backend import Priority

__all__ = ["BUSY", "GUEST", "MODELS", "MORTAL", "RESTING", "STEADY", "VECTORS", "Asking", "Draw", "wrong"]

STEADY = "steady"
"""Nobody kills its worker."""
MORTAL = "mortal"
"""Its worker is killed again and again."""
GUEST = "guest"
"""Is loaded and unloaded all the time."""
RESTING = ("rest-a", "rest-b")
"""Of these and the guest, memory holds two."""
VECTORS = "vectors"
"""Embeds."""
MODELS = (STEADY,) * 4 + (MORTAL,) * 4 + (GUEST, *RESTING)

BUSY = frozenset({"request.busy", "request.tenant_busy"})
MAY = {
    GUEST: frozenset({"router.unknown_model", "request.unloaded", "load.no_room"}),
    **dict.fromkeys(RESTING, frozenset({"load.no_room"})),
}
"""How a request may end besides, by model."""

PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")

Reading = Literal["whole", "pieces", "slowly", "late", "never", "cancel", "close", "abandon"]
READINGS: tuple[Reading, ...] = (
    *("whole",) * 4,
    *("pieces",) * 3,
    *("cancel",) * 2,
    *("slowly", "late", "never", "close", "abandon"),
)

BAD: tuple[tuple[str, object, dict[str, Any]], ...] = (
    ("option.out_of_range", "the", {"tenant": ""}),
    ("option.out_of_range", "the", {"tenant": b"t" * 10**6}),
    ("option.out_of_range", "the", {"tenant": "\ud800"}),
    ("option.wrong_type", "the", {"tenant": 7}),
    ("option.out_of_range", "the", {"priority": "urgent"}),
    ("option.out_of_range", "the", {"timeout": "soon"}),
    ("option.out_of_range", "the", {"timeout": 3600}),
    ("option.out_of_range", "the", {"max_tokens": 0}),
    ("option.out_of_range", "the", {"logit_bias": {10**9: 1.0}}),
    ("option.out_of_range", "the", {"stop": ["s" * 300]}),
    ("option.unknown", "the", {"temprature": 1}),
    ("prompt.empty", "", {}),
    ("prompt.not_unicode", "the \udfff", {}),
    ("prompt.invalid", b"the", {}),
    ("prompt.too_long", "the " * 2000, {}),
    ("prompt.too_long", "t" * (2**20 + 1), {}),
    ("router.unknown_model", "the", {"model": "no such model"}),
)


@dataclass(frozen=True)
class Asking:
    """One request as it was drawn."""

    kind: str
    model: str
    prompt: Any
    reading: Reading = "whole"
    chat: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    allowed: frozenset[str] = BUSY
    """The codes that it may end with, a killed worker's aside."""
    must: str | None = None
    """The code that it has to end with, if it is none of `allowed`."""
    mark: Mark | None = None
    """What the answer consists of."""
    answer: str | None = None
    """All of what the answer has to be, a tie aside."""
    others: frozenset[str] = frozenset()
    """Answers of other prompts."""
    rows: list[Row] = field(default_factory=list)
    """What its texts' vectors are."""
    pause: float = 0.0
    """Seconds that its reader takes its time."""


class Draw:
    """Draws requests. What it draws is a matter of the seed alone."""

    def __init__(self, seed: str, book: Book) -> None:
        """Take the book whose answers are known."""
        self._source = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._book = book
        self._answers = frozenset(book.answers.values())
        self._tenants: list[tuple[str | bytes, Mark]] = [
            (f"tenant {index}" if index % 2 else bytes((0, 255, index)), mark)
            for index, mark in enumerate(book.marks)
        ]
        kinds = {"marked": 10, "greedy": 5, "deadline": 2, "bad": 2, "tokenize": 1, "publish": 1, "embed": 1}
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def next(self) -> Asking:
        """Draw one."""
        [kind] = self._source.choices(self._kinds, self._weights)
        drawn: Asking = getattr(self, f"_{kind}")()
        return drawn

    def marked(
        self,
        kind: str,
        model: str,
        tokens: int,
        reading: Reading,
        *,
        whose: tuple[str | bytes | None, Mark] | None = None,
        priority: Priority = "normal",
        chat: bool = False,
    ) -> Asking:
        """Ask for a mark and nothing else: the tenant's, or one for nobody."""
        tenant, mark = whose or (None, self._source.choice(self._book.marks))
        return Asking(
            kind,
            model,
            f"{mark.text} {self._words()}",
            reading,
            chat=chat,
            options={
                "max_tokens": tokens,
                "temperature": 0,
                "logit_bias": mark.bias(),
                "tenant": tenant,
                "priority": priority,
            },
            allowed=BUSY | MAY.get(model, frozenset()),
            mark=mark,
            pause=self._source.uniform(0.001, 0.3),
        )

    def a_tenant(self) -> tuple[str | bytes, Mark]:
        """Draw a tenant, with its mark."""
        return self._source.choice(self._tenants)

    def _marked(self) -> Asking:
        reading = self._source.choice(READINGS)
        return self.marked(
            reading,
            self._source.choice(MODELS),
            self._source.choice((1, 3, 20, LONGEST)),
            reading,
            whose=self._source.choice([None, *self._tenants]),
            priority=self._source.choice(PRIORITIES),
            chat=self._source.random() < 0.3,
        )

    def _greedy(self) -> Asking:
        model = self._source.choice(MODELS)
        prompt, answer = self._source.choice(list(self._book.answers.items()))
        return Asking(
            "greedy",
            model,
            prompt,
            self._source.choice(("whole", "pieces")),
            options={
                "max_tokens": TOKENS,
                "temperature": 0,
                "repeat_penalty": 1.3,
                "tenant": self._source.choice([None, *(name for name, _ in self._tenants)]),
                "priority": self._source.choice(PRIORITIES),
            },
            allowed=BUSY | MAY.get(model, frozenset()),
            answer=answer,
            others=self._answers - {answer},
        )

    def _deadline(self) -> Asking:
        reading: Reading = self._source.choice(("whole", "pieces", "late"))
        asking = self.marked("deadline", self._source.choice(MODELS), LONGEST, reading)
        timeout = self._source.choice((0.001, 0.003, 0.01, 0.05, 0.2))
        return replace(
            asking,
            options={**asking.options, "timeout": timeout},
            allowed=asking.allowed | {"request.deadline"},
        )

    def _bad(self) -> Asking:
        code, prompt, options = self._source.choice(BAD)
        model = options.get("model", self._source.choice((STEADY, MORTAL)))
        others = {name: value for name, value in options.items() if name != "model"}
        return Asking("bad", model, prompt, options=others, must=code)

    def _tokenize(self) -> Asking:
        model = self._source.choice(MODELS)
        return Asking("tokenize", model, self._words(), allowed=BUSY | MAY.get(model, frozenset()))

    def _publish(self) -> Asking:
        prompt = f"{self._source.randrange(6)} is published " + "and the light of it " * 8
        return Asking("publish", STEADY, prompt, allowed=BUSY | {"prefix.no_room"})

    def _embed(self) -> Asking:
        texts = self._source.choices(list(self._book.vectors), k=self._source.choice((1, 5, 40)))
        options = {"tenant": self._source.choice([None, *(name for name, _ in self._tenants)])}
        rows = [self._book.vectors[text] for text in texts]
        return Asking("embed", VECTORS, texts, options=options, rows=rows)

    def _words(self) -> str:
        return " ".join(self._source.choices(WORDS, k=self._source.choice((1, 3, 10, 50))))


def wrong(asking: Asking, result: Completion) -> str | None:
    """Say what is wrong with an answer; None where it is the one that was asked for."""
    count, most = result.completion_tokens, asking.options["max_tokens"]
    if asking.mark is not None and result.text != asking.mark.said(count):
        return f"not {count} times its mark"
    if asking.reading in {"cancel", "late"} and result.finish_reason == "cancelled":
        return None
    if asking.mark is not None and (result.finish_reason, count) != ("length", most):
        return f"ended by {result.finish_reason} after {count} of {most} tokens"
    return None
