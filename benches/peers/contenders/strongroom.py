"""`python -m benches.peers.contenders.strongroom MODEL THREADS STREAMS CONTEXT [INSTRUCTION_SET]`.

The package as it is installed, with its defaults: in its sandbox, verified, the pieces of a stream no more
often than `piece_interval`. Prompts that share a beginning are one tenant's; the others are nobody's.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
from pathlib import Path
from typing import cast

import strongroom
from benches.peers.serving import Order, Served, Stream, serve
from strongroom import AsyncRouter, Limits, Sandboxing, Security, Settings
from strongroom.settings import InstructionSet

MODEL = "bench"


def limits(streams: int, context: int, instruction_set: InstructionSet) -> Limits:
    """Return limits that let all streams decode at once."""
    return Limits(
        context_length=context,
        concurrent_requests=max(16, streams),
        max_concurrent=streams,
        instruction_set=instruction_set,
    )


async def read(router: AsyncRouter, order: Order, prompt: str) -> Stream:
    """Read one answer."""
    found = Stream()
    tenant = "bench" if order.shared else None
    answer = router.stream(
        prompt, raw=True, model=MODEL, tenant=tenant, max_tokens=order.tokens, temperature=0
    )
    async for piece in answer:
        if piece.text:
            found.times.append(order.now())
    result = answer.result
    found.prompt_tokens, found.tokens, found.text = (
        result.prompt_tokens,
        result.completion_tokens,
        result.text,
    )
    return found


async def read_all(router: AsyncRouter, order: Order) -> list[Stream]:
    """Read all answers, side by side."""
    return await asyncio.gather(*(read(router, order, prompt) for prompt in order.prompts))


def cpu_seconds() -> float:
    """Return the processor time of this process; the worker is another one."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Load, and answer."""
    path, threads, streams, context = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    # What is none of them is refused by `Limits`.
    instruction_set = cast("InstructionSet", sys.argv[5] if len(sys.argv) > 5 else "auto")
    with path.open("rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    settings = Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=threads, memory_limit="16GB")),
        limits=limits(streams, context, instruction_set),
    )
    with asyncio.Runner() as runner:
        router = AsyncRouter(settings)
        info = runner.run(router.load(MODEL, path, checksum=checksum))

        def answer(order: Order) -> Served:
            before = cpu_seconds()
            found = runner.run(read_all(router, order))
            return Served(found, order.now(), cpu_seconds() - before)

        layers = ", ".join(layer.name for layer in info.sandbox)
        version = f"strongroom {strongroom.__version__}"
        system = f"{info.instruction_set}, isolation: {layers}"
        serve(answer, version=version, system=system, threads=info.threads)
        runner.run(router.close())


if __name__ == "__main__":
    main()
