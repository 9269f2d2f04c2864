"""Which store a model is of: one of another store under the same key can't stand in for it."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom import (
    OptionError,
    Router,
    SealError,
    Settings,
    SettingsError,
    Store,
    StoreError,
    StoreSettings,
)
from strongroom.store import index
from strongroom.store.keys import KeyFile
from tests.conftest import Model
from tests.store.conftest import enter_model, key_in, sealed_files, store_in
from tests.store.test_deaths import consistent, harmed


def document_of(store: Store) -> dict[str, object]:
    read: dict[str, object] = json.loads(Path(store.directory, "index.json").read_text())
    return read


def store_at(folder: Path, key: Path, model: Model) -> Store:
    """A store of one model, `tiny`."""
    folder.mkdir(exist_ok=True)
    store = store_in(folder, key)
    enter_model(store, "tiny", model)
    return store


def old_store(folder: Path, key: Path) -> Store:
    """A store as an older version made it."""
    (folder / "store").mkdir(mode=0o700, parents=True)
    path = folder / "store/index.json"
    path.write_text('{"format": 1, "models": {}}\n')
    path.chmod(0o600)
    return store_in(folder, key)


def swap(store: Store, other: Store, name: str = "tiny") -> None:
    """Put a model of another store in the place of that of the same name, as who can write to both can."""
    mine, theirs = store.models(), other.models()
    source = Path(other.directory, "models", theirs[name].file)
    shutil.copy(source, Path(store.directory, "models", theirs[name].file))
    index.write(f"{store.directory}/index.json", index.Index(store.id, mine | {name: theirs[name]}))


def refused(work: Callable[[], object]) -> str:
    with pytest.raises((SealError, StoreError)) as caught:
        work()
    return caught.value.code


def test_every_model_is_sealed_for_its_store(store: Store, tmp_path: Path, key: Path, tiny: Model) -> None:
    found = store.id
    assert found is not None
    assert index.is_id(found)
    assert store.show("tiny").header.context["strongroom-store"] == found
    assert document_of(store)["store"] == found
    assert store.models()["tiny"].bound
    other = store_at(tmp_path / "other", key, tiny)
    assert other.id != found
    store.rekey("tiny", store)
    assert store.show("tiny").header.context["strongroom-store"] == store.id == found
    store.remove("tiny")
    assert store.id == found
    assert store_in(tmp_path / "none", key).id is None


def test_a_model_of_another_store_under_the_same_key(
    store: Store, tmp_path: Path, key: Path, tiny: Model
) -> None:
    other = store_at(tmp_path / "other", key, tiny)
    # The same name, digest, size and version, and authentic under the same key.
    swap(store, other)
    works: list[Callable[[], object]] = [
        lambda: store.open("tiny"),
        lambda: store.verify("tiny"),
        lambda: store.export("tiny", tmp_path / "out"),
        lambda: store.rekey("tiny", store),
    ]
    for work in works:
        assert refused(work) == "seal.context"
    assert not (tmp_path / "out").exists()
    with pytest.raises(SealError, match=f"strongroom-store={other.id} .* not strongroom-store={store.id}"):
        store.open("tiny")
    assert other.verify("tiny").digest == tiny.checksum, "the control"


def test_an_index_that_calls_itself_older_or_another(
    store: Store, tmp_path: Path, key: Path, tiny: Model
) -> None:
    other = store_at(tmp_path / "other", key, tiny)
    swap(store, other)
    path = f"{store.directory}/index.json"
    entries = store.models()
    index.write(path, index.Index(None, entries))
    assert document_of(store)["format"] == 1
    assert refused(lambda: store.open("tiny")) == "seal.context"
    unbound = {name: replace(entry, bound=False) for name, entry in entries.items()}
    index.write(path, index.Index(index.new_id(), unbound))
    with pytest.raises(SealError, match="not no strongroom-store"):
        store.open("tiny")
    # Whoever writes all of it makes it the other store; who names the id notices.
    index.write(path, index.Index(other.id, entries))
    assert store.verify("tiny").digest == tiny.checksum


def test_an_older_store_works_as_it_is(tmp_path: Path, key: Path, tiny: Model, untemplated: Model) -> None:
    old = old_store(tmp_path / "old", key)
    enter_model(old, "tiny", tiny)
    enter_model(old, "other", untemplated)
    assert old.id is None
    assert document_of(old)["format"] == 1
    assert not old.models()["tiny"].bound
    assert "strongroom-store" not in old.show("tiny").header.context
    assert old.open("tiny").image.digest == tiny.checksum
    assert old.verify("other").digest == untemplated.checksum
    old.remove("other")
    assert old.gc() == []
    stored = document_of(old)["models"]
    assert isinstance(stored, dict)
    assert "bound" not in stored["tiny"], "an older version reads it still"


def test_rekeying_gives_an_older_store_its_id(
    tmp_path: Path, key: Path, tiny: Model, untemplated: Model
) -> None:
    old = old_store(tmp_path / "old", key)
    enter_model(old, "tiny", tiny)
    enter_model(old, "other", untemplated)
    target = store_in(tmp_path / "old", key_in(tmp_path, "new"))
    assert old.rekey("tiny", target).bound
    found = old.id
    assert found is not None
    assert [old.models()[name].bound for name in ("tiny", "other")] == [True, False]
    assert target.verify("tiny").digest == tiny.checksum
    assert old.verify("other").digest == untemplated.checksum
    assert old.rekey("other", target).bound
    assert target.id == found
    assert target.show("other").header.context["strongroom-store"] == found
    # From here on those of other stores are refused, older ones too.
    older = old_store(tmp_path / "older", tmp_path / "new")
    enter_model(older, "tiny", tiny)
    swap(target, older)
    index.write(
        f"{target.directory}/index.json",
        index.Index(found, {"tiny": replace(target.models()["tiny"], bound=True)}),
    )
    assert refused(lambda: target.open("tiny")) == "seal.context"


def test_the_id_that_is_meant(store: Store, tmp_path: Path, key: Path, tiny: Model) -> None:
    keys = [KeyFile(file=key)]
    found, other = store.id, store_at(tmp_path / "other", key, tiny)
    assert Store(store.directory, keys, expected_id=found).verify("tiny").digest == tiny.checksum
    meant = Store(other.directory, keys, expected_id=found)
    works: list[Callable[[], object]] = [
        meant.models,
        lambda: meant.open("tiny"),
        lambda: enter_model(meant, "new", tiny),
        lambda: meant.remove("tiny"),
        meant.gc,
    ]
    for work in works:
        assert refused(work) == "store.other"
    old = old_store(tmp_path / "old", key)
    enter_model(old, "tiny", tiny)
    assert refused(Store(old.directory, keys, expected_id=found).models) == "store.other"
    old.rekey("tiny", old)
    entries = {"tiny": replace(old.models()["tiny"], bound=False)}
    index.write(f"{old.directory}/index.json", index.Index(old.id, entries))
    assert refused(lambda: Store(old.directory, keys, expected_id=old.id).open("tiny")) == "store.unbound"
    settings = Settings(store=StoreSettings(directory=other.directory, id=found, keys=keys))
    with Router(settings) as router:
        assert refused(lambda: router.load("tiny")) == "store.other"
    with pytest.raises(OptionError):
        Store(store.directory, expected_id="x")
    with pytest.raises(SettingsError):
        StoreSettings(id="A" * 32)
    # A store that isn't there is made as the one that is meant.
    new = Store(tmp_path / "new", keys, expected_id=found)
    enter_model(new, "tiny", tiny)
    assert new.id == found


def test_threads_that_make_a_store_at_once_make_one(tmp_path: Path, key: Path, tiny: Model) -> None:
    stores = [store_in(tmp_path, key) for _ in range(4)]
    threads = [
        threading.Thread(target=enter_model, args=(store, f"m{place}", tiny))
        for place, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.id for store in stores}) == 1
    assert consistent(stores[0]) == {f"m{place}": tiny.checksum for place in range(4)}


def test_killed_before_each_call_while_a_store_is_made(tmp_path: Path, key: Path, tiny: Model) -> None:
    at, ended = 0, False
    while not ended:
        store = store_in(tmp_path / str(at), key)
        child = os.fork()
        if child == 0:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    harmed(patch, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
                    enter_model(store, "tiny", tiny)
                os._exit(0)
            finally:  # or the child would run the other tests
                os._exit(1)
        _, status = os.waitpid(child, 0)
        ended = os.WIFEXITED(status)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        enter_model(store, "next", tiny)
        assert consistent(store) in ({"next": tiny.checksum}, {"next": tiny.checksum, "tiny": tiny.checksum})
        assert store.id is not None
        assert len(sealed_files(store)) == len(store.models())
        at += 1
    assert at >= 8, "calls were counted"


@pytest.mark.parametrize(
    "document",
    [
        {"format": 2, "models": {}},
        {"format": 2, "store": None, "models": {}},
        {"format": 2, "store": "0" * 31, "models": {}},
        {"format": 2, "store": "G" * 32, "models": {}},
        {"format": 1, "store": "0" * 32, "models": {}},
        {"format": 3, "store": "0" * 32, "models": {}},
        {"format": True, "store": "0" * 32, "models": {}},
    ],
)
def test_ids_and_formats_that_are_none(store: Store, document: dict[str, object]) -> None:
    Path(store.directory, "index.json").write_text(json.dumps(document))
    assert refused(store.models) == "store.index_malformed"
