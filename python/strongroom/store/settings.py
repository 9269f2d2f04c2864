"""Where the store is, and which keys open it: the table [store] of a configuration file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.errors import SettingsError
from strongroom.options import Options, is_path, path_text
from strongroom.quantities import invalid
from strongroom.store.index import is_id
from strongroom.store.keys import Key, key_of

__all__ = ["StoreSettings"]

MOST_KEYS = 64


@dataclass(frozen=True, kw_only=True)
class StoreSettings(Options):
    """The encrypted store that names of models are taken from."""

    directory: str | os.PathLike[str] | None = None
    """Default `$XDG_DATA_HOME/strongroom/store`, which is `~/.local/share/strongroom/store`."""
    id: str | None = None
    """The store that is meant, by the id that `strongroom store list` shows: 32 hexadecimal digits. Another
    one in its place is refused, and so is a model that isn't sealed for it. Without it the directory says
    which store it is."""
    keys: Sequence[Key] = field(default=(), metadata={"tables_only": True})
    """The keys that open it. What is added is sealed for every one of them. In a file each is a table:
    `{file = "…"}`, `{variable = "…"}`, `{passphrase_file = "…"}`, `{description = "…"}` of a key in the
    kernel's keyrings, `{kms = "arn:…"}`, or `{transit = "…", url = "…", token_file = "…"}` with what else
    `AwsKms` and `VaultTransit` take."""

    def __post_init__(self) -> None:
        """Check every option."""
        if self.directory is not None:
            path = path_text(self.directory)
            if not path or not is_path(path):
                raise invalid("directory", self.directory, "a path")
            object.__setattr__(self, "directory", path)
        if self.id is not None and not is_id(self.id):
            raise invalid("id", self.id, "32 hexadecimal digits")
        keys: object = self.keys
        if isinstance(keys, str | bytes) or not isinstance(keys, Sequence) or len(keys) > MOST_KEYS:
            raise invalid("keys", keys, f"a list of at most {MOST_KEYS} keys")
        checked = tuple(key_of(f"keys[{place}]", key) for place, key in enumerate(keys))
        object.__setattr__(self, "keys", checked)

    @property
    def place(self) -> str:
        """The directory."""
        if self.directory is not None:
            return os.fspath(self.directory)
        named = os.environ.get("XDG_DATA_HOME", "")
        # A relative one is to be ignored, says its specification.
        if Path(named).is_absolute():
            return str(Path(named) / "strongroom/store")
        try:
            return str(Path.home() / ".local/share/strongroom/store")
        except RuntimeError:
            raise SettingsError(
                "settings.invalid", "store.directory must be named: this user has no home"
            ) from None
