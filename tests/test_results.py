from strongroom import Completion, Piece, Timings


def test_no_repr_shows_a_word_of_an_answer() -> None:
    completion = Completion(
        text="secret",
        model="tiny",
        prompt_tokens=3,
        cached_tokens=1,
        completion_tokens=5,
        finish_reason="stop",
        seed=7,
        timings=Timings(0, 0.1, 0.2),
    )
    assert "secret" not in repr(completion)
    assert "completion_tokens=5" in repr(completion)
    assert repr(Piece("secret", 1)) == "Piece(tokens=1)"
