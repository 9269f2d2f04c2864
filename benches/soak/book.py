"""What the model answers when nothing disturbs it: what every answer is held to later."""

from __future__ import annotations

import random
import string
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from strongroom import Router

__all__ = ["LONGEST", "TOKENS", "WORDS", "Book", "Mark", "Row"]

PROMPTS = 32
TOKENS = 12
"""Of a greedy answer."""
LONGEST = 160
"""Tokens of an answer that says a mark."""
ROUNDS = 5
MARKS = 24
WORDS = (
    "the",
    "sky",
    "is",
    "blue",
    "because",
    "light",
    "hello",
    "question",
    "answer",
    "model",
    "fox",
    "jumps",
)


Row = tuple[float, ...]


@dataclass(frozen=True)
class Mark:
    """A token that the answers of one tenant consist of, and that its prompts begin with."""

    token: int
    text: str

    def bias(self) -> dict[int, float]:
        """Make the model say nothing else."""
        return {self.token: 100.0}

    def said(self, tokens: int) -> str:
        """Return the whole answer of so many tokens."""
        return self.text * tokens


@dataclass(frozen=True)
class Book:
    """Prompts with their answers, and marks."""

    answers: dict[str, str]
    """Of greedy decoding, by prompt."""
    left_out: int
    """Prompts whose answers depend on what is decoded beside them: two tokens are as likely there, but for
    the rounding, which the shape of a batch changes."""
    marks: tuple[Mark, ...]
    vectors: dict[str, Row]
    """Of each word."""

    @classmethod
    def of(cls, router: Router, model: str, embedder: str, source: random.Random) -> Book:
        """Ask everything alone, and then in company in several orders."""
        prompts = [
            f"{number} " + " ".join(source.choices(WORDS, k=source.choice((3, 8, 40))))
            for number in range(PROMPTS)
        ]

        def asked(prompt: str) -> tuple[str, str]:
            tenant = source.choice((None, "one", "two"))
            answer = router.complete(
                prompt, model=model, max_tokens=TOKENS, temperature=0, repeat_penalty=1.3, tenant=tenant
            )
            return prompt, answer.text

        found: defaultdict[str, set[str]] = defaultdict(set)
        for prompt in prompts:
            found[prompt].add(asked(prompt)[1])
        with ThreadPoolExecutor(8) as threads:
            for _ in range(ROUNDS):
                source.shuffle(prompts)
                for prompt, text in threads.map(asked, prompts):
                    found[prompt].add(text)
        answers = {prompt: texts.pop() for prompt, texts in found.items() if len(texts) == 1}
        vectors = {word: tuple(router.embed(word, model=embedder)[0].tolist()) for word in WORDS}
        return cls(answers, PROMPTS - len(answers), tuple(marks_of(router, model)), vectors)


def marks_of(router: Router, model: str) -> list[Mark]:
    """Find characters that are a token each, which the model says again and again where it is made to."""
    marks: dict[str, Mark] = {}
    for character in string.ascii_letters + string.digits:
        token = router.tokenize(character, model=model)[-1]
        bias = {token: 100.0}
        said = router.complete("the", model=model, max_tokens=10, temperature=0, logit_bias=bias).text
        text = said[: len(said) // 10]
        if said and said == text * 10 and text.strip() and text not in marks:
            marks[text] = Mark(token, text)
        if len(marks) == MARKS:
            break
    return list(marks.values())
