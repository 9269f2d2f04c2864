"""The names that settings have outside of Python, read off the dataclasses: there is no second list."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, get_type_hints

from strongroom.options import Options
from strongroom.settings import Settings

__all__ = ["ELSEWHERE", "Leaf", "branches", "leaves"]

ELSEWHERE: Mapping[str, str] = MappingProxyType({"security.model_verification": "trust"})
"""Branches of the tree that have a table of their own outside: their path in the tree, and its name."""


@dataclass(frozen=True)
class Leaf:
    """An option."""

    name: str
    """As it is written outside: `security.sandboxing.memory_limit`."""
    branch: type[Options]
    """The dataclass that checks it."""
    field: Field[Any]
    hint: Any
    """The type that its annotation names."""


def subtree(field: Field[Any]) -> type[Options] | None:
    """Return the dataclass of a field that is a branch."""
    factory: object = field.default_factory
    return factory if isinstance(factory, type) and issubclass(factory, Options) else None


@cache
def branches() -> Mapping[str, type[Options]]:
    """Return every branch by its name outside; the root's is empty. What holds others comes first."""
    found: dict[str, type[Options]] = {}

    def walk(branch: type[Options], inside: str, outside: str) -> None:
        found[outside] = branch
        for field in fields(branch):  # type: ignore[arg-type]  # subclasses are dataclasses
            if below := subtree(field):
                path = f"{inside}.{field.name}".lstrip(".")
                walk(below, path, ELSEWHERE.get(path, f"{outside}.{field.name}".lstrip(".")))

    walk(Settings, "", "")
    return MappingProxyType(found)


@cache
def leaves() -> Mapping[str, Leaf]:
    """Return every option by its name outside."""
    found: dict[str, Leaf] = {}
    for name, branch in branches().items():
        hints = get_type_hints(branch)
        for field in fields(branch):  # type: ignore[arg-type]  # subclasses are dataclasses
            if subtree(field) is None:
                leaf = Leaf(f"{name}.{field.name}", branch, field, hints[field.name])
                found[leaf.name] = leaf
    return MappingProxyType(found)
