"""`python -m benches.peers.embedders.strongroom MODEL THREADS`: one call for all texts."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import strongroom
from benches.peers.embedders.embedding import embed_lines
from strongroom import Router, Sandboxing, Security, Settings

MODEL = "bench"


def main() -> None:
    """Load, and answer."""
    path, threads = Path(sys.argv[1]), int(sys.argv[2])
    with path.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    settings = Settings(security=Security(sandboxing=Sandboxing(cpu_limit=threads)))
    with Router(settings) as router:
        info = router.load(MODEL, path, checksum=checksum, embeddings="mean")

        def embed(texts: list[str]) -> Any:  # noqa: ANN401 - an array, which numpy types
            return router.embed(texts, model=MODEL)

        embed_lines(embed, version=f"strongroom {strongroom.__version__}", threads=info.threads)


if __name__ == "__main__":
    main()
