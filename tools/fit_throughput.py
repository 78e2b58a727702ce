"""Fit the constants of the speed model and its intervals: ``python tools/fit_throughput.py``.

Reads ``src/hwledger/accuracy/data/speed.csv`` and its priors; writes ``constants.csv`` and ``intervals.csv``
of ``planner/throughput/data``, which the package predicts with, and ``accuracy/data/speed_held_out.csv``:
for each measurement what constants predict that never saw its device, or its model. Takes some minutes.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from hwledger.accuracy.speed.fitting import Floats
from hwledger.accuracy.speed.folds import (
    QUANTITIES,
    Evaluation,
    device_key,
    evaluation,
    family_key,
    model_key,
)
from hwledger.accuracy.speed.intervals import Errors, together
from hwledger.planner.throughput.regime import HARDWARE, SITUATIONS, group_of

PACKAGE = Path(__file__).parent.parent / "src/hwledger"
SOURCE = "tools/fit_throughput.py on accuracy/data/speed.csv"
EVENNESS = 0.25
"""Quantiles are to hold for rows, and for devices: rows of one device count a little less than others."""
KEYS = {"device": device_key, "model": model_key, "family": family_key}


@dataclass(frozen=True)
class Fitted:
    """One quantity, fitted: all constants, and predictions per way of leaving out."""

    rows: Evaluation
    constants: Floats
    predictions: dict[str, Floats]

    def errors(self, way: str) -> Errors:
        """Return the held-out errors of one way of leaving out."""
        used = (
            np.array(self.rows.others) if way == "model" else np.full(len(self.rows.cases), fill_value=True)
        )
        kept = np.flatnonzero(used)
        groups, keys = self.rows.groups, self.keys(way)
        tags = [frozenset(pair) for pair in zip(self.keys("device"), self.keys("model"), strict=True)]
        return Errors(
            logs=np.log(self.predictions[way] / self.rows.seconds)[kept],
            hardware=[groups[row][0] for row in kept],
            situations=[groups[row][1] for row in kept],
            keys=[keys[row] for row in kept],
            tags=[tags[row] for row in kept],
            weights=self.rows.weights[kept] ** EVENNESS,
        )

    def keys(self, way: str) -> list[str]:
        """Return the key of each row."""
        return [f"{way} {KEYS[way](case)}" for case in self.rows.cases]


def fitted(quantity: str) -> Fitted:
    """Fit one quantity, and once more without each device, model and family."""
    rows = evaluation(quantity)
    constants = rows.everything()
    predictions = {way: rows.left_out([key(c) for c in rows.cases], constants) for way, key in KEYS.items()}
    return Fitted(rows, constants, predictions)


def write(path: str, heads: list[str], lines: Iterable[list[object]]) -> None:
    """Write one table into the package."""
    with (PACKAGE / path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(lines)


def constants(parts: list[Fitted]) -> Iterable[list[object]]:
    """Yield every constant with the number of measurements that bear on it."""
    for part in parts:
        made = part.rows.made
        count = dict.fromkeys(made.names, 0)
        for columns, design in zip(made.columns, made.designs, strict=True):
            for column, used in zip(columns, (design != 0).sum(axis=0), strict=True):
                count[made.names[column]] += int(used)
        for name, value in zip(made.names, part.constants, strict=True):
            yield [name, f"{value:.4f}", count[name], SOURCE]


def unseen(part: Fitted) -> tuple[float, float]:
    """Return the ends for families that were never measured."""
    errors = part.errors("family")
    everything = ["any"] * len(errors.logs)
    return replace(errors, hardware=everything, situations=everything).ends("any", "any")


def intervals(parts: list[Fitted]) -> Iterable[list[object]]:
    """Yield the log ends of every group's interval."""
    for part in parts:
        errors, groups = together([part.errors("device"), part.errors("model")]), part.rows.groups
        for hardware, situation in product(HARDWARE, SITUATIONS):
            low, high = errors.ends(hardware, situation)
            name = group_of(part.rows.quantity, hardware, situation)
            yield [name, f"{low:.4f}", f"{high:.4f}", groups.count((hardware, situation)), SOURCE]
        low, high = unseen(part)
        yield [f"{part.rows.quantity}, family never measured", f"{low:.4f}", f"{high:.4f}", 0, SOURCE]


def held_out(part: Fitted) -> Iterable[list[object]]:
    """Yield each row's predictions, with intervals that nothing of its device, or model, had a part in."""
    both = together([part.errors("device"), part.errors("model")])
    keys, others = {way: part.keys(way) for way in ("device", "model")}, part.rows.others
    known: dict[tuple[str, tuple[str, str]], tuple[float, float]] = {}
    facts = zip(part.rows.cases, part.rows.regimes, part.rows.groups, strict=True)
    for row, (case, regime, group) in enumerate(facts):
        rate = case.prompt if part.rows.quantity == "prefill" else 1.0
        figures: list[object] = []
        for way, key in keys.items():
            if (key[row], group) not in known:
                known[key[row], group] = both.without(key[row]).ends(*group)
            low, high = known[key[row], group]
            best = rate / part.predictions[way][row]
            figures += [f"{best:.5g}", f"{best * np.exp(low):.5g}", f"{best * np.exp(high):.5g}"]
        yield [part.rows.quantity, regime, case.name, *figures, "yes" if others[row] else ""]


def main() -> None:
    """Fit, and write the three tables."""
    parts = [fitted(quantity) for quantity in QUANTITIES]
    write("planner/throughput/data/constants.csv", ["constant", "value", "rows", "source"], constants(parts))
    heads = ["regime", "log_low", "log_high", "rows", "source"]
    write("planner/throughput/data/intervals.csv", heads, intervals(parts))
    heads = [
        "quantity",
        "regime",
        "case",
        "device",
        "device_low",
        "device_high",
        "model",
        "model_low",
        "model_high",
        "others",
    ]
    write("accuracy/data/speed_held_out.csv", heads, (line for part in parts for line in held_out(part)))


if __name__ == "__main__":
    main()
