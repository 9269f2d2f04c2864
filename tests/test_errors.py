import copy
import pickle

import pytest

from strongroom import errors
from strongroom.errors import CLASSES, PYTHON_CODES, StrongroomError, class_of, codes, from_core


def tree(root: type[StrongroomError]) -> list[type[StrongroomError]]:
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


def test_every_class_has_a_prefix_of_its_own() -> None:
    assert set(CLASSES.values()) == set(tree(StrongroomError)) - {StrongroomError}
    assert len(set(CLASSES.values())) == len(CLASSES)


def test_every_code_has_a_class_and_the_form_of_a_code() -> None:
    for code in codes():
        prefix, _, reason = code.partition(".")
        assert prefix in CLASSES, code
        assert reason.replace("_", "").isalnum(), code
        assert code == code.lower(), code


def test_codes_are_those_of_both_sides() -> None:
    assert set(PYTHON_CODES) < set(codes())
    assert "checksum.mismatch" in codes()
    assert codes() == sorted(set(codes()))


def test_every_code_of_python_says_what_to_do_next() -> None:
    for code, next_step in PYTHON_CODES.items():
        assert len(next_step) > 10, code


def test_an_error_says_what_failed_and_what_to_do() -> None:
    error = from_core("gguf.example", "tensor 7 ends outside the file", "get the file again")
    assert type(error) is errors.PreflightError
    assert error.code == "gguf.example"
    assert error.message == "tensor 7 ends outside the file"
    assert error.next_step == "get the file again"
    assert str(error) == "tensor 7 ends outside the file [gguf.example]; next: get the file again"
    assert repr(error) == "PreflightError('gguf.example', 'tensor 7 ends outside the file')"


def test_a_prefix_that_is_not_known_is_still_one_of_our_errors() -> None:
    assert class_of("example.unknown") is StrongroomError


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_travels_between_processes(again: object) -> None:
    error = from_core("worker.example", "the worker left", "try again")
    assert callable(again)
    arrived = again(error)
    assert type(arrived) is errors.WorkerError
    assert str(arrived) == str(error)
    assert arrived.code == error.code


def test_wrong_values_can_be_caught_as_value_errors() -> None:
    for name in ("settings", "option", "prompt"):
        assert issubclass(CLASSES[name], ValueError)
