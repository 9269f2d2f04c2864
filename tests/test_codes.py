"""Every stable code is raised by a test: by one of these, or by one of the crate that it belongs to."""

from pathlib import Path

import pytest

from strongroom.errors import codes
from tests.codes import RAISED

ROOT = Path(__file__).parent.parent

RUST_ALONE = {
    "load.cancelled": "rust/host",
    "request.decode_failed": "rust/engine",
    "source.cancelled": "rust/memory",
    "sandbox.cores": "rust/sandbox",
    "sandbox.descriptor": "rust/sandbox",
    "sandbox.landlock_absent": "rust/sandbox",
    "sandbox.limit": "rust/sandbox",
    "sandbox.not_in_force": "rust/sandbox",
    "sandbox.orphaned": "rust/sandbox",
    "sandbox.refused": "rust/sandbox",
    "sandbox.rlimits_absent": "rust/sandbox",
    "sandbox.seccomp_absent": "rust/sandbox",
    "sandbox.swap_present": "rust/sandbox",
    "sandbox.threads": "rust/sandbox",
}
"""Codes that need a fault of the machine, or of a worker's own state, which Python can't bring about."""


def test_the_exceptions_are_codes_that_their_crates_know() -> None:
    assert set(RUST_ALONE) <= set(codes())
    for code, crate in RUST_ALONE.items():
        sources = "".join(path.read_text() for path in (ROOT / crate).rglob("*.rs"))
        reason = code.partition(".")[2].replace("_", " ").title().replace(" ", "")
        assert f'"{code}"' in sources or reason in sources, code


@pytest.mark.last
def test_every_code_was_raised_by_a_test(request: pytest.FixtureRequest) -> None:
    config = request.config
    narrowed = config.option.keyword or config.option.markexpr or config.args_source.name == "ARGS"
    if narrowed or request.session.testsfailed:
        pytest.skip("not every test ran, or not every one passed")
    assert set(codes()) - RAISED - set(RUST_ALONE) == set()


@pytest.mark.last
def test_no_test_raised_a_code_that_is_not_listed() -> None:
    examples = {"gguf.example", "worker.example"}
    assert RAISED - examples <= set(codes())
