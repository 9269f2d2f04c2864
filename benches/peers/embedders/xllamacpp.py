"""`python -m benches.peers.embedders.xllamacpp MODEL THREADS`: one call for all texts."""

from __future__ import annotations

import sys

import xllamacpp  # type: ignore[import-not-found]

from benches.peers.embedders.embedding import embed_lines

SLOTS = 8
"""Texts that it computes at once."""
CONTEXT = 256


def main() -> None:
    """Load, and answer."""
    model, threads = sys.argv[1], int(sys.argv[2])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.fit_params = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = 1
    server = xllamacpp.Server(params)

    def embed(texts: list[str]) -> list[list[float]]:
        answer = server.handle_embeddings({"input": texts, "model": "bench"})
        return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]

    embed_lines(embed, version=f"xllamacpp {xllamacpp.__version__}", threads=threads)


if __name__ == "__main__":
    main()
