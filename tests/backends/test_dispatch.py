"""Which worker serves, by what the processor has, by what is installed, and by the setting."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from strongroom import Limits, Router, Settings, SettingsError, WorkerError, _core
from strongroom.backends.dispatch import worker_for
from strongroom.backends.local import WORKERS
from strongroom.cli import doctor
from tests.cli.commands import strongroom
from tests.conftest import Model, settings

AVX512 = ["avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw", "avx512vnni"]
AVX2 = ["sse4.2", "popcnt", "avx", "avx2", "fma", "f16c", "bmi2"]

PROCESSORS = {
    "Ice Lake": [*AVX2, *AVX512, "avx512vbmi"],
    "Skylake-X": [*AVX2, *AVX512[:-1]],
    "Haswell": AVX2,
    "Sandy Bridge": ["sse4.2", "popcnt", "avx"],
}


def on(monkeypatch: pytest.MonkeyPatch, processor: str) -> None:
    """Pretend that this is another processor."""
    monkeypatch.setattr(
        "strongroom.backends.dispatch.processor", lambda: _core.Processor(PROCESSORS[processor])
    )


def wheel(folder: Path, *sets: str) -> Path:
    """Installed workers; every one is this installation's for AVX2."""
    for name in sets:
        shutil.copy2(WORKERS / "strongroom-worker-avx2", folder / f"strongroom-worker-{name}")
    return folder


def limits(word: str) -> Limits:
    return Limits(instruction_set=word)  # type: ignore[arg-type]


def asking_for(word: str) -> Settings:
    return replace(settings(), limits=limits(word))


@pytest.mark.parametrize(
    ("processor", "sets", "chosen"),
    [
        ("Ice Lake", ("avx2", "avx512"), "avx512"),
        ("Ice Lake", ("avx2",), "avx2"),
        ("Skylake-X", ("avx2", "avx512"), "avx2"),
        ("Haswell", ("avx2", "avx512"), "avx2"),
    ],
)
def test_a_model_is_served_by_the_fastest_worker_that_the_processor_runs(
    *,
    tiny: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processor: str,
    sets: tuple[str, ...],
    chosen: str,
) -> None:
    monkeypatch.setattr("strongroom.backends.local.WORKERS", wheel(tmp_path, *sets))
    on(monkeypatch, processor)
    with Router(settings()) as router:
        info = router.load("tiny", tiny.path, checksum=tiny.checksum)
        assert info.instruction_set == chosen
        assert served_by(info.pid) == tmp_path / f"strongroom-worker-{chosen}"
        assert router.complete("the", max_tokens=1).completion_tokens == 1


def served_by(pid: int) -> Path:
    """The executable of a process."""
    return Path(f"/proc/{pid}/exe").readlink()


def test_the_setting_overrides(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.backends.local.WORKERS", wheel(tmp_path, "avx2", "avx512"))
    on(monkeypatch, "Ice Lake")
    for word in ("avx2", "avx512"):
        with Router(asking_for(word)) as router:
            info = router.load("tiny", tiny.path, checksum=tiny.checksum)
            assert info.instruction_set == word
            assert served_by(info.pid) == tmp_path / f"strongroom-worker-{word}"


@pytest.mark.parametrize(
    ("processor", "sets", "word", "reason"),
    [
        ("Skylake-X", ("avx2", "avx512"), "avx512", "this processor, or its kernel, lacks avx512vnni"),
        ("Ice Lake", ("avx2",), "avx512", "this installation has workers for avx2 alone"),
        ("Ice Lake", (), "avx2", "this installation has no worker at all"),
    ],
)
def test_a_worker_that_cannot_be_had_is_refused_and_nothing_takes_its_place(
    *,
    tiny: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processor: str,
    sets: tuple[str, ...],
    word: str,
    reason: str,
) -> None:
    monkeypatch.setattr("strongroom.backends.local.WORKERS", wheel(tmp_path, *sets))
    on(monkeypatch, processor)
    with Router(asking_for(word)) as router, pytest.raises(SettingsError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "settings.unavailable"
    assert caught.value.message == f'instruction_set="{word}" can\'t be used here: {reason}'
    assert '"auto"' in caught.value.next_step


@pytest.mark.parametrize("word", ["auto", "avx2", "avx512"])
def test_a_processor_that_runs_no_worker_is_an_error(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("strongroom.backends.local.WORKERS", wheel(tmp_path, "avx2", "avx512"))
    on(monkeypatch, "Sandy Bridge")
    with Router(asking_for(word)) as router, pytest.raises(WorkerError) as caught:
        router.load("tiny", tiny.path, checksum=tiny.checksum)
    assert caught.value.code == "worker.unsupported_processor"
    assert caught.value.message.endswith("lacks avx2, fma, f16c, bmi2")
    assert "strongroom doctor" in caught.value.next_step


def test_this_processor_is_asked() -> None:
    features = _core.Processor.detect().features
    assert [*features] == [name for name in [*AVX2, *AVX512] if name in features]
    chosen = worker_for(Limits(), WORKERS)
    assert chosen.executable == WORKERS / f"strongroom-worker-{chosen.instruction_set}"
    assert chosen.instruction_set == chosen.carried[-1 if "avx512vnni" not in features else 0]


def test_an_unknown_word_does_not_reach_a_path() -> None:
    with pytest.raises(SettingsError) as caught:
        _core.choose_worker(WORKERS, instruction_set="../avx2")
    assert caught.value.code == "settings.invalid"


def test_doctor_says_which_worker_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_in(strongroom("doctor", "--json").stdout) == {
        "instruction_set": worker_for(Limits(), WORKERS).instruction_set,
        "installed": worker_for(Limits(), WORKERS).carried,
    }
    monkeypatch.setenv("STRONGROOM_LIMITS__INSTRUCTION_SET", "avx2")
    assert worker_in(strongroom("doctor", "--json").stdout)["instruction_set"] == "avx2"
    table = strongroom("doctor").stdout
    [row] = [line for line in table.splitlines() if line.strip(" │┃").startswith("worker ")]
    assert "avx2" in row


def worker_in(output: str) -> Any:
    return json.loads(output)["worker"]


def test_doctor_says_that_no_worker_can_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("strongroom.cli.doctor.WORKERS", wheel(tmp_path, "avx2", "avx512"))
    on(monkeypatch, "Sandy Bridge")
    for as_json in (False, True):
        with pytest.raises(typer.Exit) as caught:
            doctor.doctor(json=as_json)
        assert caught.value.exit_code == 1
        shown = capsys.readouterr()
        assert "[worker.unsupported_processor]" in shown.err
        assert "landlock" in shown.out
    assert worker_in(shown.out) is None


def test_the_environment_and_the_file_choose_too(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", tiny.path, "Hi", "--checksum", tiny.checksum, "--cpu-limit", "1", "--json")
    monkeypatch.setenv("STRONGROOM_LIMITS__INSTRUCTION_SET", "avx2")
    run = strongroom(*command, "--max-tokens", "1")
    assert json.loads(run.stdout)["model"]["instruction_set"] == "avx2"
    monkeypatch.setenv("STRONGROOM_LIMITS__INSTRUCTION_SET", "sse2")
    assert "[settings.invalid]" in strongroom(*command).stderr
    monkeypatch.delenv("STRONGROOM_LIMITS__INSTRUCTION_SET")
    path = tmp_path / "strongroom.toml"
    path.write_text("[limits]\ngpu_layers = 99\n")
    path.chmod(0o600)
    refused = strongroom(*command, "--config", path)
    assert refused.returncode == 1
    assert "[settings.unavailable]" in refused.stderr
    assert "gpu_layers=99" in refused.stderr
