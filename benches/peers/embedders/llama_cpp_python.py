"""`python -m benches.peers.embedders.llama_cpp_python MODEL THREADS`: one call for all texts."""

from __future__ import annotations

import sys

import llama_cpp  # type: ignore[import-not-found]

from benches.peers.embedders.embedding import embed_lines


def main() -> None:
    """Load, and answer."""
    model, threads = sys.argv[1], int(sys.argv[2])
    llama = llama_cpp.Llama(
        model,
        n_ctx=512,
        n_threads=threads,
        n_threads_batch=threads,
        embedding=True,
        pooling_type=llama_cpp.LLAMA_POOLING_TYPE_MEAN,
        verbose=False,
    )

    def embed(texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = llama.embed(texts, normalize=True)
        return vectors

    embed_lines(embed, version=f"llama-cpp-python {llama_cpp.__version__}", threads=threads)


if __name__ == "__main__":
    main()
