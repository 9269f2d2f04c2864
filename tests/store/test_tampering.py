"""An index edited by hand, and sealed files that are not what they were: refused, and nothing is changed."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import SealError, Store, StoreError, StrongroomError
from strongroom.store import context, index
from strongroom.trust.evidence import Found
from tests.conftest import Model
from tests.store.conftest import enter_model, state_of, store_in


def document(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(store.directory, "index.json").read_text())
    return found


def edited(store: Store, text: str | bytes) -> None:
    Path(store.directory, "index.json").write_bytes(text.encode() if isinstance(text, str) else text)


WRONG: dict[str, list[object]] = {
    "file": [None, 5, "../../key", "x", "/etc/passwd", "0" * 64 + "-" + "0" * 64 + ".sealed", [], ""],
    "digest": [None, 5, "sha256:0", "md5:" + "0" * 32, "sha256:" + "0" * 64],
    "size": [None, "5", 0, -1, True, 1.5, []],
    "version": [5, "", "not a version", [], "\n"],
    "architecture": [None, 5, "", "a\nb"],
    "added": [None, 5, "yesterday", "2026-01-01T00:00:00", ""],
}


@pytest.mark.parametrize("field", WRONG)
def test_each_field_of_the_wrong_kind(store: Store, field: str) -> None:
    good = document(store)
    for value in WRONG[field]:
        wrong = json.loads(json.dumps(good))
        wrong["models"]["tiny"][field] = value
        refused(store, json.dumps(wrong))
    wrong = json.loads(json.dumps(good))
    del wrong["models"]["tiny"][field]
    refused(store, json.dumps(wrong))
    twice = json.dumps(good).replace(f'"{field}":', f'"{field}": "x", "{field}":')
    assert twice.count(f'"{field}":') == 2
    refused(store, twice)


def refused(store: Store, text: str | bytes, code: str = "store.index_malformed") -> None:
    """Nothing works with such an index, and nothing is changed."""
    edited(store, text)
    state = state_of(store)
    for work in (
        store.models,
        lambda: store.show("tiny"),
        lambda: store.open("tiny"),
        lambda: store.verify("tiny"),
        lambda: store.rekey("tiny", store),
        lambda: store.remove("tiny"),
        store.gc,
    ):
        with pytest.raises(StoreError) as caught:
            work()
        assert caught.value.code == code
    assert state_of(store) == state


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"format": 2, "models": {}}',
        '{"format": true, "models": {}}',
        '{"format": 1, "models": []}',
        '{"format": 1, "models": {"tiny": 5}}',
        '{"format": 1, "models": {}, "more": 1}',
        '{"format": 1, "format": 1, "models": {}}',
        "[" * 100_000,
        '{"a":' * 100_000,
        b"\xff\xfe",
        '{"format": 1, "models": {',
        '{"format": ' + "9" * 10_000 + ', "models": {}}',
    ],
)
def test_an_index_that_is_none(store: Store, text: str | bytes) -> None:
    refused(store, text)


@pytest.mark.parametrize("name", ["../x", "a/b", "x.gguf", "", "\x1b[2J", "x" * 129])
def test_names_that_none_has(store: Store, name: str) -> None:
    found = document(store)
    found["models"] = {name: found["models"]["tiny"]}
    refused(store, json.dumps(found))


def test_an_index_that_is_huge_a_link_or_no_file(store: Store, tmp_path: Path) -> None:
    refused(store, b" " * (index.MOST_BYTES + 1), "store.index_too_large")
    path = Path(store.directory, "index.json")
    kept = tmp_path / "kept"
    path.rename(kept)
    makers: list[Callable[[], object]] = [
        lambda: path.symlink_to(kept),
        lambda: os.mkfifo(path),
        path.mkdir,
    ]
    for make in makers:
        make()
        with pytest.raises(StoreError) as caught:
            store.verify("tiny")
        assert caught.value.code == "store.index_special"
        path.rmdir() if path.is_dir() else path.unlink()


def test_what_the_index_says_of_a_model_is_not_believed(
    store: Store, untemplated: Model, tiny: Model
) -> None:
    enter_model(store, "other", untemplated)
    good = document(store)
    one, other = good["models"]["tiny"], good["models"]["other"]

    def authentic(**changed: object) -> str:
        edited(store, json.dumps(good | {"models": {"tiny": one | changed}}))
        state = state_of(store)
        codes = set()
        for work in (store.open, store.verify, lambda name: store.rekey(name, store)):
            with pytest.raises(StrongroomError) as caught:
                work("tiny")
            codes.add(caught.value.code)
        assert state_of(store) == state
        [code] = codes
        return code

    assert authentic(**other) == "seal.context"
    assert authentic(size=one["size"] + 1) == "seal.context"
    assert authentic(version="9.9") == "seal.context"
    digest = "sha256:" + "0" * 64
    assert authentic(digest=digest, file="0" * 64 + one["file"][64:]) == "store.missing"
    edited(store, json.dumps(good))
    assert store.verify("tiny").digest == tiny.checksum
    # Of what it says besides nothing depends.
    edited(store, json.dumps(good | {"models": {"tiny": one | {"architecture": "x"}}}))
    assert store.verify("tiny").architecture == "llama"


def test_two_names_of_one_file(store: Store) -> None:
    found = document(store)
    found["models"]["again"] = found["models"]["tiny"]
    refused(store, json.dumps(found))


def test_sealed_files_that_are_not_what_they_were(
    store: Store, tmp_path: Path, key: Path, tiny: Model
) -> None:
    older = Path(store.directory, "models", store.models()["tiny"].file).read_bytes()
    path = Path(store.directory, "models", store.rekey("tiny", store).file)
    kept = tmp_path / "kept"
    path.rename(kept)
    elsewhere = store_in(tmp_path / "elsewhere", key)
    enter_model(elsewhere, "tiny", tiny)
    enter_model(elsewhere, "another", tiny)
    theirs = {
        name: Path(elsewhere.directory, "models", entry.file) for name, entry in elsewhere.models().items()
    }
    data = kept.read_bytes()
    makers: list[tuple[Callable[[], object], str]] = [
        (lambda: os.mkfifo(path), "store.unreadable"),
        (path.mkdir, "store.unreadable"),
        (lambda: path.symlink_to(kept), "store.unreadable"),
        (lambda: path.symlink_to("/dev/zero"), "store.unreadable"),
        (lambda: path.write_bytes(b""), "seal.not_sealed"),
        (lambda: path.write_bytes(data[:-1]), "seal.malformed"),
        (lambda: path.write_bytes(data[: len(data) // 2]), "seal.malformed"),
        (lambda: path.write_bytes(data + b"x"), "seal.malformed"),
        (lambda: path.write_bytes(tiny.path.read_bytes()), "seal.not_sealed"),
        (lambda: path.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]), "seal.authentication"),
        (
            lambda: path.write_bytes(data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]),
            "seal.authentication",
        ),
        (lambda: shutil.copy(theirs["tiny"], path), "seal.context"),
        (lambda: path.write_bytes(older), "store.exchanged"),
        (lambda: shutil.copy(theirs["another"], path), "seal.context"),
        (lambda: None, "store.missing"),
    ]
    found = []
    for make, _ in makers:
        make()
        codes = set()
        for work in (store.open, store.verify, lambda name: store.export(name, tmp_path / "out")):
            with pytest.raises((StoreError, SealError)) as caught:
                work("tiny")
            codes.add(caught.value.code)
        found.append("/".join(sorted(codes)))
        assert not (tmp_path / "out").exists()
        if os.path.lexists(path):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert found == [code for _, code in makers]
    kept.rename(path)
    assert store.verify("tiny").digest == tiny.checksum


EVIDENCE: dict[str, Any] = {
    "digests": [],
    "architecture": None,
    "source": {"is": "file", "path": "/m"},
    "proofs": [],
    "when": None,
    "part_digests": [],
}


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        "",
        "{}",
        "[" * 10_000,
        json.dumps(EVIDENCE | {"digests": [1]}),
        json.dumps(EVIDENCE | {"source": {"is": "signature"}}),
        json.dumps(EVIDENCE),  # without the digest that is bound
    ],
)
def test_evidence_that_is_none_though_it_is_authentic(
    tmp_path: Path, key: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch, evidence: str | None
) -> None:
    # As who has the key, or another version, could seal it.
    def bound(name: str, entry: index.Entry, store: str, _evidence: Found) -> dict[str, str]:
        found = {} if evidence is None else {"strongroom-evidence": evidence}
        pairs = context.expected(name, entry, store) | found
        return {key: value for key, value in pairs.items() if value is not None}

    store = store_in(tmp_path, key)
    monkeypatch.setattr(context, "bound", bound)
    enter_model(store, "tiny", tiny)
    for work in (store.open, store.verify):
        with pytest.raises(StoreError) as caught:
            work("tiny")
        assert caught.value.code == "store.evidence"


def test_an_index_that_the_disk_does_not_give(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int, _count: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", failing)
    with pytest.raises(StoreError) as caught:
        store.models()
    assert caught.value.code == "store.index_unreadable"
