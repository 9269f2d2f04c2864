"""The record of models: whole after a kill at any point, and on a full disk as it was."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom import TrustError, keeping
from strongroom.trust import lock
from strongroom.trust.evidence import Signature
from strongroom.trust.lock import Record, accept, compare, hold, read

D1 = "sha256:" + "1" * 64
D2 = "sha256:" + "2" * 64


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path.resolve() / "strongroom.lock")


def refused(path: str, name: str = "smol", record: Record | None = None) -> TrustError:
    with pytest.raises(TrustError) as caught:
        hold(path, name, Record(D1) if record is None else record)
    return caught.value


def test_it_is_readable_and_ours_alone(path: str) -> None:
    hold(path, "smol", Record(D1, "someone", "1.0"))
    assert json.loads(Path(path).read_text()) == {
        "format": 1,
        "models": {"smol": {"digest": D1, "signer": "someone", "version": "1.0"}},
    }
    assert Path(path).read_text().startswith('{\n  "format": 1,\n  "models": {\n    "smol": {\n')
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert read(path) == {"smol": Record(D1, "someone", "1.0")}


def test_a_directory_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "state/strongroom/strongroom.lock"
    assert read(str(path)) == {}
    hold(str(path), "smol", Record(D1))
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        (Record(D1), Record(D1), None),
        (Record(D1), Record(D2), "trust.changed"),
        (Record(D1, "a"), Record(D1, "b"), "trust.changed"),
        (Record(D1, "a"), Record(D2, "a"), "trust.changed"),
        (Record(D1, "a"), Record(D1), None),
        (Record(D1), Record(D1, "a"), None),
        (Record(D1, None, "1.0"), Record(D1, None, "1.0"), None),
        (Record(D1, None, "1.0"), Record(D1), None),
        (Record(D1), Record(D1, None, "1.0"), None),
        (Record(D1, None, "1.0"), Record(D1, None, "1.1"), "trust.changed"),
        (Record(D1, None, "1.9"), Record(D1, None, "1.10"), "trust.changed"),
        (Record(D1, None, "1.10"), Record(D1, None, "1.9"), "trust.rollback"),
        (Record(D1, None, "2"), Record(D2, None, "1"), "trust.rollback"),
        (Record(D1, None, "1"), Record(D2, None, "2"), "trust.changed"),
        (Record(D1, "a", "1"), Record(D2), "trust.changed"),
    ],
)
def test_what_differs_or_goes_backwards_is_refused(before: Record, now: Record, code: str | None) -> None:
    record, refusal = compare("/a/lock", "smol", before, now)
    if code is None:
        assert refusal is None
        assert record == Record(D1, before.signer or now.signer, before.version or now.version)
        return
    assert record == before
    assert refusal is not None
    assert refusal.code == code
    assert before.digest in refusal.message
    assert now.digest in refusal.message
    assert refusal.next_step is not None
    assert f"strongroom trust accept smol {now.digest}" in refusal.next_step


def test_the_next_step_can_be_pasted_into_a_shell() -> None:
    _, refusal = compare("/a b/lock", "a b; rm -rf $HOME", Record(D1), Record(D2, None, "1.0"))
    assert refusal is not None
    assert refusal.next_step is not None
    assert f"accept 'a b; rm -rf $HOME' {D2} --model-version 1.0 --lock '/a b/lock'" in refusal.next_step


def test_what_is_refused_leaves_the_file_as_it_was(path: str) -> None:
    hold(path, "smol", Record(D1))
    before = Path(path).read_bytes()
    assert refused(path, record=Record(D2)).code == "trust.changed"
    assert Path(path).read_bytes() == before


def test_accepting_replaces(path: str) -> None:
    assert accept(path, "smol", Record(D1, "a", "2.0")) is None
    assert accept(path, "smol", Record(D2, None, "1.0")) == Record(D1, "a", "2.0")
    assert refused(path).code == "trust.changed"
    hold(path, "smol", Record(D2, "b", "1.0"))
    assert read(path) == {"smol": Record(D2, "b", "1.0")}


def test_what_is_known_is_not_written_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(path, "smol", Record(D1))
    monkeypatch.setattr(lock, "write", lambda *_arguments: pytest.fail("it was written"))
    assert "has 'smol'" in hold(path, "smol", Record(D1))


SOUND: dict[str, Any] = {"digest": D1, "signer": None, "version": None}


def document(**changes: Any) -> str:
    return json.dumps({"format": 1, "models": {"smol": SOUND | changes}})


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "null",
            "[]",
            "5",
            "{}",
            '{"format": 1}',
            '{"models": {}}',
            "{",
            "\0",
            '{"format": 1, "models": []}',
        ),
        *('{"format": 2, "models": {}}', '{"format": true, "models": {}}', '{"format": "1", "models": {}}'),
        *('{"format": 1, "models": {}, "more": 1}', '{"format": 1, "format": 1, "models": {}}'),
        *('{"format": 1, "models": {"a": null}}', '{"format": 1, "models": {"a": {}}}', "[" * 100_000),
        f'{{"format": 1, "models": {{"a": {json.dumps(SOUND)}, "a": {json.dumps(SOUND)}}}}}',
        f'{{"format": 1, "models": {{"": {json.dumps(SOUND)}}}}}',
        f'{{"format": 1, "models": {{"a\\nb": {json.dumps(SOUND)}}}}}',
        document(digest=None),
        document(digest="sha256:00"),
        document(digest="sha512:" + "0" * 128),
        document(digest=[D1]),
        document(signer=5),
        document(signer=""),
        document(signer="a\nb"),
        document(version="latest"),
        document(version=1),
        document(more=1),
        document() + "x",
        document()[:-1],
        f"\ufeff{document()}",
    ],
)
def test_a_damaged_record_is_refused_and_left_alone(text: str, path: str) -> None:
    Path(path).write_text(text)
    for error in (refused(path), refused(path, name="other")):
        assert error.code == "trust.lock_malformed"
        assert path in error.message
    with pytest.raises(TrustError):
        accept(path, "smol", Record(D1))
    assert Path(path).read_text() == text


def test_what_is_not_utf8_or_too_large(path: str) -> None:
    Path(path).write_bytes(b'{"format": 1, "models": {"\xff": {}}}')
    assert refused(path).code == "trust.lock_malformed"
    with Path(path).open("wb") as file:
        file.truncate(lock.MOST_BYTES + 1)
    assert refused(path).code == "trust.lock_too_large"


def test_a_record_that_would_become_too_large_is_not_written(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(path, "smol", Record(D1))
    monkeypatch.setattr(lock, "MOST_BYTES", Path(path).stat().st_size + 10)
    assert refused(path, name="other").code == "trust.lock_unwritable"
    assert read(path) == {"smol": Record(D1)}


def test_permissions_that_were_tampered_with(path: str) -> None:
    hold(path, "smol", Record(D1))
    for mode in (0o620, 0o602, 0o666):
        Path(path).chmod(mode)
        assert refused(path).code == "trust.lock_permissions"
    Path(path).chmod(0o644)
    hold(path, "other", Record(D1))
    assert Path(path).stat().st_mode & 0o777 == 0o644
    Path(path).parent.chmod(0o777)
    assert refused(path).code == "trust.lock_permissions"
    Path(path).unlink()
    assert refused(path).code == "trust.lock_permissions"
    assert not Path(path).exists()
    Path(path).parent.chmod(0o700)


def test_a_link_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    for content in (None, document()):
        if content is not None:
            target.write_text(content)
        Path(path).unlink(missing_ok=True)
        Path(path).symlink_to(target)
        assert refused(path).code in {"trust.lock_special", "trust.lock_missing"}
    assert target.read_text() == document()
    Path(path).unlink()
    Path(f"{path}.guard").unlink(missing_ok=True)
    Path(f"{path}.guard").symlink_to(target)
    assert refused(path).code == "trust.lock_unwritable"
    assert target.read_text() == document()


def test_a_record_below_a_link_that_somebody_else_could_turn(tmp_path: Path) -> None:
    for name in ("real", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "shared/hop").symlink_to(tmp_path / "real")
    (tmp_path / "state").symlink_to(tmp_path / "shared/hop")
    path = str(tmp_path / "state/deep/strongroom.lock")
    (tmp_path / "shared").chmod(0o777)
    assert refused(path).code == "trust.lock_permissions"
    assert not list((tmp_path / "real").iterdir())  # not even the directory was made
    (tmp_path / "shared").chmod(0o755)
    hold(path, "smol", Record(D1))
    assert json.loads((tmp_path / "real/deep/strongroom.lock").read_text())["models"]
    (tmp_path / "shared").chmod(0o777)
    for name in ("smol", "other"):
        assert refused(path, name=name).code == "trust.lock_permissions"


def test_a_directory_in_its_place(path: str) -> None:
    Path(path).mkdir()
    assert refused(path).code == "trust.lock_special"


def test_a_directory_that_cannot_be_written(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, os.strerror(13))

    hold(path, "smol", Record(D1))
    before = Path(path).read_bytes()
    for call in ("replace", "fsync", "fchmod", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, denied)
            error = refused(path, name="other")
            assert error.code == "trust.lock_unwritable"
            assert os.strerror(13) in error.message
        assert Path(path).read_bytes() == before
        assert not Path(f"{path}.new").exists()


FULL = """
import resource, sys
from strongroom.errors import TrustError
from strongroom.trust.lock import Record, hold
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    hold(sys.argv[1], "other", Record("sha256:" + "1" * 64))
except TrustError as error:
    print(error.code)
"""


@pytest.mark.parametrize("room", [0, 1, 100])
def test_on_a_full_disk_it_is_as_it_was(room: int, path: str) -> None:
    hold(path, "smol", Record(D1))
    before = Path(path).read_bytes()
    run = subprocess.run(
        [sys.executable, "-c", FULL, path, str(room)], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == ["trust.lock_unwritable"], run.stderr
    assert Path(path).read_bytes() == before
    assert not Path(f"{path}.new").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    hold(path, "other", Record(D1))


WRITER = """
import itertools, sys
from strongroom.trust.lock import Record, accept
print("ready", flush=True)
for number in itertools.count():
    accept(sys.argv[1], f"model {number % 50}", Record(f"sha256:{number:064x}"))
    print(number, flush=True)
"""


def test_a_kill_at_any_point_leaves_it_whole(path: str) -> None:
    chance = random.Random(4)  # noqa: S311 - which points are tried is no secret
    for _ in range(25):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            said = [child.stdout.readline() for _ in range(chance.randrange(1, 30))]
            # Anywhere in the next replacement, which takes about as long as this spins.
            for _ in itertools.repeat(None, chance.randrange(20_000)):
                pass
            child.send_signal(signal.SIGKILL)
            said += child.stdout.read().splitlines()
        last = int(said[-1])
        records = read(path)
        # What it said that it had done is done; at most one more is.
        assert int(records[f"model {last % 50}"].digest.removeprefix("sha256:"), 16) == last
        for name, record in records.items():
            assert int(record.digest.removeprefix("sha256:"), 16) % 50 == int(name.split()[1])
    accept(path, "after", Record(D1))  # what was left behind stands in nobody's way
    assert read(path)["after"] == Record(D1)
    assert not Path(f"{path}.new").exists()


@pytest.mark.parametrize("call", ["open", "fchmod", "write", "fsync", "close", "replace"])
def test_a_kill_before_each_call_leaves_it_whole(call: str, path: str) -> None:
    hold(path, "smol", Record(D1))
    script = f"""
import os, signal, sys
from strongroom import documents
from strongroom.trust import lock
def killed(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)
original = documents.replace
def replacing(*arguments):
    os.{call} = killed
    original(*arguments)
documents.replace = replacing
lock.accept(sys.argv[1], "smol", lock.Record("sha256:" + "2" * 64))
"""
    run = subprocess.run([sys.executable, "-c", script, path], check=False, timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert read(path) == {"smol": Record(D1)}
    accept(path, "smol", Record(D2))
    assert read(path) == {"smol": Record(D2)}


def many(path: str, worker: int) -> None:
    for number in range(10):
        hold(path, f"{worker} {number}", Record(D1))


def test_processes_lose_nothing_of_each_other(path: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=many, args=(path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert len(read(path)) == 40


def test_of_two_that_race_for_a_name_one_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = lock.read
    calls = []

    def another_is_faster(path: str) -> dict[str, Record]:
        calls.append(path)
        if len(calls) == 1:
            found = reading(path)
            accept(path, "smol", Record(D2))
            return found
        return reading(path)

    monkeypatch.setattr(lock, "read", another_is_faster)
    assert refused(path).code == "trust.changed"
    assert reading(path) == {"smol": Record(D2)}


def test_a_guard_that_is_kept_is_waited_for_and_not_for_ever(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE", 0.01)
    with keeping.guarded(path, lock.REFUSALS):
        assert refused(path).code == "trust.lock_busy"
    hold(path, "smol", Record(D1))


def test_a_child_that_was_forked_meanwhile_keeps_no_guard_and_gives_none_back(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE", 0.01)
    with keeping.guarded(path, lock.REFUSALS):
        (guard,) = descriptors_of(f"{path}.guard")
        shared = os.dup(guard)  # as a child has it
    with keeping.guarded(path, lock.REFUSALS):
        pass
    os.close(shared)
    with contextlib.ExitStack() as stack:
        stack.enter_context(keeping.guarded(path, lock.REFUSALS))
        if (child := os.fork()) == 0:
            stack.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert refused(path).code == "trust.lock_busy"


def descriptors_of(path: str) -> list[int]:
    """Return the descriptors of this process that are open files of that path."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) == path:
                found.append(int(descriptor.name))
    return found


def test_a_signer_of_whatever_text_can_be_recorded_and_read(path: str) -> None:
    texts = [
        "a\nb",
        "a\x1b[31m",
        "a\u200bb",
        "a\\u{200b}b",
        " a",
        "a",
        "\u202e",
        "x" * 5000,
        "x" * 5001,
        "\xa0",
    ]
    signers = [Signature(kind="oms", identity=text, issuer="i").signer for text in texts]
    assert len(set(signers)) == len(texts)
    for number, signer in enumerate(signers):
        hold(path, f"model {number}", Record(D1, signer))
    assert [record.signer for record in read(path).values()] == signers


def test_a_record_that_cannot_be_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: object) -> int:
        raise PermissionError(13, os.strerror(13))

    hold(path, "smol", Record(D1))
    monkeypatch.setattr(os, "open", denied)
    assert refused(path).code == "trust.lock_unreadable"
