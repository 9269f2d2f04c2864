"""A Rust panic never ends the host process: it is raised."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from strongroom import Router
from tests.conftest import Model

ROOT = Path(__file__).parent.parent
PLACES = ["here", "run", "interruptible", "wait", "abandonable"]


def built() -> Path:
    """Build the module with the feature that panics on demand."""
    subprocess.run(
        ["cargo", "build", "--locked", "--quiet", "-p", "strongroom-python", "--features", "panic-probe"],
        cwd=ROOT,
        env={**os.environ, "STRONGROOM_WORKER": "skip"},
        check=True,
    )
    return ROOT / "target" / "debug" / "lib_core.so"


@pytest.fixture(scope="module")
def probe() -> ModuleType:
    path = str(built())
    loader = importlib.machinery.ExtensionFileLoader("_core", path)
    spec = importlib.util.spec_from_file_location("_core", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("place", PLACES)
def test_a_panic_is_raised(probe: ModuleType, tiny: Model, place: str) -> None:
    with pytest.raises(BaseException, match="on demand") as caught:
        probe.panic(place)
    assert type(caught.value).__name__ == "PanicException"
    with Router() as router:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert router.complete("the", max_tokens=1).completion_tokens == 1


def test_a_panic_at_the_end_of_an_object_ends_no_process() -> None:
    program = (
        "import importlib.machinery, importlib.util, sys\n"
        "loader = importlib.machinery.ExtensionFileLoader('_core', sys.argv[1])\n"
        "spec = importlib.util.spec_from_file_location('_core', sys.argv[1], loader=loader)\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "loader.exec_module(module)\n"
        "module.Panicking()\n"
        "print('alive')\n"
        "kept = module.Panicking()\n"  # dropped when the interpreter ends
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(built())], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "alive\n"), run.stderr
    assert "on demand" in run.stderr
