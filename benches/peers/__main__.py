"""`make bench-peers`: many requests at once, against a bare llama.cpp loop, xllamacpp and llama-cpp-python.

Prints a table, and writes `benches/out/peers.json` and `benches/out/peers.png`. The same model file, the
same prompts, the same number of new tokens and threads for all; each contender is a process of its own that
stays loaded through the rounds, and computes only while it's its turn. Nobody ignores the model's end of an
answer; what came is counted. llama-cpp-python answers one request after another, the others all at once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benches.peers.contender import Contender, ContenderError
from benches.peers.figures import Row, rows
from benches.peers.goals import BARE, CONTENDERS, LLAMA_CPP_PYTHON, OURS, XLLAMACPP
from benches.peers.models import MODELS
from benches.peers.report import header, publish, show, write
from benches.peers.rounds import Results, measure
from benches.peers.workload import CASES

LOOP = Path("target/worker/avx2/x86_64-unknown-linux-gnu/worker/examples/batch_loop")
OUT = Path("benches/out")
STREAMS = "1,2,4,8,16,32"
CONTEXT = 512
"""Tokens of one stream, a multiple of 256, to which llama.cpp rounds it up."""


def commands(model: Path, streams: int, arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Return how each contender is started."""

    def contender(python: str, module: str) -> list[str]:
        counts = [str(arguments.threads), str(streams), str(CONTEXT)]
        return [python, "-m", f"benches.peers.contenders.{module}", str(model), *counts]

    options = {"threads": arguments.threads, "streams": streams, "context": CONTEXT}
    return {
        OURS: [*contender(sys.executable, "strongroom"), arguments.instruction_set],
        BARE: [str(LOOP), str(model), *(f"{name}={value}" for name, value in options.items())],
        XLLAMACPP: contender(arguments.peers, "xllamacpp"),
        LLAMA_CPP_PYTHON: contender(arguments.peers, "llama_cpp_python"),
    }


def start(model: Path, streams: int, arguments: argparse.Namespace) -> tuple[list[Contender], dict[str, str]]:
    """Start every contender, one after another; return those that run, and why others don't."""
    running: list[Contender] = []
    failures: dict[str, str] = {}
    for name, command in commands(model, streams, arguments).items():
        if name not in arguments.contenders:
            continue
        log = OUT / "peers" / f"{name.replace(' ', '-')}.log"
        try:
            running.append(Contender.start(name, command, log))
        except (ContenderError, OSError) as error:
            failures[name] = str(error)
    return running, failures


def run(arguments: argparse.Namespace, console: Console) -> tuple[list[Row], dict[str, Any]]:
    """Measure everything; return the rows, and what the contenders said of themselves."""
    found: list[Row] = []
    described: dict[str, Any] = {}

    def progress(text: str) -> None:
        if console.is_terminal:
            console.print(f"\r{text}\x1b[K", end="", highlight=False)

    for name in arguments.models:
        model = MODELS[name](arguments.directory)
        for streams in arguments.streams:
            contenders, failures = start(model, streams, arguments)
            described |= {contender.name: contender.ready for contender in contenders}
            try:
                for case in arguments.cases:
                    results = (
                        measure(
                            contenders,
                            CASES[case],
                            streams=streams,
                            tokens=arguments.tokens,
                            rounds=arguments.rounds,
                            progress=progress,
                        )
                        if contenders
                        else Results()
                    )
                    results.failures |= failures
                    faster = described.get(OURS, {}).get("system", "").startswith("avx512")
                    found += rows(name, CASES[case], streams, results, faster_kernels=faster)
            finally:
                for contender in contenders:
                    contender.close()
    return [row for row in found if row.contender in arguments.contenders], described


def listed(choices: list[str]) -> Any:  # noqa: ANN401 - what argparse calls
    """Return what reads names with commas between them."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(choices)}")
        return names

    return read


def counts(text: str) -> list[int]:
    """Read numbers with commas between them."""
    return [int(number) for number in text.split(",")]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where models are kept")
    parser.add_argument("--peers", required=True, help="Python of the environment that has the peers")
    parser.add_argument("--streams", type=counts, default=counts(STREAMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of each stream")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--instruction-set", default="auto", help="of Strongroom's worker: auto as installed, avx2 or avx512"
    )
    parser.add_argument("--readme", type=Path, help="write the table into this file, between its marks")
    parser.add_argument("--models", type=listed(list(MODELS)), default=["smollm2"])
    parser.add_argument("--cases", type=listed(list(CASES)), default=list(CASES))
    parser.add_argument("--contenders", type=listed(list(CONTENDERS)), default=list(CONTENDERS))
    return parser.parse_args()


def main() -> int:
    """Measure, print, write, draw."""
    arguments = parse()
    console = Console()
    if not console.is_terminal:
        console = Console(width=205)
    found, described = run(arguments, console)
    settings = {
        "threads": arguments.threads,
        "new tokens": arguments.tokens,
        "context of a stream": CONTEXT,
        "rounds": arguments.rounds,
        "instruction set": arguments.instruction_set,
    }
    for line in header(described, settings):
        console.print(line, highlight=False)
    show(found, described, console)
    write(found, described, settings, OUT / "peers.json")
    if arguments.readme:
        publish(found, described, settings, arguments.readme)
    picture = OUT / "peers.png"
    subprocess.run([arguments.peers, "-m", "benches.peers.plot", OUT / "peers.json", picture], check=True)
    failed = any(row.failure for row in found)
    return int(failed or any(row.requests and row.requests.verdict == "missed" for row in found))


if __name__ == "__main__":
    sys.exit(main())
