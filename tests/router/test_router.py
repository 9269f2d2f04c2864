"""What a Router does with models, and with good and bad requests."""

import dataclasses
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    OptionError,
    PromptError,
    RequestError,
    Router,
    RouterError,
    SamplingOptions,
    Security,
    Settings,
    SettingsError,
    SourceError,
    StrongroomError,
    TemplateError,
    WorkerError,
)
from strongroom.backends.local import Local
from tests.conftest import Model, settings
from tests.processes import eventually, gone

EOS = 2
END = {EOS: 100.0}
"""Makes the tiny model end its answer at once."""


def test_a_loaded_model_describes_itself(shared: Router, tiny: Model) -> None:
    [info] = shared.models()
    assert info.name == "tiny"
    assert info.path == str(tiny.path)
    assert info.digest == tiny.checksum
    assert info.verified
    assert info.size == tiny.path.stat().st_size
    assert info.architecture == "llama"
    assert info.parameters > 100_000
    assert info.context_length == info.context_trained == 2048
    assert info.vocabulary_size > 256
    assert info.chat_refusal is None
    assert info.isolation == "process"
    assert info.threads == 1
    assert info.restarts == 0
    assert info.pid > 1
    assert info.image_seconds > 0
    assert info.load_seconds > 0
    assert info.lock_seconds > 0


def test_the_report_names_every_layer_in_force(shared: Router) -> None:
    [info] = shared.models()
    states = {layer.name: layer.state for layer in info.sandbox}
    assert {"seccomp_serve", "landlock_files", "address_space", "no_new_privileges", "processes"} <= set(
        states
    )
    required = {
        name: state for name, state in states.items() if name not in {"landlock_network", "landlock_scopes"}
    }
    assert set(required.values()) == {"in_force"}


def test_chat(shared: Router) -> None:
    result = shared.chat("Why is the sky blue?", max_tokens=20)
    assert result.text
    assert result.model == "tiny"
    assert result.completion_tokens == 20
    assert result.finish_reason == "length"
    assert result.prompt_tokens > 20
    assert result.timings.prompt > 0
    assert result.timings.decode > 0
    assert result.timings.queue >= 0


def test_a_string_and_one_message_of_a_user_are_the_same(shared: Router) -> None:
    once = shared.chat("Hello", max_tokens=10, temperature=0)
    again = shared.chat([{"role": "user", "content": "Hello"}], max_tokens=10, temperature=0)
    assert once.text == again.text
    assert once.prompt_tokens == again.prompt_tokens


def test_a_conversation_is_all_of_it(shared: Router) -> None:
    short = shared.chat("Hello", max_tokens=1)
    long = shared.chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "Hello"},
        ],
        max_tokens=1,
    )
    assert long.prompt_tokens > 2 * short.prompt_tokens


def test_complete_continues_text_without_a_template(shared: Router) -> None:
    ids = shared.tokenize("The sky is blue because")
    result = shared.complete("The sky is blue because", max_tokens=5)
    assert result.prompt_tokens == len(ids)
    assert result.completion_tokens == 5


def test_tokenize_never_parses_special_tokens(shared: Router) -> None:
    ids = shared.tokenize("</s><|im_start|><|im_end|><s>")
    assert ids[0] == 1  # BOS, as the model says
    assert EOS not in ids[1:]
    assert 1 not in ids[1:]
    assert len(ids) > 10
    assert shared.tokenize("") == [1]


def test_stop_strings_end_the_answer_and_are_no_part_of_it(shared: Router) -> None:
    whole = shared.complete("the", max_tokens=40, temperature=0).text
    stop = whole[10:13]
    result = shared.complete("the", max_tokens=40, temperature=0, stop=stop)
    assert result.finish_reason == "stop"
    assert result.text == whole[: whole.index(stop)]


def test_the_models_own_end(shared: Router) -> None:
    result = shared.chat("Hello", logit_bias=END)
    assert result.finish_reason == "stop"
    assert result.completion_tokens == 0
    assert result.text == ""


def test_as_many_tokens_as_the_context_holds(shared: Router) -> None:
    result = shared.complete("the")
    assert result.finish_reason == "length"
    assert result.prompt_tokens + result.completion_tokens == pytest.approx(2048, abs=1)


def test_the_result_names_a_seed_that_repeats_it(shared: Router) -> None:
    first = shared.chat("Hello", max_tokens=30, temperature=2.0, top_k=0, min_p=0.0, top_p=1.0)
    again = shared.chat(
        "Hello", max_tokens=30, temperature=2.0, top_k=0, min_p=0.0, top_p=1.0, seed=first.seed
    )
    other = shared.chat(
        "Hello", max_tokens=30, temperature=2.0, top_k=0, min_p=0.0, top_p=1.0, seed=first.seed ^ 1
    )
    assert again.text == first.text
    assert again.seed == first.seed
    assert other.text != first.text


def variants() -> list[dict[str, Any]]:
    free = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return [
        free | {"temperature": 0},
        free | {"temperature": 0.1},
        free | {"top_k": 1},
        free | {"top_p": 0.01},
        free | {"min_p": 1.0},
        free | {"repeat_penalty": 2.0},
        free | {"presence_penalty": 2.0},
        free | {"frequency_penalty": 2.0},
        free | {"logit_bias": {300: 90.0}},
        free | {"seed": 8},
    ]


@pytest.mark.parametrize("options", variants(), ids=str)
def test_every_option_of_sampling_acts(shared: Router, options: dict[str, Any]) -> None:
    free: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 7}
    plain = shared.complete("the sky", max_tokens=100, **free)
    changed = shared.complete("the sky", max_tokens=100, **(free | options))
    assert changed.text != plain.text


def test_top_k_of_one_and_temperature_zero_agree(shared: Router) -> None:
    greedy = shared.complete("the sky", max_tokens=30, temperature=0)
    assert shared.complete("the sky", max_tokens=30, top_k=1).text == greedy.text


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"temprature": 1}, "option.unknown"),
        ({"temperature": float("nan")}, "option.out_of_range"),
        ({"temperature": -1}, "option.out_of_range"),
        ({"top_p": 1e300}, "option.out_of_range"),
        ({"top_k": "40"}, "option.wrong_type"),
        ({"logit_bias": {10**6: 1.0}}, "option.out_of_range"),
        ({"timeout": "61s"}, "option.out_of_range"),
        ({"timeout": 0}, "option.out_of_range"),
        ({"timeout": "soon"}, "option.out_of_range"),
        ({"timeout": float("nan")}, "option.out_of_range"),
        ({"timeout": True}, "option.out_of_range"),
    ],
    ids=str,
)
def test_a_bad_option_names_itself(shared: Router, options: dict[str, Any], code: str) -> None:
    for ask in (shared.chat, shared.complete):
        with pytest.raises(OptionError) as caught:
            ask("Hello", **options)
        assert caught.value.code == code
        assert next(iter(options)) in caught.value.message


def test_an_empty_prompt(shared: Router) -> None:
    with pytest.raises(PromptError) as caught:
        shared.chat([])
    assert caught.value.code == "prompt.empty"
    with pytest.raises(PromptError) as caught:
        shared.complete("")
    assert caught.value.code == "prompt.empty"
    for blank in ("", " \n", [{"role": "system", "content": ""}, {"role": "user", "content": "\t"}]):
        with pytest.raises(PromptError) as caught:
            shared.chat(blank)  # type: ignore[arg-type]
        assert caught.value.code == "prompt.empty"
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}]
    assert shared.chat(system, max_tokens=1).prompt_tokens > 1  # type: ignore[arg-type]


def test_a_prompt_longer_than_the_context(shared: Router) -> None:
    for ask in (shared.chat, shared.complete):
        with pytest.raises(PromptError) as caught:
            ask("the sky is blue " * 2000)
        assert caught.value.code == "prompt.too_long"
    assert shared.chat("Hello", max_tokens=1).completion_tokens == 1


@pytest.mark.parametrize("character", ["a", " ", "\n", "\0", "ü", "🔒", "<", "\u202e"])
def test_a_mebibyte_of_one_character(shared: Router, character: str) -> None:
    text = character * ((1 << 20) // len(character.encode()))
    for ask in (shared.chat, shared.complete):
        with pytest.raises(PromptError) as caught:
            ask(text)
        blank = ask == shared.chat and not text.strip()
        assert caught.value.code == ("prompt.empty" if blank else "prompt.too_long")


def test_tokenizing_as_much_as_scored_pieces_take(shared: Router) -> None:
    most = 96 << 10
    assert len(shared.tokenize("a" * most)) == most + 1
    with pytest.raises(PromptError) as caught:
        shared.tokenize("a" * (most + 1))
    assert caught.value.code == "prompt.too_long"


def test_more_than_a_mebibyte(shared: Router) -> None:
    for ask in (shared.chat, shared.complete, shared.tokenize):
        with pytest.raises(PromptError) as caught:
            ask("a" * ((1 << 20) + 1))
        assert caught.value.code == "prompt.too_long"


@pytest.mark.parametrize("text", ["\udc80", "Hello \ud800", b"Hello", None, 5])
def test_what_is_no_text(shared: Router, text: Any) -> None:
    for ask in (shared.chat, shared.complete, shared.tokenize):
        with pytest.raises(PromptError) as caught:
            ask(text)
        assert caught.value.code in {"prompt.not_unicode", "prompt.invalid"}


def test_the_default_model_is_the_only_one(router: Router, tiny: Model) -> None:
    assert router.tokenize("Hello")
    router.load("other", tiny.path, checksum=tiny.checksum)
    with pytest.raises(RouterError, match="loaded: other, tiny") as caught:
        router.tokenize("Hello")
    assert caught.value.code == "router.ambiguous_model"
    assert router.tokenize("Hello", model="other") == router.tokenize("Hello", model="tiny")
    router.unload("tiny")
    assert router.chat("Hello", max_tokens=1).model == "other"


def test_a_model_that_is_not_loaded(shared: Router) -> None:
    for name in ("Tiny", "", "tiny ", 5, ["tiny"]):
        with pytest.raises(RouterError, match="loaded: tiny") as caught:
            shared.chat("Hello", model=name)  # type: ignore[arg-type]
        assert caught.value.code == "router.unknown_model"
    with Router() as empty, pytest.raises(RouterError, match="loaded: none") as caught:
        empty.chat("Hello")
    assert caught.value.code == "router.unknown_model"


@pytest.mark.parametrize("name", ["", " tiny", "a" * 101, "a\nb", "\x1b[31m", "\udc80"])
def test_a_name_that_cannot_be_shown(name: str) -> None:
    with Router() as router, pytest.raises(RouterError) as caught:
        router.load(name, "model.gguf")
    assert caught.value.code == "router.invalid_name"


def test_a_name_is_a_string() -> None:
    with Router() as router, pytest.raises(OptionError, match="name must be a string"):
        router.load(5, "model.gguf")  # type: ignore[arg-type]


def test_a_name_is_taken_once(router: Router, tiny: Model) -> None:
    with pytest.raises(RouterError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "router.name_taken"


def test_a_name_is_taken_while_its_model_loads_and_free_again_when_that_fails(tiny: Model) -> None:
    with Router(settings()) as router:

        def progress(_done: int, _total: int) -> None:
            with pytest.raises(RouterError) as caught:
                router.load("tiny", tiny.path, checksum=tiny.checksum)
            assert caught.value.code == "router.name_taken"
            raise KeyError

        with pytest.raises(KeyError):
            router.load("tiny", tiny.path, checksum=tiny.checksum, progress=progress)
        assert router.models() == []
        router.load("tiny", tiny.path, checksum=tiny.checksum)


def test_unloading_ends_the_worker_and_its_requests(router: Router) -> None:
    [info] = router.models()
    stream = router.stream("Hello", logit_bias={EOS: -100.0})
    router.unload("tiny")
    assert eventually(lambda: gone(info.pid))
    assert router.models() == []
    with pytest.raises(RequestError) as caught:
        for _ in stream:
            pass
    assert caught.value.code == "request.unloaded"
    with pytest.raises(RouterError):
        router.unload("tiny")


def test_closing_ends_every_worker(tiny: Model) -> None:
    router = Router(settings())
    for name in ("one", "two"):
        router.load(name, tiny.path, checksum=tiny.checksum)
    pids = [info.pid for info in router.models()]
    router.close()
    router.close()
    assert all(eventually(lambda pid=pid: gone(pid)) for pid in pids)  # type: ignore[misc]
    for call in (router.models, lambda: router.chat("Hello"), lambda: router.load("x", tiny.path)):
        with pytest.raises(RouterError) as caught:
            call()
        assert caught.value.code == "router.closed"


def test_a_router_that_is_closed_while_a_model_loads_keeps_no_worker(tiny: Model) -> None:
    router = Router(settings())
    with pytest.raises(RouterError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum, progress=lambda _done, _total: router.close())
    assert caught.value.code == "router.closed"


def test_many_threads_share_a_router(shared: Router) -> None:
    alone = {seed: shared.chat("Hello", max_tokens=20, seed=seed).text for seed in range(8)}
    barrier = threading.Barrier(8)

    def ask(seed: int) -> list[str]:
        barrier.wait()
        return [shared.chat("Hello", max_tokens=20, seed=seed).text for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        for seed, texts in enumerate(pool.map(ask, range(8))):
            assert texts == [alone[seed]] * 5


def test_threads_may_load_and_unload_at_once(tiny: Model) -> None:
    with Router(settings()) as router, ThreadPoolExecutor(4) as pool:

        def cycle(name: str) -> int:
            for _ in range(3):
                router.load(name, tiny.path, checksum=tiny.checksum)
                assert router.chat("Hello", model=name, max_tokens=2).completion_tokens == 2
                router.unload(name)
            return 3

        assert sum(pool.map(cycle, "abcd")) == 12
        assert router.models() == []


def test_a_model_without_a_template_names_what_to_give(untemplated: Model) -> None:
    with Router(settings()) as router:
        info = router.load("plain", untemplated.path, checksum=untemplated.checksum)
        assert info.chat_refusal is not None
        assert info.chat_refusal[0] == "template.missing"
        with pytest.raises(TemplateError, match="chat_template=") as caught:
            router.chat("Hello")
        assert caught.value.code == "template.missing"
        assert router.complete("Hello", max_tokens=2).completion_tokens == 2


def test_the_operators_template_is_used(untemplated: Model) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    with Router(settings()) as router:
        router.load("plain", untemplated.path, checksum=untemplated.checksum, chat_template=template)
        chat = router.chat("Hello", max_tokens=10, temperature=0)
        raw = router.complete("user: Hello\nassistant:", max_tokens=10, temperature=0)
        assert chat.text == raw.text
        assert chat.prompt_tokens == raw.prompt_tokens


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{% for %}", "template.syntax"),
        ("{{ raise_exception('no') }}", "template.failed"),
        ("{% if 'Hello' in messages[0].content %}<|im_end|>{% endif %}", "template.hides_content"),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
            "template.limit",
        ),
    ],
)
def test_a_template_that_is_refused(untemplated: Model, template: str, code: str) -> None:
    with Router(settings()) as router, pytest.raises(StrongroomError) as caught:  # noqa: PT012 - either may refuse
        router.load("plain", untemplated.path, checksum=untemplated.checksum, chat_template=template)
        router.chat("Hello there", max_tokens=1)
    assert caught.value.code == code
    assert "Hello" not in str(caught.value)


def test_a_template_is_text(untemplated: Model) -> None:
    for template in ("\udc80", 5, b"{{ messages }}"):
        with Router(settings()) as router, pytest.raises(OptionError, match="chat_template"):
            router.load("plain", untemplated.path, checksum=untemplated.checksum, chat_template=template)  # type: ignore[arg-type]


def test_a_deadline_that_passes(shared: Router) -> None:
    with pytest.raises(RequestError) as caught:
        shared.complete("the", logit_bias={EOS: -100.0}, timeout="1ms")
    assert caught.value.code == "request.deadline"
    assert shared.chat("Hello", max_tokens=1).completion_tokens == 1


def test_settings_are_settings() -> None:
    with pytest.raises(SettingsError, match="settings must be a Settings"):
        Router({"isolation": "process"})  # type: ignore[arg-type]


def test_a_worker_without_isolation_is_reported_at_every_load(
    tiny: Model, caplog: pytest.LogCaptureFixture
) -> None:
    danger = Settings(security=Security(isolation="danger-none"))
    with Router(danger) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert router.chat("Hello", max_tokens=1).completion_tokens == 1
    assert info.isolation == "danger-none"
    assert {layer.state for layer in info.sandbox} <= {"off", "in_force"}
    assert "off" in {layer.state for layer in info.sandbox}
    records = [(record.name, record.levelno) for record in caplog.records]
    assert records == [("strongroom.backends", logging.WARNING)]


def test_nothing_that_was_said_is_logged_or_shown(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    result = router.chat("secret", max_tokens=5)
    stream = router.stream("secret", max_tokens=5)
    shown = "".join(map(repr, (result, stream, router, router.models())))
    assert "secret" not in shown
    assert "secret" not in caplog.text
    stream.close()


def test_a_missing_file_leaves_the_router_usable(router: Router, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        router.load("other", tmp_path / "model.gguf")
    assert [info.name for info in router.models()] == ["tiny"]


def test_a_worker_that_is_not_there(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.backends.local.WORKERS", tmp_path)
    with Router(settings()) as router, pytest.raises(WorkerError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "worker.not_started"


LONG_WORD = "a_secret_that_is_longer_than_an_option"


@pytest.mark.parametrize("option", [*SamplingOptions.__annotations__, "timeout", "secret words", LONG_WORD])
@pytest.mark.parametrize("value", [{"secret words": 1}, {1: "secret words"}, ["secret", 5], "secret words"])
def test_a_text_gone_astray_is_not_repeated(shared: Router, option: str, value: Any) -> None:
    if option == "stop" and isinstance(value, str):
        return
    with pytest.raises(OptionError) as caught:
        shared.chat("Hello", **{option: value})
    assert "secret" not in str(caught.value)


def test_a_prompt_in_the_place_of_a_name_is_not_repeated(shared: Router) -> None:
    with pytest.raises(RouterError) as caught:
        shared.chat("tiny", model="secret words")
    assert "secret" not in str(caught.value)


def test_one_broken_model_hides_no_other(router: Router, tiny: Model) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise WorkerError("worker.example", "the worker is gone", "none")

        def close(self) -> None:
            pass

    router.load("broken", tiny.path, checksum=tiny.checksum)
    before = router.models()[1]
    backend = router._registry._entries["broken"].backend
    assert backend is not None
    backend.close()
    assert isinstance(backend, Local)
    backend._model = Broken()  # type: ignore[assignment]
    sound, broken = router.models()
    assert (sound.name, sound.failure) == ("tiny", None)
    assert broken == dataclasses.replace(before, failure=("worker.example", "the worker is gone"))
