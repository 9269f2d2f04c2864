"""Which stable codes were raised while the tests ran, in all processes of pytest-xdist."""

from collections.abc import Callable
from typing import Any

import pytest

from strongroom.errors import StrongroomError, codes

RAISED: set[str] = set()

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
    "arena.forked": "rust/memory/tests/faults.rs",
    "memory.not_locked": "rust/memory/tests/faults.rs",
    "memory.not_secret": "rust/memory/tests/faults.rs",
    "memory.refused": "rust/memory/tests/faults.rs",
    "sandbox.landlock_absent": "rust/sandbox/src/machine.rs",
    "sandbox.rlimits_absent": "rust/sandbox/src/machine.rs",
    "sandbox.seccomp_absent": "rust/sandbox/src/machine.rs",
    "sandbox.swap_present": "rust/sandbox/src/machine.rs",
    "seal.changed": "rust/seal/tests/changed.rs",
    "seal.io": "rust/seal/tests/changed.rs",
    "seal.length": "rust/seal/tests/round_trip.rs",
    "seal.no_memory": "rust/seal/src/body/frame.rs",
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

EXAMPLES = {"gguf.example", "worker.example"}
"""Codes that the tests of the exceptions make up."""


def record(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of every error so that it leaves its code here."""

    def __init__(self: StrongroomError, code: str, *rest: Any) -> None:  # noqa: N807
        RAISED.add(code)
        original(self, code, *rest)

    return __init__


def watch() -> None:
    """Begin to record."""
    StrongroomError.__init__ = record(StrongroomError.__init__)  # type: ignore[method-assign]


class Ledger:
    """Fails a run that raised a code which is not listed, and one of all tests that left a code out."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        narrowed = (
            option.keyword or option.markexpr or option.collectonly or config.args_source.name == "ARGS"
        )
        self.whole = not narrowed
        self.faults: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of pytest-xdist raised. One that crashed has failed the run itself."""
        RAISED.update(getattr(node, "workeroutput", {}).get("codes", ()))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        sent = getattr(session.config, "workeroutput", None)
        if sent is not None:  # the process that started this one judges
            sent["codes"] = sorted(RAISED)
            return
        listed = set(codes())
        unlisted = RAISED - listed - EXAMPLES
        unraised = listed - RAISED - RAISED_IN_RUST.keys() - NEVER_RAISED
        self.faults = [f"{code} is raised and not listed" for code in sorted(unlisted)]
        if self.whole and session.exitstatus == pytest.ExitCode.OK:
            self.faults += [f"{code} is raised by no test" for code in sorted(unraised)]
        if self.faults:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.faults:
            terminalreporter.section("stable codes", red=True)
            for fault in self.faults:
                terminalreporter.line(f"FAILED {fault}", red=True)
