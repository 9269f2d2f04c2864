import traceback
from typing import Any

import pytest

from strongroom import Message, PromptError
from strongroom.messages import conversation, plain_text


def test_a_string_is_what_a_user_says() -> None:
    assert conversation("Hello") == (Message("user", "Hello"),)


def test_messages_may_be_dictionaries() -> None:
    given = [
        {"role": "system", "content": "Be brief."},
        Message("user", "Hello", name="Ada"),
        {"role": "user", "content": "Again", "name": "Ada"},
        {"role": "tool", "content": "", "name": None},
    ]
    assert conversation(given) == (
        Message("system", "Be brief."),
        Message("user", "Hello", "Ada"),
        Message("user", "Again", "Ada"),
        Message("tool", ""),
    )


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        (None, "not a NoneType"),
        (5, "not a int"),
        (b"Hello", "not a bytes"),
        ({"role": "user", "content": "Hello"}, "not a dict"),
        ([5], "a message must be a mapping or a Message, not a int"),
        (["Hello"], "a message must be a mapping or a Message, not a str"),
        ([{"role": "user"}], "lacks its content"),
        ([{"content": "Hello"}], "lacks its role"),
        ([{}], "lacks its role"),
        ([{"role": "wizard", "content": ""}], "role must be one of system, user, assistant, tool"),
        ([{"role": ["user"], "content": ""}], "role must be one of"),
        ([{"role": "user", "content": None}], "content must be a string, not a NoneType"),
        ([{"role": "user", "content": ["Hello"]}], "content must be a string, not a list"),
        ([{"role": "user", "content": "", "name": 5}], "name must be a string, not a int"),
        ([{"role": "user", "contents": "Hello"}], "no option 'contents': did you mean 'content'"),
        ([{"role": "user", "content": "", 5: ""}], "unknown option"),
        ([{"role": "user", "content": "", "my secret thoughts": ""}], "unknown option"),
    ],
)
def test_what_is_no_conversation(prompt: Any, names: str) -> None:
    with pytest.raises(PromptError, match=names) as caught:
        conversation(prompt)
    assert caught.value.code == "prompt.invalid"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prompt", [[], ()])
def test_a_conversation_has_messages(prompt: Any) -> None:
    with pytest.raises(PromptError) as caught:
        conversation(prompt)
    assert caught.value.code == "prompt.empty"


@pytest.mark.parametrize(
    "ask",
    [
        conversation,
        lambda text: conversation([{"role": "user", "content": text}]),
        lambda text: conversation([{"role": "user", "content": "", "name": text}]),
        lambda text: Message("user", text),
        plain_text,
    ],
)
@pytest.mark.parametrize("text", ["secret \udc80", "\ud800", "\udfff secret", "\ud83d secret"])  # noqa: PT014
def test_lone_surrogates_are_refused_and_nothing_of_the_text_is_shown(ask: Any, text: str) -> None:
    with pytest.raises(PromptError) as caught:
        ask(text)
    assert caught.value.code == "prompt.not_unicode"
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value, chain=True)).replace(
        '"secret', ""
    )


def test_text_beyond_the_basic_plane_is_fine() -> None:
    assert plain_text("🔒 𝄞") == "🔒 𝄞"


@pytest.mark.parametrize("text", [None, 5, b"Hello", ["Hello"]])
def test_plain_text_is_text(text: Any) -> None:
    with pytest.raises(PromptError) as caught:
        plain_text(text)
    assert caught.value.code == "prompt.invalid"


def test_a_message_does_not_show_what_is_said() -> None:
    assert "secret" not in repr(Message("user", "secret", name="secret"))
    assert "user" in repr(Message("user", "secret"))
