"""Every stable code is raised by a test: by one in Python, or by the one of its crate that is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.errors import codes
from tests.codes import NEVER_RAISED, RAISED_IN_RUST
from tests.conftest import ROOT

CONFTEST = """
import pytest
from tests.codes import Ledger, watch

watch()

def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Ledger(config))
"""


def test_the_crates_tests_name_their_codes() -> None:
    for code, path in RAISED_IN_RUST.items():
        source = (ROOT / path).read_text()
        tests = source if "/tests/" in path else source.partition("#[cfg(test)]")[2]
        assert f'"{code}"' in tests, code


def test_the_exceptions_are_codes() -> None:
    assert RAISED_IN_RUST.keys() | NEVER_RAISED <= set(codes())


def run_of_two(folder: Path, raised: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run two tests that raise half of the codes each."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    for number in (0, 1):
        (folder / f"test_{number}.py").write_text(
            "from strongroom import StrongroomError\n\n"
            f"def test_{number}() -> None:\n"
            f"    for code in {raised[number::2]}:\n"
            "        StrongroomError(code, 'on purpose', 'go on')\n"
        )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", *options],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


ELSEWHERE = sorted(RAISED_IN_RUST.keys() | NEVER_RAISED)
HERE = sorted(set(codes()) - set(ELSEWHERE))


@pytest.mark.parametrize(
    ("raised", "options", "faults"),
    [
        (HERE, ["-n", "2"], []),
        (HERE[1:], ["-n", "2"], [f"{HERE[0]} is raised by no test"]),
        (HERE[:-1], [], [f"{HERE[-1]} is raised by no test"]),
        (HERE[:-1], ["-k", "test"], []),
        ([*HERE, "source.invented"], ["-n", "2"], ["source.invented is raised and not listed"]),
    ],
)
def test_a_run_of_all_tests_raises_every_code(
    raised: list[str], options: list[str], faults: list[str], tmp_path: Path
) -> None:
    done = run_of_two(tmp_path, raised, *options)
    assert "2 passed" in done.stdout, done.stdout
    told = [line.removeprefix("FAILED ") for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert told == faults
    assert done.returncode == bool(faults)
