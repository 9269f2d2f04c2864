"""The table, and the file for programs."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benches.peers.figures import Figures, Row
from benches.peers.goals import OURS
from benches.report import replace_between

COLUMNS = (
    "prompts",
    "streams",
    "contender",
    "tokens/s",
    "decoding",
    "first token",
    "gap p50",
    "gap p99",
    "CPU/token",
    "asking",
    "ours ÷ it",
    "95 % interval",
    "goal",
    "",
    "decoding ÷",
    "CPU ÷",
)
BUSY_SHARE = 0.05
"""Of the machine, used by others: with more, times say little."""


def machine() -> dict[str, Any]:
    """Describe this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "processor": next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?"),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def milliseconds(seconds: float | None) -> str:
    """Write a time."""
    return "" if seconds is None else f"{seconds * 1e3:.1f} ms"


def rate(value: float | None) -> str:
    """Write a rate."""
    return "" if value is None else f"{value:.1f}"


def figure_cells(figures: Figures) -> list[str]:
    """Write a contender's figures."""
    asking = figures.host_cpu_per_token
    return [
        rate(figures.request_rate),
        rate(figures.decode_rate),
        milliseconds(figures.first_token_seconds),
        milliseconds(figures.gap_median),
        milliseconds(figures.gap_99),
        milliseconds(figures.cpu_per_token),
        "" if asking is None else f"{asking * 1e6:.0f} µs",
    ]


def ratio_cells(row: Row) -> list[str]:
    """Write what Strongroom is to it."""
    requests = row.requests
    if requests is None:
        return [""] * 6
    return [
        f"{requests.median:.3f}",
        f"{requests.low:.3f}-{requests.high:.3f}",
        str(requests.goal or ""),
        requests.verdict,
        "" if row.decoding is None else f"{row.decoding.median:.3f}",
        "" if row.cpu is None else f"{row.cpu.median:.3f}",
    ]


def show(rows: list[Row], contenders: dict[str, Any], console: Console) -> None:
    """Print a table for each model, and what makes it doubtful."""
    for model in dict.fromkeys(row.model for row in rows):
        table = Table(title=f"Many requests at once, {model}", title_justify="left")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in {"prompts", "contender"} else "right")
        last = None
        for row in rows:
            if row.model != model:
                continue
            if last not in (None, (row.case, row.streams)):
                table.add_section()
            last = (row.case, row.streams)
            cells = figure_cells(row.figures) if row.figures else ["failed", *[""] * 6]
            ratios = ratio_cells(row)
            table.add_row(row.case, str(row.streams), row.contender, *cells, *ratios)
        console.print(table)
    for doubt in unequal_sets(contenders) + doubts(rows):
        console.print(f"[bold]beware[/bold]: {escape(doubt)}")


def doubts(rows: list[Row]) -> list[str]:
    """Say what makes figures doubtful."""
    found = [
        f"{row.contender} failed in {row.model}, {row.case}, {row.streams} streams: {row.failure}"
        for row in rows
        if row.failure
    ]
    measured = [row for row in rows if row.figures]
    busy = max((row.figures.foreign_share for row in measured if row.figures), default=0.0)
    if busy > BUSY_SHARE:
        found.append(f"others used up to {busy:.0%} of the machine: of the times only those of CPU hold")
    idle = max((row.idle_share for row in measured), default=0.0)
    if idle > BUSY_SHARE:
        found.append(f"contenders used up to {idle:.0%} of another's processor time out of their turn")
    for model, case, streams in dict.fromkeys((row.model, row.case, row.streams) for row in measured):
        same = [row for row in measured if (row.model, row.case, row.streams) == (model, case, streams)]
        for name in ("prompt_tokens", "tokens"):
            counts = {row.contender: getattr(row.figures, name) for row in same}
            if min(counts.values()) < 0.98 * max(counts.values()):
                found.append(f"{name} differ in {model}, {case}, {streams} streams: {counts}")
    return found


def instruction_sets(system: str) -> frozenset[str]:
    """Return the sets of vector instructions that a llama.cpp says it was compiled for."""
    return frozenset(re.findall(r"\b(AVX\w*|FMA|F16C|AMX\w*) = 1", system))


def unequal_sets(contenders: dict[str, Any]) -> list[str]:
    """Say where contenders compute with different sets of instructions; one in a sandbox can't be asked."""
    sets = {name: instruction_sets(ready["system"]) for name, ready in contenders.items()}
    told = {name: found for name, found in sets.items() if found}
    if len(set(told.values())) <= 1:
        return []
    return [f"{name} computes with {', '.join(sorted(found))}" for name, found in told.items()]


def header(contenders: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Say what was measured, and on what."""
    lines = [", ".join(f"{name} {value}" for name, value in machine().items())]
    lines += [f"{name}: {ready['version']}; {ready['system']}" for name, ready in contenders.items()]
    lines.append(", ".join(f"{name} {value}" for name, value in settings.items()))
    return lines


def publish(rows: list[Row], contenders: dict[str, Any], settings: dict[str, Any], readme: Path) -> None:
    """Write what was measured into the README, between the marks that name the models and cases."""
    models = list(dict.fromkeys(row.model for row in rows))
    names = list(dict.fromkeys(row.contender for row in rows))
    others = [name for name in names if name != OURS]
    measured = {**machine(), **settings, "instructions": contenders[OURS]["system"].split(",")[0]}
    versions = ", ".join(ready["version"] for ready in contenders.values())
    lines = [
        f"{', '.join(f'{name} {value}' for name, value in measured.items())}; {versions}.",
        "",
        f"| prompts | streams | {OURS} | {' | '.join(f'÷ {name}' for name in others)} | gap p99 ÷ p50 |",
        "|---" * (len(others) + 4) + "|",
    ]
    for case, streams in dict.fromkeys((row.case, row.streams) for row in rows):
        cells = {row.contender: row for row in rows if (row.case, row.streams) == (case, streams)}
        ours = cells[OURS].figures
        gaps = f"{ours.gap_99 / ours.gap_median:.2f}" if ours and ours.gap_median and ours.gap_99 else ""
        ratios = [ratio_of(cells[name]) for name in others]
        rate_cell = f"{ours.request_rate:.0f} tokens/s" if ours else "failed"
        lines.append(f"| {case} | {streams} | {rate_cell} | {' | '.join(ratios)} | {gaps} |")
    lines += ["", *(f"Beware: {doubt}." for doubt in doubts(rows))]
    cases = list(dict.fromkeys(row.case for row in rows))
    replace_between(readme, f"bench-peers MODELS={','.join(models)} CASES={','.join(cases)}", lines)


def ratio_of(row: Row) -> str:
    """Write what Strongroom is to a contender."""
    requests = row.requests
    if requests is None:
        return "failed"
    found = f"{requests.median:.2f} ({requests.low:.2f} to {requests.high:.2f})"
    return f"{found}, goal {requests.goal}: {requests.verdict}" if requests.goal else found


def write(rows: list[Row], contenders: dict[str, Any], settings: dict[str, Any], out: Path) -> None:
    """Write the figures for programs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": machine(),
        "contenders": contenders,
        "settings": settings,
        "doubts": unequal_sets(contenders) + doubts(rows),
        "rows": [row.plain() for row in rows],
    }
    out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
