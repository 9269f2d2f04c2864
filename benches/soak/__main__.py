"""`make soak`: everything at once, for minutes, and an account of every request.

One process has a Router and an AsyncRouter, and each of them a model whose worker is killed again and again,
one that comes and goes, two that make place for one another, and a steady one. Tenants ask all of them, in
every way there is, bad ones too. Every request has to end in a way that it may end in, each answer has to be
the one that its prompt has, and nothing may be left over or grow. Writes `benches/out/soak.json`; returns 1
where anything is wrong.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benches.soak.asking import MORTAL, RESTING, STEADY, VECTORS, Draw
from benches.soak.book import Book
from benches.soak.growth import MIB, Size, all_started, children, grown
from benches.soak.ledger import Ledger
from benches.soak.loop import Tasks
from benches.soak.side import ForLoops, ForThreads, Side, held
from benches.soak.threads import Threads
from benches.soak.trouble import Kills, Trouble, troubles
from strongroom import Limits, Router, Sandboxing, Security, Settings

OUT = Path("benches/out/soak.json")
SLOTS = 8
MOST = 24
"""Requests that a model holds."""
TENANT_MOST = 8
READERS = 10
"""Threads that ask, and twice as many tasks."""
WATCHDOG_SECONDS = 60.0
QUIET_SECONDS = 60.0
"""Between two moments without requests, which show what has grown; the first one is the measure."""
KILL_SECONDS = 20.0


def settings(total_memory: int | None = None) -> Settings:
    """Little of everything, so that every bound is met."""
    return Settings(
        security=Security(sandboxing=Sandboxing(cpu_limit=1, timeout="45s")),
        limits=Limits(
            context_length=512,
            concurrent_requests=MOST,
            tenant_requests=TENANT_MOST,
            max_concurrent=SLOTS,
            prefix_cache="512KB",
            prefix_tenants=6,
            prefix_idle="2s",
            piece_interval="1ms",
            total_memory=total_memory,
        ),
    )


@dataclass
class Report:
    """What came of it."""

    seed: int
    model: str
    seconds: float = 0.0
    prompts: int = 0
    left_out: int = 0
    marks: int = 0
    sizes: list[Size] = field(default_factory=list)
    small: int = 0
    small_grown: dict[str, float] = field(default_factory=dict)


class Soak:
    """The whole of it, step by step."""

    def __init__(self, path: Path, seed: int, console: Console) -> None:
        """Load what has to be there all the time."""
        with path.open("rb") as file:
            checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self.console = console
        self.ledger = Ledger()
        self.report = Report(seed, path.name)
        with Router(settings()) as router:
            takes = router.load(STEADY, path, checksum=checksum).memory.total
        # A place for each that stays, and two for the three that come and go.
        places = 5
        bounded = settings(places * takes + takes // 2)
        self.threads = ForThreads(bounded, path, checksum)
        self.loop = ForLoops(bounded, path, checksum)
        self.sides: list[Side] = [self.threads, self.loop]
        for side in self.sides:
            side.load(STEADY, keep=True)
            side.load(MORTAL, keep=True)
            side.load(VECTORS, keep=True, embeddings="mean")
            for name in RESTING:
                side.load(name)
        self.kills = Kills(self.ledger, self.sides)
        self._began = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def run(self, seconds: float, small: int) -> None:
        """Do everything, for so many seconds; then `small` requests of one token."""
        source = random.Random(self.report.seed)  # noqa: S311 - reproducible, not secret
        self._show("asking everything undisturbed")
        book = Book.of(self.threads.router, STEADY, VECTORS, source)
        self.report.prompts, self.report.left_out = len(book.answers), book.left_out
        self.report.marks = len(book.marks)
        self._began = time.monotonic()
        seed = self.report.seed
        disturbers = troubles(
            self.ledger,
            self.sides,
            book,
            self.kills,
            seed=seed,
            every=min(KILL_SECONDS, seconds / 4),
            slots=SLOTS,
            most=MOST,
        )
        draws = [Draw(f"{seed} {number}", book) for number in range(3 * READERS)]
        asking: list[Threads | Tasks | Trouble] = [
            Threads(self.threads.router, self.ledger, draws[:READERS]),
            Tasks(self.loop.loop, self.loop.router, self.ledger, draws[READERS:]),
            *disturbers,
        ]
        while (left := seconds - self.passed) > 0:
            self._round(min(QUIET_SECONDS, seconds / 4, left))
        self.ledger.over.set()
        for each in asking:
            each.join()
        self._small(small)
        for side in self.sides:
            side.close()
        deadline = time.monotonic() + 5
        while (left_over := children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left_over:
            self.ledger.fault(f"{len(left_over)} workers are left when everything is closed")

    @property
    def passed(self) -> float:
        """Seconds since the first request that was disturbed."""
        return time.monotonic() - self._began

    def _show(self, words: str) -> None:
        if self.console.is_terminal:
            self.console.print(f"\r{words}\x1b[K", end="", highlight=False)

    def _round(self, seconds: float) -> None:
        """Let everything happen for a while; then stop, and look at what is left."""
        end = time.monotonic() + seconds
        self.ledger.admit(open_for_new=True)
        while (left := end - time.monotonic()) > 0:
            self._show(
                f"{self.passed:.0f} s: {self.ledger.asked} asked, {self.ledger.under_way} under way, "
                f"{len(self.kills.recoveries)} workers killed, {self.ledger.fault_count} faults"
            )
            time.sleep(min(0.5, left))
        self.ledger.admit(open_for_new=False)
        while self.ledger.under_way:  # the watchdog ends what hangs
            time.sleep(0.01)
        self.ledger.check()
        for side in self.sides:
            for name in RESTING:  # both are awake at each of these moments
                side.complete(name)
            for words in held(side, MOST):
                self.ledger.fault(words)
        size = Size.now(self.passed, self._steady())
        self.report.sizes.append(size)
        if len(self.report.sizes) > 1:
            for words in grown(self.report.sizes[0], size):
                self.ledger.fault(f"after {size.seconds:.0f} s {words}")

    def _steady(self) -> list[int]:
        """Return the pids of the workers that nobody kills."""
        infos = [info for side in self.sides for info in side.models() if info.name == STEADY]
        for info in infos:
            if info.restarts:
                self.ledger.fault(f"{STEADY}: its worker died, though nobody killed it")
        return [info.pid for info in infos]

    def _small(self, count: int) -> None:
        """Ask for one token again and again: what each leaves would add up."""
        router = self.threads.router

        def ask(number: int) -> None:
            ticket = self.ledger.part("small", STEADY)
            router.complete("the", model=STEADY, max_tokens=1, tenant=f"small {number % 50}")
            self.ledger.end(ticket, "answered")

        with all_started(TENANT_MOST) as threads:
            list(threads.map(ask, range(count // 10)))
            before = Size.now(self.passed, self._steady())
            for begin in range(0, count, 500):
                self._show(f"{begin} of {count} small requests")
                list(threads.map(ask, range(begin, min(begin + 500, count))))
            after = Size.now(self.passed, self._steady())
        self.report.small = count
        self.report.small_grown = {
            "host_mib": (after.host - before.host) / MIB,
            "worker_mib": (after.workers[0] - before.workers[0]) / MIB,
        }
        for words in grown(before, after):
            self.ledger.fault(f"after {count} small requests {words}")

    def _watch(self) -> None:
        """End this process where a request hangs: whoever waits for it can't."""
        while True:
            time.sleep(1)
            if hanging := self.ledger.overdue(WATCHDOG_SECONDS):
                for words in hanging:
                    self.ledger.fault(words)
                faulthandler.dump_traceback(sys.stderr)
                finish(self)
                for pid in children():
                    os.kill(pid, signal.SIGKILL)
                os._exit(1)


def finish(soak: Soak) -> int:
    """Print the summary and write the file; return what the process is to."""
    ledger, report, console = soak.ledger, soak.report, soak.console
    report.seconds = soak.passed
    soak._show("")  # noqa: SLF001 - the line that was live
    table = Table(title=f"What became of {ledger.asked} requests", title_justify="left")
    for column in ("kind", "ended", "count"):
        table.add_column(column, justify="right" if column == "count" else "left")
    last = ""
    for (kind, outcome), count in sorted(ledger.outcomes.items()):
        table.add_row("" if kind == last else kind, outcome, str(count))
        last = kind
    console.print(table)
    recoveries = sorted(soak.kills.recoveries)
    if recoveries:
        middle = recoveries[len(recoveries) // 2]
        console.print(
            f"{len(recoveries)} workers killed; the next answer came after {middle:.3f} s, at most "
            f"{recoveries[-1]:.3f} s"
        )
    console.print(
        f"{report.prompts} prompts with one answer, {report.left_out} left out for rounding; "
        f"{report.marks} tenants with a mark"
    )
    if ledger.ties:
        console.print(
            f"{len(ledger.ties)} prompts have another answer beside some others: a tie but for rounding"
        )
    for size in report.sizes:
        workers = ", ".join(f"{worker / MIB:.1f}" for worker in size.workers)
        console.print(
            f"{size.seconds:.0f} s: {size.descriptors} descriptors, {size.threads} threads, "
            f"{size.host / MIB:.1f} MiB, steady workers {workers} MiB"
        )
    if report.small:
        console.print(
            f"{report.small} small requests: this process grew by {report.small_grown['host_mib']:.2f} MiB, "
            f"the worker by {report.small_grown['worker_mib']:.2f} MiB"
        )
    for words in ledger.faults:
        console.print(f"[red]FAULT[/red] {words}", highlight=False, markup=True)
    console.print(f"SEED={report.seed}, {report.seconds:.0f} s: {ledger.fault_count} faults")
    outcomes: dict[str, Counter[str]] = {}
    for (kind, outcome), count in ledger.outcomes.items():
        outcomes.setdefault(kind, Counter())[outcome] += count
    figures: dict[str, Any] = asdict(report) | {
        "asked": ledger.asked,
        "outcomes": outcomes,
        "recovery_seconds": soak.kills.recoveries,
        "ties": len(ledger.ties),
        "faults": ledger.faults,
        "fault_count": ledger.fault_count,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if ledger.fault_count else 0


def main() -> int:
    """Soak, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file; what `specimen tiny` writes is the quickest")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--small", type=int, default=10_000, help="requests of one token in the end")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    console.print(f"SEED={seed}", highlight=False)
    soak = Soak(arguments.model, seed, console)
    soak.run(arguments.seconds, arguments.small)
    return finish(soak)


if __name__ == "__main__":
    sys.exit(main())
