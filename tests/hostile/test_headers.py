"""Headers with one fault each, truncated ones, and flipped bits: refused, with the host alive."""

import random
from pathlib import Path

import pytest

from strongroom import PreflightError, SourceError, StrongroomError, _core, inspect
from tests.conftest import Model
from tests.files import header_end


def refusal(path: Path) -> StrongroomError | None:
    """The error that loading a file ends with, whatever its digest is."""
    try:
        _core.Image.load(str(path), checksum=None, danger_unverified=True)
    except StrongroomError as error:
        return error
    return None


def test_each_hand_made_fault_has_its_own_refusal(hostile: dict[Path, str]) -> None:
    assert len(hostile) >= 98
    wrong = {}
    for path, code in hostile.items():
        error = refusal(path)
        found = None if error is None else error.code
        if found != code:
            wrong[path.name] = (code, found)
        else:
            assert isinstance(error, PreflightError | SourceError), path.name
            assert error.next_step, path.name
            assert str(error).isprintable(), path.name
    assert wrong == {}


def test_inspecting_and_loading_refuse_alike(hostile: dict[Path, str]) -> None:
    for path, code in hostile.items():
        if code == "source.empty":
            continue
        seen = inspect(path)
        assert seen.refusal is not None, path.name
        assert seen.refusal[0] == code, path.name


def test_a_file_that_ends_anywhere_in_its_header(tiny: Model, tmp_path: Path) -> None:
    data = tiny.path.read_bytes()
    path = tmp_path / "model.gguf"
    end = header_end(data)
    boundaries = sorted({*range(1, 200), *range(200, end, 97), end, len(data) - 1})
    for length in boundaries:
        path.write_bytes(data[:length])
        error = refusal(path)
        assert isinstance(error, PreflightError), length


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_refused_or_harmless_but_never_fatal(tiny: Model, tmp_path: Path, seed: int) -> None:
    data = tiny.path.read_bytes()
    end = header_end(data)
    path = tmp_path / "model.gguf"
    chance = random.Random(seed)  # noqa: S311 - the same flips in every run
    refused = 0
    for _ in range(100):
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            flipped[chance.randrange(end)] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        error = refusal(path)
        assert error is None or isinstance(error, PreflightError)
        refused += error is not None
    assert refused > 20
