from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from strongroom import OptionError, SourceError
from strongroom.models.source import path_of


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


@pytest.mark.parametrize(
    "reference", ["https://example.org/model.gguf", "hf:org/model", "file:///models/model.gguf", "s3+x://a/b"]
)
def test_a_scheme_is_a_source_that_is_not_yet_available(reference: str) -> None:
    with pytest.raises(SourceError, match="only files are available yet") as caught:
        path_of(reference)
    assert caught.value.code == "source.unavailable"


@pytest.mark.parametrize("reference", ["smol", "smol-135m", "model.GGUF", "model.gguf ", "."])
def test_anything_else_is_a_name_in_a_store_that_is_not_there_yet(reference: str) -> None:
    with pytest.raises(SourceError, match="no store yet") as caught:
        path_of(reference)
    assert caught.value.code == "source.no_store"


@pytest.mark.parametrize("reference", ["", "a/\0.gguf", "\0.gguf"])
def test_what_is_no_reference_at_all(reference: str) -> None:
    with pytest.raises(SourceError) as caught:
        path_of(reference)
    assert caught.value.code == "source.invalid"


@pytest.mark.parametrize("reference", [None, 5, b"model.gguf", ["model.gguf"]])
def test_another_type_is_refused(reference: Any) -> None:
    with pytest.raises(OptionError, match="reference must be a string or a path") as caught:
        path_of(reference)
    assert caught.value.code == "option.wrong_type"
