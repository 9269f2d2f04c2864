import math
from typing import Any

import pytest

from strongroom import OptionError, Sampling

NAN, INFINITY = math.nan, math.inf
HUGE = 10**400


def test_defaults() -> None:
    sampling = Sampling()
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (0.7, 40, 0.95, 0.05)
    assert (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) == (1, 0, 0)
    assert sampling.max_tokens is None
    assert sampling.stop == ()
    assert not sampling.logit_bias


def test_a_seed_is_drawn_and_in_range() -> None:
    seeds = {Sampling().seed for _ in range(100)}
    assert len(seeds) > 90
    assert all(0 <= seed <= 2**32 - 2 for seed in seeds)
    assert Sampling.of({"seed": None}).seed != Sampling.of({"seed": None}).seed
    assert Sampling.of({"seed": 7}).seed == 7


RANGES: list[tuple[str, list[Any], list[Any]]] = [
    ("temperature", [0, 0.0, 5, 5.0, 1e-9], [-0.001, 5.001, 1e9, HUGE, -HUGE, NAN, INFINITY, -INFINITY]),
    ("top_k", [0, 1, 2**31 - 1], [-1, 2**31, HUGE, -HUGE]),
    ("top_p", [1, 0.5, 1e-9], [0, 0.0, -0.1, 1.001, 1e300, NAN, INFINITY]),
    ("min_p", [0, 1, 0.5], [-0.001, 1.001, 1e300, NAN, INFINITY]),
    ("repeat_penalty", [2, 1, 0.01], [0, -1, 2.001, 1e38, NAN, INFINITY]),
    ("presence_penalty", [-2, 0, 2], [-2.001, 2.001, 1e38, NAN, INFINITY, -INFINITY]),
    ("frequency_penalty", [-2, 0, 2], [-2.001, 2.001, 1e38, NAN, INFINITY, -INFINITY]),
    ("seed", [0, 2**32 - 2], [-1, 2**32 - 1, HUGE]),
    ("max_tokens", [1, 2**32 - 1, None], [0, -1, 2**32, HUGE]),
]


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, fine, _ in RANGES for value in fine])
def test_the_edges_of_a_range_are_in_it(option: str, value: Any) -> None:
    assert getattr(Sampling(**{option: value}), option) == value


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, _, bad in RANGES for value in bad])
def test_out_of_range_names_the_option(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be ") as caught:
        Sampling(**{option: value})
    assert caught.value.code == "option.out_of_range"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("option", [name for name, _, _ in RANGES])
@pytest.mark.parametrize("value", [True, False, "1", b"1", [1], {}, 1j, object()])
def test_another_type_names_the_option(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be ") as caught:
        Sampling(**{option: value})
    assert caught.value.code == "option.wrong_type"


@pytest.mark.parametrize("option", ["top_k", "seed", "max_tokens"])
def test_a_float_is_no_count(option: str) -> None:
    with pytest.raises(OptionError, match=option) as caught:
        Sampling(**{option: 1.0})  # type: ignore[arg-type]
    assert caught.value.code == "option.wrong_type"


def test_stop_strings() -> None:
    assert Sampling(stop="\n").stop == ("\n",)
    assert Sampling(stop=["a", "ü" * 128]).stop == ("a", "ü" * 128)
    assert len(Sampling(stop=["a"] * 16).stop) == 16


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        ("", "option.out_of_range"),
        ([""], "option.out_of_range"),
        (["a"] * 17, "option.out_of_range"),
        ("a" * 257, "option.out_of_range"),
        ("ü" * 129, "option.out_of_range"),
        ("\udc80", "option.out_of_range"),
        (5, "option.wrong_type"),
        (None, "option.wrong_type"),
        (b"a", "option.wrong_type"),
        ({"a"}, "option.wrong_type"),
        (["a", 5], "option.wrong_type"),
    ],
)
def test_stop_strings_that_are_refused(stop: Any, code: str) -> None:
    with pytest.raises(OptionError, match=r"^stop must be ") as caught:
        Sampling(stop=stop)
    assert caught.value.code == code


def test_no_error_and_no_repr_shows_a_stop_string() -> None:
    with pytest.raises(OptionError) as caught:
        Sampling(stop="secret" * 100)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Sampling(stop="secret"))


def test_logit_bias() -> None:
    assert dict(Sampling(logit_bias={5: -100, 6: 100.0}).logit_bias) == {5: -100, 6: 100}
    assert len(Sampling(logit_bias=dict.fromkeys(range(1024), 1.0)).logit_bias) == 1024


@pytest.mark.parametrize(
    ("bias", "code"),
    [
        ({5: 100.1}, "option.out_of_range"),
        ({5: NAN}, "option.out_of_range"),
        ({5: -INFINITY}, "option.out_of_range"),
        ({-1: 1}, "option.out_of_range"),
        ({2**31: 1}, "option.out_of_range"),
        (dict.fromkeys(range(1025), 1.0), "option.out_of_range"),
        ({"5": 1}, "option.wrong_type"),
        ({True: 1}, "option.wrong_type"),
        ({5: True}, "option.wrong_type"),
        ({5: None}, "option.wrong_type"),
        ([(5, 1)], "option.wrong_type"),
    ],
)
def test_logit_bias_that_is_refused(bias: Any, code: str) -> None:
    with pytest.raises(OptionError, match="logit_bias") as caught:
        Sampling(logit_bias=bias)
    assert caught.value.code == code


def test_a_later_change_of_the_mapping_changes_nothing() -> None:
    given = {5: 1.0}
    sampling = Sampling(logit_bias=given)
    given[5] = 1e9
    assert sampling.logit_bias[5] == 1


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("temprature", "temperature"), ("max_token", "max_tokens"), ("topk", "top_k"), ("modle", "model")],
)
def test_a_misspelt_option_names_the_one_that_was_meant(misspelt: str, meant: str) -> None:
    with pytest.raises(OptionError, match=f"no option '{misspelt}': did you mean '{meant}'") as caught:
        Sampling.of({misspelt: 1})  # type: ignore[misc]
    assert caught.value.code == "option.unknown"


def test_a_misspelt_option_of_the_class_is_refused_too() -> None:
    with pytest.raises(OptionError, match="did you mean 'temperature'") as caught:
        Sampling(temperatur=1)  # type: ignore[call-arg]
    assert caught.value.code == "option.unknown"
