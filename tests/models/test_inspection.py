import shutil
import subprocess
from pathlib import Path

import pytest

from strongroom import Router, SourceError, inspect
from tests.conftest import Model, settings
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


@pytest.fixture
def parts(specimen: Path, tmp_path: Path) -> list[Path]:
    subprocess.run([specimen, "parts", tmp_path / "tiny"], check=True)
    return sorted(tmp_path.glob("tiny-*.gguf"))


def test_parts_are_seen_together(parts: list[Path], tiny: Model) -> None:
    done: list[tuple[int, int]] = []
    seen = inspect(parts[0], progress=lambda *step: done.append(step))
    whole = inspect(tiny.path)
    assert seen.refusal is None
    assert seen.header is not None
    assert whole.header is not None
    # As the file that was split, but for nothing.
    for name in ("architecture", "parameters", "tensor_count", "metadata_count", "chat_template"):
        assert getattr(seen.header, name) == getattr(whole.header, name), name
    assert seen.part_digests == [Model.of(path).checksum for path in parts]
    assert whole.part_digests == []
    size = sum(path.stat().st_size for path in parts)
    assert seen.size == size
    assert done[-1] == (size, size)
    assert [step for step, _ in done] == sorted(step for step, _ in done)
    with Router(settings()) as router:
        info = router.load("tiny", parts[0], checksum=seen.part_digests)
        assert info.digest == seen.digest


def test_parts_that_make_no_model(parts: list[Path]) -> None:
    held = parts[1].read_bytes()
    shutil.copy(parts[2], parts[1])
    seen = inspect(parts[0])
    assert seen.header is None
    assert seen.refusal is not None
    assert seen.refusal[0] == "gguf.split_order"
    # The digests say which part is the wrong one.
    assert seen.part_digests[1] == seen.part_digests[2]
    parts[1].write_bytes(held[:100])
    seen = inspect(parts[0])
    assert seen.refusal is not None
    assert parts[1].name in seen.refusal[1]
    parts[1].write_bytes(held)
    assert inspect(parts[0]).header is not None
    parts[2].unlink()
    with pytest.raises(SourceError) as caught:
        inspect(parts[0])
    assert caught.value.code == "source.missing"
    with pytest.raises(SourceError) as caught:
        inspect(parts[1])
    assert caught.value.code == "source.parts"
