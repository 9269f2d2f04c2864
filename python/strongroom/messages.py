"""Conversations, checked before anything reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict, get_args

from strongroom.errors import PromptError
from strongroom.options import misspelt
from strongroom.text import utf8_size

__all__ = ["Message", "MessageDict", "Prompt", "Role", "conversation", "plain_text"]

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


def checked(what: str, value: object) -> str:
    """Check that a value is text; no error shows any of it."""
    if not isinstance(value, str):
        raise PromptError("prompt.invalid", f"{what} must be a string, not a {type(value).__name__}")
    if utf8_size(value) is None:
        raise PromptError("prompt.not_unicode", f"{what} holds a lone surrogate, which no encoding has")
    return str(value)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. Its `repr` shows the role and lengths, never what is said."""

    role: Role
    """Who speaks."""
    content: str = field(repr=False)
    """What is said: data, whatever it looks like; no part of it becomes a control token."""
    name: str | None = field(default=None, repr=False)
    """The speaker's name, for templates that use one."""

    def __post_init__(self) -> None:
        """Check the role and the texts."""
        role: object = self.role
        if not isinstance(role, str) or role not in ROLES:
            raise PromptError("prompt.invalid", f"a message's role must be one of {', '.join(ROLES)}")
        checked("a message's content", self.content)
        if self.name is not None:
            checked("a message's name", self.name)


class MessageDict(TypedDict):
    """A message as a plain dictionary."""

    role: Role
    content: str
    name: NotRequired[str]


Prompt = str | Sequence[Message | MessageDict]
"""What `chat` and `stream` answer: a conversation, or the one thing that a user says."""


def message_of(value: object) -> Message:
    """Check one message of a conversation."""
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping):
        raise PromptError(
            "prompt.invalid", f"a message must be a mapping or a Message, not a {type(value).__name__}"
        )
    known = ("role", "content", "name")
    for key in value:
        if key not in known:
            raise PromptError("prompt.invalid", misspelt(key, known, "a message"))
    for key in ("role", "content"):
        if key not in value:
            raise PromptError("prompt.invalid", f"a message lacks its {key}")
    return Message(value["role"], value["content"], value.get("name"))


def conversation(prompt: object) -> tuple[Message, ...]:
    """Check what `chat` was given; a string is what a user says."""
    if isinstance(prompt, str):
        prompt = (Message("user", prompt),)
    if not isinstance(prompt, Sequence) or isinstance(prompt, bytes | bytearray | memoryview):
        raise PromptError(
            "prompt.invalid", f"a prompt must be a string or messages, not a {type(prompt).__name__}"
        )
    if not prompt:
        raise PromptError("prompt.empty", "the conversation has no messages")
    messages = tuple(message_of(message) for message in prompt)
    if all(not message.content.strip() for message in messages):
        raise PromptError("prompt.empty", "no message of the conversation says anything")
    return messages


def plain_text(prompt: object) -> str:
    """Check what `complete` or `tokenize` was given."""
    return checked("the text", prompt)
