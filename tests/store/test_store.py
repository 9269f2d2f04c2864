"""What a store does: models go in, come out, are sealed anew, and leave."""

import os
import threading
from pathlib import Path

import pytest

from strongroom import (
    ChecksumError,
    KeyFile,
    OptionError,
    OutputError,
    SealError,
    Security,
    Settings,
    SettingsError,
    Store,
    StoreError,
    TrustError,
)
from strongroom.models.proofs import Given
from strongroom.models.stored import enter
from strongroom.store import index
from tests.conftest import Model
from tests.store.conftest import MARKER, enter_model, key_in, open_files, sealed_files, state_of, store_in


def test_what_enters_is_listed_shown_verified_and_exported(store: Store, tiny: Model, tmp_path: Path) -> None:
    entry = store.models()["tiny"]
    assert (entry.digest, entry.size, entry.architecture) == (
        tiny.checksum,
        tiny.path.stat().st_size,
        "llama",
    )
    shown = store.show("tiny")
    assert shown.header.context["strongroom-digest"] == tiny.checksum
    assert shown.header.keys == ["strongroom/store"]
    assert shown.header.message_id == index.message_id(entry)
    evidence = store.verify("tiny")
    assert evidence.digest == tiny.checksum
    assert evidence.architecture == "llama"
    assert [str(proof) for proof in evidence.proofs] == [f"the digest {tiny.checksum}, named in the call"]
    store.export("tiny", tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == tiny.path.read_bytes()
    assert (tmp_path / "out.gguf").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError) as caught:
        store.export("tiny", tmp_path / "out.gguf")
    assert caught.value.code == "output.exists"


def test_no_file_of_the_store_holds_plaintext(store: Store, marked: Model) -> None:
    enter_model(store, "marked", marked)
    store.rekey("marked", store)
    opened = store.open("marked")
    assert MARKER in marked.path.read_bytes(), "the control"
    assert not any(MARKER in data for data in state_of(store).values())
    # Nor one that has no name yet, or none any more.
    assert not any(MARKER in data for data in open_files(store))
    assert opened.image.digest == marked.checksum


def test_while_it_is_sealed_nothing_on_the_disk_holds_plaintext(
    tmp_path: Path, key: Path, marked: Model
) -> None:
    store = store_in(tmp_path, key)
    seen: list[int] = []

    def look(_done: int, _total: int) -> None:
        for data in open_files(store):
            seen.append(len(data))
            assert MARKER not in data

    enter(
        store, "m", str(marked.path), given=Given(checksum=marked.checksum), settings=Settings(), sealing=look
    )
    assert max(seen) > 1 << 20, "files without a name were looked at"


def test_each_key_alone_opens_what_was_sealed_for_several(tmp_path: Path, tiny: Model) -> None:
    keys = [KeyFile(file=key_in(tmp_path, name), name=name) for name in ("one", "two", "three")]
    enter_model(Store(tmp_path / "store", keys), "tiny", tiny)
    for key in keys:
        assert Store(tmp_path / "store", [key]).verify("tiny").digest == tiny.checksum
    other = KeyFile(file=key_in(tmp_path, "other"), name="one")
    with pytest.raises(SealError) as caught:
        Store(tmp_path / "store", [other]).verify("tiny")
    assert caught.value.code == "seal.authentication"
    with pytest.raises(SealError) as caught:
        Store(tmp_path / "store", [KeyFile(file=key_in(tmp_path, "x"), name="four")]).verify("tiny")
    assert caught.value.code == "seal.no_key"
    for word in ("one", "two", "three", "four"):
        assert f"strongroom/{word}" in caught.value.message


def test_after_rekeying_the_old_key_opens_nothing(store: Store, tmp_path: Path, tiny: Model) -> None:
    before = store.models()["tiny"]
    target = store_in(tmp_path, key_in(tmp_path, "new"))
    after = store.rekey("tiny", target)
    assert index.message_id(after) != index.message_id(before)
    assert target.verify("tiny").digest == tiny.checksum
    assert sealed_files(store) == [after.file]
    with pytest.raises(SealError) as caught:
        store.verify("tiny")
    assert caught.value.code == "seal.authentication"
    with pytest.raises(OptionError):
        target.rekey("tiny", Store(tmp_path / "elsewhere", ()))


def test_names_are_taken_once_and_replaced_where_that_is_asked(store: Store, untemplated: Model) -> None:
    before = state_of(store)
    with pytest.raises(StoreError) as caught:
        enter_model(store, "tiny", untemplated)
    assert caught.value.code == "store.exists"
    assert state_of(store) == before
    enter_model(store, "tiny", untemplated, replacing=True)
    assert store.verify("tiny").digest == untemplated.checksum
    assert len(sealed_files(store)) == 1
    assert store.remove("tiny").digest == untemplated.checksum
    assert store.models() == {}
    assert sealed_files(store) == []


@pytest.mark.parametrize("name", ["", "a/b", "..\\x", "hf:x", "x.gguf", " x", "a\n", "x" * 129, 5])
def test_what_can_be_no_name(tmp_path: Path, key: Path, tiny: Model, name: str) -> None:
    with pytest.raises(OptionError):
        enter_model(store_in(tmp_path, key), name, tiny)
    assert not (tmp_path / "store").exists()


def test_nothing_enters_that_nothing_proves(tmp_path: Path, key: Path, tiny: Model) -> None:
    store = store_in(tmp_path, key)
    with pytest.raises(TrustError) as caught:
        enter(
            store,
            "t",
            str(tiny.path),
            given=Given(),
            settings=Settings(security=Security(verification="danger-none")),
        )
    assert caught.value.code == "trust.no_proof"
    with pytest.raises(ChecksumError):
        enter(store, "t", str(tiny.path), given=Given(checksum="sha256:" + "0" * 64), settings=Settings())
    with pytest.raises(StoreError) as caught_too:
        enter_model(store_in(tmp_path), "t", tiny)
    assert caught_too.value.code == "store.no_key"
    assert not (tmp_path / "store").exists()


def test_what_is_not_there_makes_no_store(tmp_path: Path, key: Path) -> None:
    store = store_in(tmp_path, key)
    assert store.models() == {}
    assert store.gc() == []
    for work in (store.show, store.verify, store.open, store.remove):
        with pytest.raises(StoreError) as caught:
            work("tiny")
        assert caught.value.code == "store.unknown"
    assert not (tmp_path / "store").exists()
    with pytest.raises(StoreError) as caught:
        index.read(f"{store.directory}/index.json")
    assert caught.value.code == "store.index_missing"


def test_a_file_in_the_place_of_a_directory(tmp_path: Path, key: Path, tiny: Model) -> None:
    (tmp_path / "store").write_text("no directory")
    store = store_in(tmp_path, key)
    for work in (store.models, store.gc, lambda: store.verify("x"), lambda: enter_model(store, "x", tiny)):
        with pytest.raises(StoreError) as caught:
            work()
        assert caught.value.code == "store.unreadable"
    (tmp_path / "store").unlink()
    (tmp_path / "store").mkdir()
    (tmp_path / "store/models").write_text("no directory")
    with pytest.raises(StoreError) as caught:
        enter_model(store, "x", tiny)
    assert caught.value.code == "store.unwritable"
    assert state_of(store) == {"models": b"no directory"}


def test_a_store_that_others_may_write_to(store: Store, tmp_path: Path) -> None:
    for path in (tmp_path / "store/models", tmp_path / "store/index.json", tmp_path / "store"):
        mode = path.stat().st_mode & 0o777
        path.chmod(mode | 0o020)
        with pytest.raises(StoreError) as caught:
            store.verify("tiny")
        assert caught.value.code == "store.index_permissions"
        path.chmod(mode)
    store.verify("tiny")


def test_where_no_file_is_without_a_name(
    tmp_path: Path, key: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refusing(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)
    store = store_in(tmp_path, key)
    enter_model(store, "tiny", tiny)
    assert sealed_files(store) == [store.models()["tiny"].file]
    # One that nobody writes is loose; one that somebody does isn't.
    (tmp_path / f"store/models/{'0' * 32}.partial").write_bytes(b"left")
    with store._files.new() as new:
        assert new.beside is not None
        assert store.gc() == [f"{'0' * 32}.partial"]
        assert new.beside in sealed_files(store)
    store.verify("tiny")


def together(*works: object) -> list[BaseException | None]:
    """Do works in threads at once; what each raised."""
    raised: list[BaseException | None] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(place: int, work: object) -> None:
        barrier.wait()
        try:
            work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            raised[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_writers_of_one_name_and_of_two(tmp_path: Path, key: Path, tiny: Model, marked: Model) -> None:
    one, two = store_in(tmp_path, key), store_in(tmp_path, key)
    raised = together(lambda: enter_model(one, "a", tiny), lambda: enter_model(two, "a", marked))
    [lost] = [error for error in raised if error is not None]
    assert isinstance(lost, StoreError)
    assert lost.code == "store.exists"
    assert raised in ([lost, None], [None, lost])
    won = (marked, tiny)[raised[1] is not None]
    assert one.verify("a").digest == won.checksum
    assert (
        together(*(lambda name=name: enter_model(store_in(tmp_path, key), name, tiny) for name in "bcdef"))
        == [None] * 5
    )
    assert sorted(one.models()) == list("abcdef")
    for name in one.models():
        one.verify(name)
    assert one.gc() == []


def test_who_rekeys_what_another_changed_meanwhile_is_told(
    store: Store, untemplated: Model, tmp_path: Path, key: Path
) -> None:
    other = store_in(tmp_path, key)

    def change(_done: int, _total: int) -> None:
        if store.models()["tiny"].digest != untemplated.checksum:
            enter_model(other, "tiny", untemplated, replacing=True)

    with pytest.raises(StoreError) as caught:
        store.rekey("tiny", store, progress=change)
    assert caught.value.code == "store.changed"
    assert store.verify("tiny").digest == untemplated.checksum
    assert len(sealed_files(store)) == 1


def test_a_guard_that_is_held_for_long(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from strongroom import keeping

    monkeypatch.setattr(keeping, "PATIENCE", 0.02)
    with keeping.guarded(store._index, index.REFUSALS), pytest.raises(StoreError) as caught:
        store.remove("tiny")
    assert caught.value.code == "store.index_busy"
    store.verify("tiny")


def test_what_a_callback_raises_ends_the_work_and_changes_nothing(store: Store, marked: Model) -> None:
    enter_model(store, "marked", marked)
    before = state_of(store)

    class Enough(Exception):  # noqa: N818
        pass

    def enough(_done: int, _total: int) -> None:
        raise Enough

    for work in (
        lambda: store.rekey("marked", store, progress=enough),
        lambda: store.verify("marked", progress=enough),
        lambda: store.open("marked", progress=enough),
        lambda: store.export("marked", f"{store.directory}/../out", progress=enough),
        lambda: enter(
            store,
            "x",
            str(marked.path),
            given=Given(checksum=marked.checksum),
            settings=Settings(),
            sealing=enough,
        ),
    ):
        with pytest.raises(Enough):
            work()
    assert state_of(store) == before
    assert not Path(f"{store.directory}/../out").exists()


@pytest.mark.parametrize("keys", [["x"], [5], [{"file": "a", "variable": "b"}], [{}]])
def test_keys_that_are_none(tmp_path: Path, keys: list[object]) -> None:
    with pytest.raises(SettingsError):
        Store(tmp_path, keys)  # type: ignore[arg-type]
