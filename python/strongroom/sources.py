"""Which hosts models may be fetched from. Without anything named, none.

Sources(hosts=("https://models.example.org",), hf_organisations=("HuggingFaceTB",))
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from strongroom import _core
from strongroom.options import Options, is_path, path_text
from strongroom.quantities import bytes_of, invalid

__all__ = ["Sources"]


def words(option: str, value: object) -> tuple[str, ...]:
    """Check a list of strings."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise invalid(option, value, "a list of strings")
    for word in value:
        if not isinstance(word, str) or not word.isprintable():
            raise invalid(option, word, "a list of strings")
    return tuple(value)


def table(option: str, value: object) -> Mapping[str, tuple[str, ...]]:
    """Check a mapping of hosts to lists of strings."""
    if not isinstance(value, Mapping):
        raise invalid(option, value, "a mapping of hosts to lists of strings")
    return MappingProxyType(
        {words(option, [host])[0]: words(option, entries) for host, entries in value.items()}
    )


@dataclass(frozen=True, kw_only=True)
class Sources(Options):
    """Which hosts models may be fetched from, over https alone. Without anything named, none."""

    hosts: Sequence[str] = ()
    """"https://host", or with its port: everything that it serves may be fetched. A source that redirects
    to another host, as `hf://` does for large files, needs that one named as well."""
    hf_organisations: Sequence[str] = ()
    """Of which `hf://organisation/repository/file@revision` may be fetched."""
    hf_endpoint: str = "https://huggingface.co"
    """Where `hf://` is."""
    ca_file: str | os.PathLike[str] | None = None
    """PEM certificates of the authorities to trust, instead of Mozilla's."""
    pins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By host, "sha256:…" of the public keys (SubjectPublicKeyInfo) of which one must be on its validated
    chain; at least two, the second in reserve."""
    danger_allow_addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By host, the networks at which it may be though they are private or this machine's: "10.0.0.0/8"."""
    max_size: str | int = "64GiB"
    """Of one file."""

    def __post_init__(self) -> None:
        """Check every option."""
        # What was checked is kept: the caller's own lists may change.
        for name in ("hosts", "hf_organisations"):
            object.__setattr__(self, name, words(name, getattr(self, name)))
        for name in ("pins", "danger_allow_addresses"):
            object.__setattr__(self, name, table(name, getattr(self, name)))
        words("hf_endpoint", [self.hf_endpoint])
        if self.ca_file is not None:
            path = path_text(self.ca_file)
            if not path or not is_path(path):
                raise invalid("ca_file", self.ca_file, "a path")
            object.__setattr__(self, "ca_file", path)
        self.core()

    def core(
        self,
        hosts: Sequence[str] = (),
        organisations: Sequence[str] = (),
        *,
        max_size: int | None = None,
    ) -> _core.Sources:
        """Return them, and more of them, as the core takes them; the certificates are read anew.

        `max_size` is another bound on one file, in bytes.
        """
        largest = bytes_of("max_size", self.max_size)
        return _core.Sources(
            hosts=[*self.hosts, *hosts],
            hf_organisations=[*self.hf_organisations, *organisations],
            hf_endpoint=self.hf_endpoint,
            ca_file=None if self.ca_file is None else os.fspath(self.ca_file),
            pins=[(host, list(keys)) for host, keys in self.pins.items()],
            danger_allow_addresses=[
                (host, list(networks)) for host, networks in self.danger_allow_addresses.items()
            ],
            max_size=largest if max_size is None else min(largest, max_size),
        )
