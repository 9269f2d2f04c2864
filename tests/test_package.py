import ast
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import strongroom
from strongroom import _core
from tests.wheel.contents import INTERPRETER, program_headers


def documented() -> set[str]:
    assert strongroom.__doc__ is not None
    return set(re.findall(r"^- (\w+): \S", strongroom.__doc__, re.MULTILINE))


def test_what_is_exported_is_what_is_documented() -> None:
    assert documented() == set(strongroom.__all__)


def test_every_exported_name_is_there_and_names_no_module_of_the_core_by_accident() -> None:
    for name in strongroom.__all__:
        assert getattr(strongroom, name) is not None
    assert sorted(strongroom.__all__) == strongroom.__all__


def test_what_type_checkers_see_is_what_is_imported() -> None:
    [checked] = [
        node
        for node in ast.parse(Path(strongroom.__file__).read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    ]
    seen = {
        name.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == strongroom._WHERE
    assert sorted(seen) == strongroom.__all__


def test_a_name_that_is_not_exported_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Ruoter'"):
        strongroom.Ruoter  # type: ignore[attr-defined]  # noqa: B018
    assert {*strongroom.__all__, "__version__"} <= set(dir(strongroom))


def test_every_public_class_has_documentation() -> None:
    for name in strongroom.__all__:
        value = getattr(strongroom, name)
        if isinstance(value, type) and not issubclass(value, dict):
            assert value.__doc__, name


def test_the_version_is_the_wheels() -> None:
    assert strongroom.__version__ == version("strongroom")


def test_the_types_are_shipped() -> None:
    package = Path(strongroom.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()


def test_no_cpp_is_linked_into_the_module() -> None:
    assert _core.__file__ is not None
    module = Path(_core.__file__).read_bytes()
    assert b"llama_model_load" not in module
    assert b"ggml_backend" not in module
    assert b"libstdc++" not in module


def test_importing_reads_no_settings_and_starts_nothing() -> None:
    script = "import strongroom, os; print(len(os.listdir('/proc/self/task')))"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1"]


def test_the_worker_is_a_static_executable_without_python() -> None:
    [*workers] = Path(strongroom.__file__).parent.glob("strongroom-worker-*")
    assert workers
    for worker in workers:
        assert os.access(worker, os.X_OK)
        content = worker.read_bytes()
        assert content[:4] == b"\x7fELF"
        assert INTERPRETER not in program_headers(content), "it would load libraries when it starts"
        assert b"llama_model_load" in content
        assert b"Py_Initialize" not in content
