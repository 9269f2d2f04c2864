"""`python -m benches.peers.plot REPORT PICTURE`: new tokens per second against streams, for each case.

Run in the peers' environment, which has matplotlib.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl  # type: ignore[import-not-found]

mpl.use("agg")
from matplotlib import pyplot as plt


def main() -> None:
    """Draw."""
    report = json.loads(Path(sys.argv[1]).read_text())
    rows = [row for row in report["rows"] if row["figures"]]
    panels = list(dict.fromkeys((row["model"], row["case"]) for row in rows))
    width = min(2, len(panels))
    height = -(-len(panels) // width)
    figure, axes = plt.subplots(
        height, width, figsize=(6 * width, 4 * height), squeeze=False, layout="constrained"
    )
    for place in axes.flat[len(panels) :]:
        place.set_visible(False)
    for (model, case), place in zip(panels, axes.flat, strict=False):
        inside = [row for row in rows if (row["model"], row["case"]) == (model, case)]
        for name in dict.fromkeys(row["contender"] for row in inside):
            line = sorted((row for row in inside if row["contender"] == name), key=lambda row: row["streams"])
            rates = [row["figures"]["request_rate"] for row in line]
            edges = [row["figures"]["request_interval"] for row in line]
            below = [max(0.0, rate - low) for rate, (low, _) in zip(rates, edges, strict=True)]
            above = [max(0.0, high - rate) for rate, (_, high) in zip(rates, edges, strict=True)]
            streams = [row["streams"] for row in line]
            place.errorbar(streams, rates, yerr=[below, above], label=name, marker="o", capsize=3)
        place.set_title(f"{model}, {case}")
        place.set_xscale("log", base=2)
        ticks = sorted({row["streams"] for row in inside})
        place.set_xticks(ticks, [str(tick) for tick in ticks])
        place.set_xlabel("streams")
        place.set_ylabel("new tokens per second")
        place.set_ylim(bottom=0)
        place.legend()
    figure.savefig(sys.argv[2], dpi=120)


if __name__ == "__main__":
    main()
