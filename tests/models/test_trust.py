"""Bad files and bad checksums: each has its own error, and the host is alive afterwards."""

import errno
import hashlib
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import (
    ChecksumError,
    OptionError,
    PreflightError,
    Sandboxing,
    Security,
    SourceError,
    StrongroomError,
    TrustError,
    _core,
)
from strongroom.models.trust import admit
from tests.conftest import Model
from tests.files import of_another_architecture

ALWAYS = Security()
DANGER = Security(verification="danger-none")
ZEROS = "sha256:" + "0" * 64


def load(
    path: Path | str,
    checksum: Any = None,
    *,
    security: Security = ALWAYS,
    allow_architectures: Any = (),
    progress: Callable[[int, int], None] | None = None,
) -> _core.Image:
    return admit(
        str(path),
        name="model",
        checksum=checksum,
        security=security,
        allow_architectures=allow_architectures,
        progress=progress,
    ).image


def code_of(path: Path | str, checksum: str | None = ZEROS, **options: Any) -> str:
    with pytest.raises(StrongroomError) as caught:
        load(path, checksum, **options)
    return caught.value.code


def test_a_checksum_that_matches(tiny: Model) -> None:
    image = load(tiny.path, tiny.checksum)
    assert image.verified
    assert image.digest == tiny.checksum
    assert image.size == tiny.path.stat().st_size
    assert image.header.architecture == "llama"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_every_algorithm_and_either_case(tiny: Model, algorithm: str) -> None:
    digest = hashlib.new(algorithm, tiny.path.read_bytes()).hexdigest()
    assert load(tiny.path, f"{algorithm}:{digest}").digest == f"{algorithm}:{digest}"
    assert load(tiny.path, f"{algorithm}:{digest.upper()}").verified


def test_a_wrong_checksum_names_both(tiny: Model) -> None:
    with pytest.raises(ChecksumError) as caught:
        load(tiny.path, ZEROS)
    assert caught.value.code == "checksum.mismatch"
    assert ZEROS in str(caught.value)
    assert tiny.checksum in str(caught.value)


@pytest.mark.parametrize("position", [7, 38, 70])
def test_one_other_digit_is_a_wrong_checksum(tiny: Model, position: int) -> None:
    other = "0" if tiny.checksum[position] != "0" else "1"
    checksum = tiny.checksum[:position] + other + tiny.checksum[position + 1 :]
    assert code_of(tiny.path, checksum) == "checksum.mismatch"


@pytest.mark.parametrize(
    ("checksum", "code"),
    [
        ("", "checksum.malformed"),
        ("0" * 64, "checksum.malformed"),
        ("sha256:", "checksum.malformed"),
        ("sha256:00", "checksum.malformed"),
        ("sha256:" + "0" * 65, "checksum.malformed"),
        ("sha256:" + "g" * 64, "checksum.malformed"),
        ("sha256: " + "0" * 64, "checksum.malformed"),
        ("sha256:" + "0" * 63 + "\udc80", "checksum.malformed"),
        ("sha512:" + "0" * 64, "checksum.malformed"),
        ("md5:" + "0" * 32, "checksum.unknown_algorithm"),
        ("sha1:" + "0" * 40, "checksum.unknown_algorithm"),
        ("blake3:" + "0" * 64, "checksum.unknown_algorithm"),
    ],
)
def test_a_checksum_that_is_none_is_refused_before_the_file_is_read(checksum: str, code: str) -> None:
    assert code_of("/nonexistent/model.gguf", checksum) == code


@pytest.mark.parametrize("checksum", [5, b"sha256:", ["sha256:"], True])
def test_a_checksum_is_text(tiny: Model, checksum: Any) -> None:
    with pytest.raises(OptionError, match="checksum must be a string") as caught:
        load(tiny.path, checksum)
    assert caught.value.code == "option.wrong_type"


def test_without_proof_the_refusal_names_the_digest_and_the_ways_to_go_on(tiny: Model) -> None:
    with pytest.raises(TrustError) as caught:
        load(tiny.path)
    assert caught.value.code == "trust.no_proof"
    assert tiny.checksum in caught.value.message
    assert "checksum=" in caught.value.next_step
    assert "danger-none" in caught.value.next_step


def test_the_named_danger_is_reported_at_every_load(tiny: Model, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        caplog.clear()
        image = load(tiny.path, security=DANGER)
        assert not image.verified
        assert image.digest == tiny.checksum
        [record] = caplog.records
        assert (record.name, record.levelno) == ("strongroom.models", logging.WARNING)
        assert tiny.checksum in record.message
        assert "danger-none" in record.message


def test_the_named_danger_does_not_excuse_a_wrong_checksum(
    tiny: Model, caplog: pytest.LogCaptureFixture
) -> None:
    assert code_of(tiny.path, ZEROS, security=DANGER) == "checksum.mismatch"
    assert load(tiny.path, tiny.checksum, security=DANGER).verified
    assert not caplog.records


def test_a_symlink_is_followed_and_the_digest_decides(tiny: Model, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(tiny.path)
    assert load(link, tiny.checksum).verified
    assert code_of(link, ZEROS) == "checksum.mismatch"


def test_a_missing_file(tmp_path: Path) -> None:
    assert code_of(tmp_path / "model.gguf") == "source.missing"
    link = tmp_path / "dangling.gguf"
    link.symlink_to(tmp_path / "model.gguf")
    assert code_of(link) == "source.missing"


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    assert code_of(tmp_path / "model.gguf") == "source.empty"


def test_a_directory(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "source.directory"


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")
    assert code_of(tmp_path / "model.gguf") == "source.special"


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_a_device(device: str) -> None:
    assert stat.S_ISCHR(Path(device).stat().st_mode)
    assert code_of(device) == "source.special"


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").symlink_to(tmp_path / "b.gguf")
    (tmp_path / "b.gguf").symlink_to(tmp_path / "a.gguf")
    with pytest.raises(SourceError, match=os.strerror(errno.ELOOP)) as caught:
        load(tmp_path / "a.gguf", ZEROS)
    assert caught.value.code == "source.io"


def test_a_file_that_no_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.truncate(8 * 2**40)  # a hole: takes no room on the disk
    assert code_of(path) == "source.over_limit"
    unlimited = Security(sandboxing=Sandboxing(memory_limit="9TB"))
    assert code_of(path, security=unlimited) == "source.too_large"


UNREADABLE = """
import os, sys
from strongroom import Router, SourceError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    Router().load("model", sys.argv[1], checksum="sha256:" + "0" * 64)
except SourceError as error:
    print(error.code)
"""


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    run = subprocess.run(
        [sys.executable, "-c", UNREADABLE, path], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "source.unreadable", run.stderr


@pytest.mark.parametrize("content", [b"G", b"GGUF", b"not a model", b"GGUF" * 10_000, b"\0" * 4096])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(PreflightError) as caught:
        load(path, f"sha256:{hashlib.sha256(content).hexdigest()}")
    assert caught.value.code.startswith("gguf.")


def test_the_digest_is_compared_before_the_header_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model")
    assert code_of(path, ZEROS) == "checksum.mismatch"


def test_a_split_model_is_refused(models: Path) -> None:
    split = Model.of(models / "split.gguf")
    assert code_of(split.path, split.checksum) == "gguf.split"


def swap(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"x" * 4096)


@pytest.fixture
def large(tiny: Model, tmp_path: Path) -> Model:
    """The tiny model with 32 MiB behind it: enough to be caught while it is read."""
    path = tmp_path / "large.gguf"
    path.write_bytes(tiny.path.read_bytes() + bytes(32 << 20))
    return Model.of(path)


@pytest.mark.parametrize("change", [shorten, lengthen, rewrite])
def test_a_file_that_changes_while_it_is_read(large: Model, change: Callable[[Path], None]) -> None:
    changed: list[int] = []

    def progress(done: int, total: int) -> None:
        if not changed and done < total:
            changed.append(done)
            change(large.path)

    with pytest.raises(StrongroomError) as caught:
        load(large.path, large.checksum, progress=progress)
    assert changed, "the file was read before it could be changed"
    assert caught.value.code in {"source.changed", "checksum.mismatch"}


def test_a_truncated_file_is_called_changed(large: Model) -> None:
    assert (
        code_of(
            large.path,
            large.checksum,
            progress=lambda done, total: shorten(large.path) if done < total else None,
        )
        == "source.changed"
    )


def test_a_file_that_is_replaced_while_it_is_read_is_the_one_that_was_opened(large: Model) -> None:
    swapped: list[int] = []

    def progress(done: int, _total: int) -> None:
        if not swapped:
            swapped.append(done)
            swap(large.path)

    image = load(large.path, large.checksum, progress=progress)
    assert swapped
    assert image.verified
    assert Model.of(large.path).checksum != large.checksum


def test_progress_counts_up_to_the_size(large: Model) -> None:
    seen: list[tuple[int, int]] = []
    load(large.path, large.checksum, progress=lambda done, total: seen.append((done, total)))
    size = large.path.stat().st_size
    assert {total for _, total in seen} == {size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (size, size)


def test_what_progress_raises_ends_the_loading(large: Model) -> None:
    class EnoughError(Exception):
        pass

    def progress(_done: int, _total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        load(large.path, large.checksum, progress=progress)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("llama", "option.wrong_type"),
        (5, "option.wrong_type"),
        ([5], "option.wrong_type"),
        (["\udc80"], "option.out_of_range"),
        (["a\0b"], "option.out_of_range"),
    ],
)
def test_architectures_are_names(tiny: Model, names: Any, code: str) -> None:
    with pytest.raises(OptionError, match="allow_architectures") as caught:
        load(tiny.path, tiny.checksum, allow_architectures=names)
    assert caught.value.code == code


def test_an_architecture_that_is_not_checked_in_depth_has_to_be_named(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(of_another_architecture(tiny.path.read_bytes()))
    other = Model.of(path)
    assert code_of(other.path, other.checksum) == "gguf.architecture"
    assert load(other.path, other.checksum, allow_architectures=["lllla"]).header.architecture == "lllla"


@pytest.mark.parametrize("name", ["ünï.gguf", "a b\n.gguf", "\udcff.gguf", "'\"\x1b[31m.gguf"])
def test_names_of_files_may_be_anything(tiny: Model, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(tiny.path.read_bytes())
    assert load(path, tiny.checksum).verified
    with pytest.raises(SourceError) as caught:
        load(tmp_path / f"missing-{name}", ZEROS)
    assert caught.value.code == "source.missing"
    assert str(caught.value).isprintable()
