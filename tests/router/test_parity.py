"""Router and AsyncRouter have the same words."""

import inspect
from typing import Any

import pytest

from strongroom import AsyncRouter, AsyncStream, Router, Stream

AWAITED = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


def methods(cls: type[Any]) -> dict[str, Any]:
    own = {name: value for base in reversed(cls.__mro__[:-1]) for name, value in vars(base).items()}
    return {
        AWAITED.get(name, name): value
        for name, value in own.items()
        if callable(value) and (not name.startswith("_") or name in {*AWAITED, *AWAITED.values()})
    }


@pytest.mark.parametrize(("sync", "asynchronous"), [(Router, AsyncRouter), (Stream, AsyncStream)])
def test_the_same_methods_with_the_same_arguments(sync: type[Any], asynchronous: type[Any]) -> None:
    ours, theirs = methods(sync), methods(asynchronous)
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        mine, other = inspect.signature(method), inspect.signature(theirs[name])
        assert list(mine.parameters.values()) == list(other.parameters.values()), name
        if name != "stream":
            assert mine.return_annotation == other.return_annotation, name


def test_they_are_made_alike() -> None:
    assert inspect.signature(Router) == inspect.signature(AsyncRouter)


def test_the_names_are_those_of_the_documentation() -> None:
    public = {name for name in methods(Router) if not name.startswith("_")}
    assert public == {
        "load",
        "unload",
        "release",
        "models",
        "chat",
        "complete",
        "stream",
        "generate_batch",
        "embed",
        "publish",
        "tokenize",
        "close",
    }


def test_all_but_stream_are_awaited() -> None:
    awaited = {name for name, method in methods(AsyncRouter).items() if inspect.iscoroutinefunction(method)}
    public = {name for name in methods(AsyncRouter) if not name.startswith("_")}
    assert public - awaited == {"stream"}
