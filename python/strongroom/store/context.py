"""The encryption context of a sealed model: what its keys are bound to, and how it came to be trusted.

It lies readable in the sealed file, and every tag of it depends on it. What was verified when the model
entered the store is restored from it at each load, so that the policy of that day decides.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from strongroom.errors import StoreError
from strongroom.store.index import Entry
from strongroom.trust.evidence import File, Found, Https, HuggingFace, Proof, Signature, Source, Vouched

__all__ = ["STORE", "bound", "expected", "restored"]

FORMAT = "gguf"


STORE = "strongroom-store"
"""The pair that says which store a model was sealed for."""


def expected(name: str, entry: Entry, store: str | None) -> dict[str, str | None]:
    """Return what the context of a model must have, and with None what it must not have.

    A model that isn't bound to its store must not be bound to another.
    """
    return {
        STORE: store if entry.bound else None,
        "strongroom-name": name,
        "strongroom-digest": entry.digest,
        "strongroom-version": entry.version or "",
        "strongroom-format": FORMAT,
        "strongroom-size": str(entry.size),
    }


def bound(name: str, entry: Entry, store: str | None, evidence: Found) -> dict[str, str]:
    """Return the whole context of a model that enters."""
    found = json.dumps(simple(evidence), separators=(",", ":"))
    pairs = expected(name, entry, store) | {"strongroom-evidence": found}
    return {key: value for key, value in pairs.items() if value is not None}


def simple(evidence: Found) -> dict[str, Any]:
    """Write down what was found about a model."""
    return {
        "digests": list(evidence.digests),
        "part_digests": list(evidence.part_digests),
        "architecture": evidence.architecture,
        "source": written(evidence.source),
        "proofs": [written(proof) for proof in evidence.proofs],
        "when": None if evidence.when is None else evidence.when.isoformat(),
    }


KINDS: Mapping[str, type[Source | Proof]] = {
    kind.__name__.lower(): kind for kind in (File, Https, HuggingFace, Vouched, Signature)
}


def written(value: Source | Proof) -> dict[str, Any]:
    """Write down a source or a proof."""
    found: dict[str, Any] = {"is": type(value).__name__.lower()}
    for field in fields(value):
        item = getattr(value, field.name)
        found[field.name] = item.isoformat() if isinstance(item, datetime) else item
    return found


def restored(name: str, entry: Entry, context: Mapping[str, str]) -> Found:
    """Return what was found about a model when it entered, from a context that was authenticated.

    Raises StoreError where it can't be read: a store of another version wrote it, or whoever has the key.
    """
    try:
        found = json.loads(context["strongroom-evidence"])
        evidence = Found(
            digests=tuple(map(text, found["digests"])),
            size=entry.size,
            architecture=None if found["architecture"] is None else text(found["architecture"]),
            source=source_of(found["source"]),
            proofs=tuple(map(proof_of, found["proofs"])),
            when=None if found["when"] is None else datetime.fromisoformat(found["when"]),
            part_digests=tuple(map(text, found["part_digests"])),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        evidence = None
    if evidence is None or entry.digest not in evidence.digests:
        raise StoreError(
            "store.evidence", f"how {name!r} came to be trusted can't be read from its sealed file"
        )
    return evidence


def text(value: object) -> str:
    """Check a string."""
    if not isinstance(value, str):
        raise TypeError
    return value


def source_of(value: dict[str, Any]) -> Source:
    """Read a source back."""
    found = read(value)
    if not isinstance(found, File | Https | HuggingFace):
        raise TypeError
    return found


def proof_of(value: dict[str, Any]) -> Proof:
    """Read a proof back."""
    found = read(value)
    if not isinstance(found, Vouched | Signature):
        raise TypeError
    return found


def read(value: dict[str, Any]) -> Source | Proof:
    """Read what `written` wrote."""
    options = dict(value)
    kind = KINDS[text(options.pop("is"))]
    if isinstance(options.get("authorities"), list):
        options["authorities"] = tuple(map(text, options["authorities"]))
    if options.get("when") is not None:
        options["when"] = datetime.fromisoformat(options["when"])
    for name, item in options.items():
        if item is not None and name not in {"authorities", "when"}:
            text(item)
    return kind(**options)
