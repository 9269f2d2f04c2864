"""A worker whose memory just holds its model: a request that needs more ends, and the next one is served."""

from collections.abc import Iterator

import pytest

from strongroom import (
    Limits,
    LoadError,
    PromptError,
    Router,
    Sandboxing,
    Security,
    Settings,
    WorkerError,
)
from tests.conftest import Model

MEGABYTE = 10**6
FROM, TO = 32 * MEGABYTE, 64 * MEGABYTE
"""Between the least that may be said, and far more than the tiny model takes."""
MOST = 2**20
"""Bytes that a text may have: tokenizing as many takes megabytes."""


def scarce(address_space: int) -> Settings:
    return Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=1, memory_limit=address_space, timeout="60s")),
        limits=Limits(context_length=512, max_concurrent=2, prefix_cache=0),
    )


@pytest.fixture
def router(tiny: Model) -> Iterator[Router]:
    """A Router whose worker has the memory to answer what its context holds, and hardly more."""
    refused = set()
    for address_space in range(FROM, TO, MEGABYTE):
        with Router(scarce(address_space)) as router:
            try:
                router.load("tiny", tiny.path, checksum=tiny.checksum)
                for words in (400, 1, 400):
                    router.complete("the " * words, max_tokens=3)
            except (LoadError, WorkerError) as error:
                refused.add(error.code)
                continue
            # Too little was said in these ways, and in no other.
            assert refused <= {"load.no_room", "load.context", "load.refused", "worker.out_of_memory"}
            assert refused
            yield router
            return
    pytest.fail("no worker had memory enough")


def test_a_prompt_that_takes_more_than_there_is_fails_alone(router: Router) -> None:
    assert router.complete("the sky is", max_tokens=3).completion_tokens == 3
    with pytest.raises(WorkerError) as caught:
        router.complete("a" * MOST, max_tokens=1)
    assert caught.value.code == "worker.out_of_memory"
    assert "aaa" not in str(caught.value)
    assert router.complete("the sky is", max_tokens=3).completion_tokens == 3
    [info] = router.models()
    assert info.restarts > 0
    assert info.failure is None


def test_prompts_of_every_length_are_answered_or_fail_alone(router: Router) -> None:
    ends = set()
    for words in (1, 100, 400, 10_000, MOST // 4):
        try:
            router.complete("the " * words, max_tokens=1)
            ends.add("answered")
        except (PromptError, WorkerError) as error:
            ends.add(error.code)
        assert router.complete("the sky is", max_tokens=3).completion_tokens == 3
    assert (
        {"answered", "worker.out_of_memory"}
        <= ends
        <= {"answered", "worker.out_of_memory", "prompt.too_long"}
    )


def test_the_answer_after_it_ends_the_row_of_deaths(router: Router) -> None:
    for _ in range(4):
        with pytest.raises(WorkerError) as caught:
            router.complete("a" * MOST, max_tokens=1)
        assert caught.value.code == "worker.out_of_memory"
        assert router.chat("Hello", max_tokens=1).completion_tokens == 1
