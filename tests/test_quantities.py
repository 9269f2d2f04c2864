import os

import pytest

from strongroom import SettingsError
from strongroom.quantities import bytes_of, cores_of, seconds_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("1KB", 10**3),
        ("1KiB", 2**10),
        ("512MB", 512 * 10**6),
        ("512 MiB", 512 * 2**20),
        ("2GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("1.5GB", 1_500_000_000),
        ("0.5GiB", 2**29),
        ("1TB", 10**12),
        ("1TiB", 2**40),
        (123_456_789, 123_456_789),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert bytes_of("memory_limit", text) == size


@pytest.mark.parametrize(
    "value",
    [
        *("", "2", "2G", "2gb", "GB", "-2GB", "2GB ", " 2GB", "2,5GB", "1e9B", "2XB", "0GB", "0.0000001B"),
        *("99999999999TB", "50%", "٢GB", "2GB\n", 0, -1, 2**63, 10**400, True, 1.5, None, b"2GB", [2]),
    ],
)
def test_what_is_no_size_names_the_option(value: object) -> None:
    with pytest.raises(SettingsError, match="memory_limit must be a size") as caught:
        bytes_of("memory_limit", value)  # type: ignore[arg-type]
    assert caught.value.code == "settings.invalid"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("500ms", 0.5),
        ("1ms", 0.001),
        ("2m", 120),
        ("1.5m", 90),
        ("24h", 86400),
        (7, 7),
        (0.25, 0.25),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert seconds_of("timeout", text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        *("", "30", "s", "-1s", "0s", "25h", "1d", "1e3s", "30s\n", 0, -1, 86_401, 10**400, True, None),
        *(float("nan"), float("inf"), float("-inf"), 0.0001, b"30s"),
    ],
)
def test_what_is_no_duration_names_the_option(value: object) -> None:
    with pytest.raises(SettingsError, match="timeout must be a duration") as caught:
        seconds_of("timeout", value)  # type: ignore[arg-type]
    assert caught.value.code == "settings.invalid"


@pytest.mark.parametrize(
    ("value", "allowed", "cores"),
    [
        (None, 5, 5),
        (2, 5, 2),
        ("2 cores", 5, 2),
        ("1 core", 5, 1),
        ("100%", 5, 5),
        ("80%", 5, 4),
        ("79.9%", 5, 3),
        ("80%", 2, 1),
        ("1%", 5, 1),
        ("0.5%", 5, 1),
    ],
)
def test_cores_round_down_to_whole_ones_but_not_below_one(
    value: str | int | None, allowed: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(allowed)))
    assert cores_of("cpu_limit", value) == cores


@pytest.mark.parametrize(
    "value", ["", "two", "-1 cores", "0 cores", "0%", "101%", 0, -2, True, 1.5, b"2", "2 cores "]
)
def test_what_is_no_number_of_cores_names_the_option(value: object) -> None:
    with pytest.raises(SettingsError, match="cpu_limit must be a number of cores") as caught:
        cores_of("cpu_limit", value)  # type: ignore[arg-type]
    assert caught.value.code == "settings.invalid"


def test_more_cores_than_there_are_is_refused() -> None:
    with pytest.raises(SettingsError, match="cpu_limit asks for 100000, but this process may use") as caught:
        cores_of("cpu_limit", 100_000)
    assert caught.value.code == "settings.machine"


def test_the_error_shows_no_endless_value() -> None:
    with pytest.raises(SettingsError) as caught:
        bytes_of("memory_limit", "9" * 100_000)
    assert len(str(caught.value)) < 400
