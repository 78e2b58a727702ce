"""Write ``compute_intervals.csv``: ``PYTHONPATH=tests python tools/fit_compute_intervals.py > TABLE``.

Takes the folder of the measurements (default ``../shared/data``) and prints the table.
"""

import csv
import sys
from itertools import product
from pathlib import Path

from hwledger.planner.engines.llama_cpp.compute.intervals import GraphKind, Regime
from hwledger.planner.engines.llama_cpp.compute.rules import Place, Style
from support.compute_fit import fit, ratios_of
from support.graph_shapes import read_measured

HEADER = ("style", "place", "flash_attention", "outputs", "kind", "low", "high", "source")
STYLES = {
    Style.EARLY: "b11063, widened to 10 % after public logs up to b8211",
    Style.CLASSIC: "b11063",
    Style.MIXED: "b11549",
}


def main() -> None:
    """Fit every regime and print its row."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    ratios = ratios_of(read_measured(folder))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(HEADER)
    for style, place, flash, outputs, kind in product(
        STYLES, Place, (True, False), ("all", "few"), GraphKind
    ):
        found = fit(ratios, Regime(style, place, flash, outputs, kind))
        source = f"llama.cpp {STYLES[style]}; libllama's own planner, {found.source}"
        flag = "on" if flash else "off"
        table.writerow([style, place, flag, outputs, kind, f"{found.low:.4f}", f"{found.high:.4f}", source])


if __name__ == "__main__":
    main()
