from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from strongroom import FetchError, OptionError, SourceError
from strongroom.models.source import Remote, Stored, path_of, source_of


@pytest.mark.parametrize(
    "reference",
    [
        "model.gguf",
        "./model",
        "/models/model",
        "models/model",
        "./https:",
        "../a b.gguf",
        "models/hf:x",
        ".gguf",
    ],
)
def test_a_path_has_a_slash_or_ends_in_gguf(reference: str) -> None:
    assert path_of(reference) == reference


def test_a_path_object_is_a_path_whatever_it_looks_like() -> None:
    assert path_of(Path("smol")) == "smol"
    assert path_of(PurePosixPath("hf:model")) == "hf:model"


def test_a_file_url_is_a_path() -> None:
    assert path_of("file:///models/a%20model.gguf") == "/models/a model.gguf"


@pytest.mark.parametrize("reference", ["https://example.org/model.gguf?SECRET", "hf://org/model/m.gguf@v1"])
def test_a_source_on_a_host_has_no_path(reference: str) -> None:
    assert source_of(reference) == Remote(reference)
    with pytest.raises(SourceError, match="on a host") as caught:
        path_of(reference)
    assert caught.value.code == "source.unavailable"
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [
        "http://example.org/model.gguf",
        "hf:org/model",
        "file://host/model.gguf",
        "s3+x://a/b",
        "https://u:p@h/",
    ],
)
def test_what_is_no_source(reference: str) -> None:
    with pytest.raises(FetchError) as caught:
        path_of(reference)
    assert caught.value.code == "fetch.reference"


@pytest.mark.parametrize("reference", ["smol", "smol-135m", "model.GGUF", "model.gguf ", "."])
def test_anything_else_is_a_name_in_a_store(reference: str) -> None:
    assert source_of(reference) == Stored(reference)
    with pytest.raises(SourceError, match="a name in a store") as caught:
        path_of(reference)
    assert caught.value.code == "source.stored"


@pytest.mark.parametrize("reference", ["", "a/\0.gguf", "\0.gguf", "https://\ud800/"])
def test_what_is_no_reference_at_all(reference: str) -> None:
    with pytest.raises(SourceError) as caught:
        path_of(reference)
    assert caught.value.code == "source.invalid"


@pytest.mark.parametrize("reference", [None, 5, b"model.gguf", ["model.gguf"]])
def test_another_type_is_refused(reference: Any) -> None:
    with pytest.raises(OptionError, match="reference must be a string or a path") as caught:
        path_of(reference)
    assert caught.value.code == "option.wrong_type"
