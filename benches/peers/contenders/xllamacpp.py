"""`python -m benches.peers.contenders.xllamacpp MODEL THREADS STREAMS CONTEXT`.

llama-server inside Python, with its continuous batching: a slot for each stream, and a thread that waits for
each. Everything else is as it comes, but for two things that would be measured beside the point: prompts are
kept only where they are shared, and greedy sampling goes through no other sampler.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import xllamacpp  # type: ignore[import-not-found]

from benches.peers.serving import Order, Served, Stream, serve


def read(server: Any, order: Order, prompt: str, stream: Stream) -> None:  # noqa: ANN401 - it has no types
    """Read one answer."""
    texts: list[str] = []
    failures: list[object] = []

    def take(chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            failures.append(chunk["error"])
            return
        if usage := chunk.get("usage"):
            stream.tokens, stream.prompt_tokens = usage["completion_tokens"], usage["prompt_tokens"]
        if text := chunk["choices"][0]["text"]:
            stream.times.append(order.now())
            texts.append(text)

    server.handle_completions(
        {
            "prompt": prompt,
            "max_tokens": order.tokens,
            "temperature": 0,
            "samplers": ["temperature"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": order.shared,
        },
        take,
    )
    stream.text = "".join(texts)
    if failures:
        raise RuntimeError(failures[0])


def main() -> None:
    """Load, and answer."""
    model, threads, streams, context = sys.argv[1], *map(int, sys.argv[2:])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = streams
    params.n_ctx = streams * context
    params.fit_params = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = 1
    server = xllamacpp.Server(params)

    def answer(order: Order) -> Served:
        found = [Stream() for _ in order.prompts]
        failures: list[Exception] = []

        def one(prompt: str, stream: Stream) -> None:
            try:
                read(server, order, prompt, stream)
            except Exception as error:  # noqa: BLE001 - raised below, where it ends the program
                failures.append(error)

        waiting = [threading.Thread(target=one, args=pair) for pair in zip(order.prompts, found, strict=True)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        if failures:
            raise failures[0]
        return Served(found, order.now())

    version = f"xllamacpp {xllamacpp.__version__}"
    serve(answer, version=version, system=xllamacpp.get_system_info(), threads=threads)


if __name__ == "__main__":
    main()
