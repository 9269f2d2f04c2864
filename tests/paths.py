"""Paths that are none."""

import os
from typing import Any


class Pathless(os.PathLike[str]):
    """Says that it is a path, and gives something else."""

    def __fspath__(self) -> Any:
        return 5
