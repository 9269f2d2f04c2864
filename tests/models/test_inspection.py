from pathlib import Path

import pytest

from strongroom import SourceError, inspect
from tests.conftest import Model
from tests.files import of_another_architecture


def test_a_sound_model(tiny: Model) -> None:
    seen = inspect(tiny.path)
    assert seen.digest == tiny.checksum
    assert seen.size == tiny.path.stat().st_size
    assert seen.refusal is None
    header = seen.header
    assert header is not None
    assert header.architecture == "llama"
    assert header.context_length == 2048
    assert header.chat_template is not None
    assert header.tokenizer.vocabulary_size > 256
    roles = {token.role for token in header.tokenizer.special_tokens}
    assert {"bos", "eos"} <= roles
    assert header.findings == []


def test_a_refused_model_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x07\0\0\0" + bytes(100))
    seen = inspect(path)
    assert seen.header is None
    assert seen.refusal is not None
    assert seen.refusal[0] == "gguf.version"
    assert seen.digest == Model.of(path).checksum


def test_a_file_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        inspect(tmp_path / "model.gguf")
    assert caught.value.code == "source.missing"


def test_an_architecture_may_be_allowed(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(of_another_architecture(tiny.path.read_bytes()))
    refused = inspect(path)
    assert refused.refusal is not None
    assert refused.refusal[0] == "gguf.architecture"
    allowed = inspect(path, allow_architectures=["lllla"])
    assert allowed.header is not None
    assert allowed.header.architecture == "lllla"


def test_the_loaded_image_and_the_inspection_agree_on_a_real_model(smol: Model) -> None:
    seen: list[int] = []
    inspection = inspect(smol.path, progress=lambda done, _total: seen.append(done))
    assert inspection.digest == smol.checksum
    assert seen[-1] == inspection.size
    assert inspection.header is not None
    assert inspection.header.parameters > 100_000_000
