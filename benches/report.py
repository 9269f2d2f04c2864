"""What every bench does with its figures: a table for people, JSON for programs, the README's table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.pairs import Measurement


def console_of(width: int = 150) -> Console:
    """Make a console, of `width` columns where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def progress_on(console: Console) -> Callable[[str], None]:
    """Return what shows how far a measurement is: in one line of a terminal, and nowhere else."""

    def progress(text: str) -> None:
        if console.is_terminal:
            console.print(f"\r{text}\x1b[K", end="", highlight=False)

    return progress


def checksum_of(path: Path) -> str:
    """Return a file's digest as a load takes it."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def show(measurements: list[Measurement], asides: list[tuple[str, str]], console: Console) -> None:
    """Print the table and what stands beside it."""
    table = Table(title="Strongroom against what it stands on", title_justify="left")
    for column in ("measure", "ratio", "95 % interval", "goal", "", "ours", "reference", "unit", "pairs"):
        table.add_column(column, justify="left" if column in {"measure", "unit"} else "right")
    for m in measurements:
        table.add_row(
            m.name,
            f"{m.ratio:.3f}",
            f"{m.low:.3f}-{m.high:.3f}",
            str(m.goal or ""),
            m.verdict,
            f"{m.ours:.4g}",
            f"{m.reference:.4g}",
            m.unit,
            str(m.rounds),
        )
    console.print(table)
    for name, value in asides:
        console.print(f"{name}: {value}")


def publish(measurements: list[Measurement], readme: Path, target: str) -> None:
    """Write the table into the README, between the marks of the target of `make` that measured it."""
    rows = ["| measure | ratio | 95 % interval | goal | ours | reference | pairs |", "|---" * 7 + "|"]
    rows += [
        f"| {m.name} | {m.ratio:.3f} | {m.low:.3f} to {m.high:.3f} | {m.goal or ''} "
        f"| {m.ours:.3g} {m.unit} | {m.reference:.3g} {m.unit} | {m.rounds} |"
        for m in measurements
    ]
    replace_between(readme, target, rows)


def replace_between(readme: Path, target: str, lines: list[str]) -> None:
    """Write lines between the marks of a target of `make`."""
    text = readme.read_text()
    start = text.index("\n", text.index(f"<!-- figures: make {target} PUBLISH=1")) + 1
    end = text.index("<!-- end of figures -->", start)
    readme.write_text(text[:start] + "\n".join(lines) + "\n" + text[end:])


def write(measurements: list[Measurement], out: Path) -> None:
    """Write the figures for programs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "name": m.name,
            "ratio": m.ratio,
            "goal": str(m.goal or ""),
            "ours": m.ours,
            "reference": m.reference,
            "unit": m.unit,
            "rounds": m.rounds,
            "interval": [m.low, m.high],
            "verdict": m.verdict,
        }
        for m in measurements
    ]
    out.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def judge(measurements: list[Measurement]) -> int:
    """Return the exit code: 1 where a goal was missed."""
    return int(any(measurement.verdict == "missed" for measurement in measurements))
