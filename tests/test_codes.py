"""Every stable code is raised by a test: by one of these, or by the test of its crate that is named here."""

from pathlib import Path

import pytest

from strongroom.errors import codes
from tests.codes import RAISED

ROOT = Path(__file__).parent.parent

RAISED_IN_RUST = {
    "fetch.encoding": "rust/fetch/tests/downloads.rs",
    "fetch.incomplete": "rust/fetch/tests/downloads.rs",
    "fetch.no_space": "rust/fetch/tests/processes.rs",
    "fetch.overlong": "rust/fetch/tests/downloads.rs",
    "fetch.pin": "rust/fetch/tests/hosts.rs",
    "fetch.protocol": "rust/fetch/tests/downloads.rs",
    "fetch.redirect": "rust/fetch/tests/hosts.rs",
    "fetch.resolve": "rust/fetch/tests/hosts.rs",
    "fetch.timeout": "rust/fetch/tests/deadlines.rs",
    "fetch.too_slow": "rust/fetch/tests/deadlines.rs",
    "gguf.header_length": "rust/gguf/tests/hostile.rs",
    "sandbox.landlock_absent": "rust/sandbox/src/machine.rs",
    "sandbox.rlimits_absent": "rust/sandbox/src/machine.rs",
    "sandbox.seccomp_absent": "rust/sandbox/src/machine.rs",
    "sandbox.swap_present": "rust/sandbox/src/machine.rs",
    "certificate.authority": "rust/verify/tests/manifest/certificates.rs",
    "certificate.critical_extension": "rust/verify/tests/manifest/certificates.rs",
    "certificate.key_usage": "rust/verify/tests/manifest/certificates.rs",
    "certificate.path_length": "rust/verify/tests/manifest/certificates.rs",
    "manifest.file_changed": "rust/verify/src/manifest/tree.rs",
    "manifest.file_special": "rust/verify/tests/manifest/trees.rs",
    "manifest.unreadable": "rust/verify/src/manifest/tree.rs",
}
"""Codes of headers too large to write here, of hosts that lie, and of machines other than this one."""

NEVER_RAISED = {"request.decode_failed"}
"""llama.cpp fails to decode only in states that the engine never brings it into."""


def test_the_crates_tests_name_their_codes() -> None:
    for code, path in RAISED_IN_RUST.items():
        source = (ROOT / path).read_text()
        tests = source if "/tests/" in path else source.partition("#[cfg(test)]")[2]
        assert f'"{code}"' in tests, code


def test_the_exceptions_are_codes() -> None:
    assert RAISED_IN_RUST.keys() | NEVER_RAISED <= set(codes())


@pytest.mark.last
def test_every_code_was_raised_by_a_test(request: pytest.FixtureRequest) -> None:
    config = request.config
    narrowed = config.option.keyword or config.option.markexpr or config.args_source.name == "ARGS"
    if narrowed or request.session.testsfailed:
        pytest.skip("not every test ran, or not every one passed")
    assert set(codes()) - RAISED - RAISED_IN_RUST.keys() - NEVER_RAISED == set()


@pytest.mark.last
def test_no_test_raised_a_code_that_is_not_listed() -> None:
    examples = {"gguf.example", "worker.example"}
    assert RAISED - examples <= set(codes())
