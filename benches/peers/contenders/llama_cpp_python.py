"""`python -m benches.peers.contenders.llama_cpp_python MODEL THREADS STREAMS CONTEXT`.

It answers one request after another: a `Llama` is one sequence, and not to be used from two threads. What
waits for its turn began all the same. It keeps the prompt before this one, whether asked to or not.
"""

from __future__ import annotations

import sys

import llama_cpp  # type: ignore[import-not-found]

from benches.peers.serving import Order, Served, Stream, serve


def main() -> None:
    """Load, and answer."""
    model, threads, _, context = sys.argv[1], *map(int, sys.argv[2:])
    llama = llama_cpp.Llama(
        model,
        n_ctx=context,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn=True,
        verbose=False,
    )

    def one(order: Order, prompt: str) -> Stream:
        stream = Stream(prompt_tokens=len(llama.tokenize(prompt.encode())))
        texts: list[str] = []
        for chunk in llama.create_completion(
            prompt, max_tokens=order.tokens, temperature=0, repeat_penalty=1.0, stream=True
        ):
            if text := chunk["choices"][0]["text"]:
                stream.times.append(order.now())
                texts.append(text)
        # The last token is chosen, and not decoded.
        stream.tokens = min(order.tokens, llama.n_tokens - stream.prompt_tokens + 1)
        stream.text = "".join(texts)
        return stream

    def answer(order: Order) -> Served:
        streams = [one(order, prompt) for prompt in order.prompts]
        return Served(streams, order.now())

    system = llama_cpp.llama_print_system_info().decode()
    version = f"llama-cpp-python {llama_cpp.__version__}"
    serve(answer, version=version, system=system, threads=threads)


if __name__ == "__main__":
    main()
