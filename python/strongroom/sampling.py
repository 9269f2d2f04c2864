"""How the next token is chosen, and when to stop choosing."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, TypedDict

from strongroom.errors import OptionError, StrongroomError
from strongroom.options import Options, described, misspelt
from strongroom.text import utf8_size

__all__ = ["Sampling", "SamplingOptions"]

MAX_SEED = 2**32 - 2
"""llama.cpp reserves 2³² - 1 for "choose one"."""
MAX_COUNT = 2**32 - 1
MAX_TOKEN = 2**31 - 1
MAX_BIASES = 1024
MAX_STOPS = 16
MAX_STOP_BYTES = 256


class SamplingOptions(TypedDict, total=False):
    """The keyword arguments of `chat`, `complete` and `stream` that choose tokens; see `Sampling`."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int | None
    logit_bias: Mapping[int, float]
    stop: str | Sequence[str]
    max_tokens: int | None


def wrong_type(option: str, value: object, expected: str) -> OptionError:
    """Build the error for a value of another type."""
    return OptionError("option.wrong_type", f"{option} must be {expected}, not {described(value)}")


def out_of_range(option: str, value: object, expected: str) -> OptionError:
    """Build the error for a value that is too small, too large, or no number."""
    return OptionError("option.out_of_range", f"{option} must be {expected}, not {described(value)}")


def number(option: str, value: object, low: float, high: float, *, above: bool = False) -> float:
    """Check a number from `low` (or above it, with `above`) to `high`."""
    expected = (
        f"a number above {low:g} and at most {high:g}" if above else f"a number from {low:g} to {high:g}"
    )
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(option, value, expected)
    if not low <= value <= high or (above and value == low):  # NaN compares false
        raise out_of_range(option, value, expected)
    return float(value)


def whole(option: str, value: object, low: int, high: int) -> int:
    """Check a whole number from `low` to `high`."""
    expected = f"a whole number from {low} to {high}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(option, value, expected)
    if not low <= value <= high:
        raise out_of_range(option, value, expected)
    return int(value)


def stop_strings(value: object) -> tuple[str, ...]:
    """Check the strings that end an answer. They are the caller's text: an error shows none of it."""
    expected = f"a string, or at most {MAX_STOPS} of them, of 1 to {MAX_STOP_BYTES} bytes each"
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or isinstance(texts, bytes | bytearray | memoryview):
        raise OptionError("option.wrong_type", f"stop must be {expected}, not a {type(value).__name__}")
    if len(texts) > MAX_STOPS:
        raise OptionError("option.out_of_range", f"stop must be {expected}, not {len(texts)} strings")
    for text in texts:
        if not isinstance(text, str):
            raise OptionError("option.wrong_type", f"stop must be {expected}: one is a {type(text).__name__}")
        size = utf8_size(text)
        if size is None or not 1 <= size <= MAX_STOP_BYTES:
            found = "a lone surrogate" if size is None else f"{size} bytes"
            raise OptionError("option.out_of_range", f"stop must be {expected}: one has {found}")
    return tuple(texts)


def biases(value: object) -> Mapping[int, float]:
    """Check what is added to the logits of single tokens."""
    if not isinstance(value, Mapping):
        raise wrong_type("logit_bias", value, "a mapping from token ids to numbers from -100 to 100")
    if len(value) > MAX_BIASES:
        raise OptionError(
            "option.out_of_range", f"logit_bias must have at most {MAX_BIASES} tokens, not {len(value)}"
        )
    return MappingProxyType(
        {
            whole("logit_bias", token, 0, MAX_TOKEN): number("logit_bias", bias, -100, 100)
            for token, bias in value.items()
        }
    )


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """The options of one request. An option that is misspelt or out of range raises `OptionError`.

    The samplers run in this order: biases and penalties, `top_k`, `top_p`, `min_p`, temperature.
    """

    unknown: ClassVar[tuple[type[StrongroomError], str]] = (OptionError, "option.unknown")

    temperature: float = 0.7
    """0 always takes the likeliest token; at most 5."""
    top_k: int = 40
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 0.95
    """Keep the likeliest tokens whose probabilities sum to this; above 0, at most 1."""
    min_p: float = 0.05
    """Keep tokens at least this fraction as likely as the likeliest; 0 to 1."""
    repeat_penalty: float = 1.0
    """Divides the logits of tokens seen in the last 64; 1 changes nothing; above 0, at most 2."""
    presence_penalty: float = 0.0
    """Subtracted once from tokens seen in the last 64; -2 to 2."""
    frequency_penalty: float = 0.0
    """Subtracted per occurrence in the last 64 tokens; -2 to 2."""
    seed: int = field(default_factory=lambda: secrets.randbelow(MAX_SEED + 1))
    """0 to 2³² - 2; drawn at random by default, and named in the result."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of single tokens, by id; at most 1,024 of them, each -100 to 100."""
    stop: str | Sequence[str] = field(default=(), repr=False)
    """Strings that end the answer and are not part of it; at most 16, of 1 to 256 bytes each."""
    max_tokens: int | None = None
    """Tokens to decode at most; None is as many as the context holds."""

    def __post_init__(self) -> None:
        """Check every option."""
        checked = {
            "temperature": number("temperature", self.temperature, 0, 5),
            "top_k": whole("top_k", self.top_k, 0, MAX_TOKEN),
            "top_p": number("top_p", self.top_p, 0, 1, above=True),
            "min_p": number("min_p", self.min_p, 0, 1),
            "repeat_penalty": number("repeat_penalty", self.repeat_penalty, 0, 2, above=True),
            "presence_penalty": number("presence_penalty", self.presence_penalty, -2, 2),
            "frequency_penalty": number("frequency_penalty", self.frequency_penalty, -2, 2),
            "seed": whole("seed", self.seed, 0, MAX_SEED),
            "logit_bias": biases(self.logit_bias),
            "stop": stop_strings(self.stop),
            "max_tokens": None
            if self.max_tokens is None
            else whole("max_tokens", self.max_tokens, 1, MAX_COUNT),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, options: SamplingOptions) -> "Sampling":
        """Check keyword arguments as a call got them; a seed of None is as good as none."""
        known = [*SamplingOptions.__annotations__, "model", "timeout"]
        for name in options:
            if name not in known:
                raise OptionError("option.unknown", misspelt(name, known, "a request"))
        given = {name: value for name, value in options.items() if name != "seed" or value is not None}
        return cls(**given)  # type: ignore[arg-type]  # __post_init__ checks them
