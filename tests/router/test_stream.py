import threading

import pytest

from strongroom import Completion, RequestError, Router, RouterError, Stream, Timings
from strongroom._core import Bell
from strongroom.backends.backend import Event, Finished

ON = {2: -100.0}


def test_pieces_add_up_to_the_result(shared: Router) -> None:
    stream = shared.stream([{"role": "user", "content": "Hello"}], max_tokens=20, seed=7)
    pieces = list(stream)
    assert pieces
    assert "".join(piece.text for piece in pieces) == stream.result.text
    assert sum(piece.tokens for piece in pieces) <= stream.result.completion_tokens == 20
    assert stream.seed == stream.result.seed == 7
    assert stream.result.text == shared.chat("Hello", max_tokens=20, seed=7).text
    assert list(stream) == []


def test_raw_streams_what_complete_returns(shared: Router) -> None:
    whole = shared.complete("the", max_tokens=10, temperature=0)
    assert shared.stream("the", raw=True, max_tokens=10, temperature=0).read().text == whole.text


def test_there_is_no_result_before_the_end(shared: Router) -> None:
    with shared.stream("Hello", logit_bias=ON) as stream:
        next(stream)
        with pytest.raises(RequestError) as caught:
            _ = stream.result
    assert caught.value.code == "request.unfinished"
    assert list(stream) == []
    with pytest.raises(RequestError):
        _ = stream.result


def test_a_cancelled_stream_still_has_a_result(shared: Router) -> None:
    stream = shared.stream("the", raw=True, logit_bias=ON)
    stream.cancel()
    result = stream.read()
    assert result.finish_reason in {"cancelled", "length"}
    assert result.completion_tokens < 2048
    stream.cancel()


def test_closing_stops_the_decoding(shared: Router) -> None:
    stream = shared.stream("the", raw=True, logit_bias=ON)
    stream.close()
    stream.close()
    assert shared.chat("Hello", max_tokens=1).completion_tokens == 1


def test_an_error_ends_a_stream(router: Router) -> None:
    stream = router.stream("Hello", logit_bias=ON)
    router.unload("tiny")
    with pytest.raises(RequestError):
        stream.read()
    assert list(stream) == []
    with pytest.raises(RouterError):
        router.stream("Hello")


def test_a_dropped_stream_makes_way_for_the_next(shared: Router) -> None:
    for _ in range(3):
        for _piece in shared.stream("the", raw=True, logit_bias=ON):
            break
    first = shared.chat("Hello", max_tokens=1)
    assert first.completion_tokens == 1


class Slow:
    """A generation that ends when it is told to."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.go_on = threading.Event()

    def next(self) -> Event:
        self.waiting.set()
        assert self.go_on.wait(60)
        return Finished("stop", 0, Timings(0, 0, 0))

    def poll(self) -> Event | None:
        raise AssertionError

    def watch(self, bell: Bell, key: int) -> None:
        raise AssertionError(bell, key)

    def expires(self) -> float | None:
        raise AssertionError

    def cancel(self) -> None:
        raise AssertionError


def test_two_threads_do_not_read_one_stream() -> None:
    generation = Slow()
    stream = Stream(generation, "slow", 0)
    results: list[Completion] = []
    reader = threading.Thread(target=lambda: results.append(stream.read()))
    reader.start()
    assert generation.waiting.wait(60)
    with pytest.raises(RequestError) as caught:
        next(stream)
    assert caught.value.code == "request.already_read"
    generation.go_on.set()
    reader.join()
    assert [result.finish_reason for result in results] == ["stop"]
    assert list(stream) == []
