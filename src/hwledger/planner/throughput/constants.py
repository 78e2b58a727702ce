"""The fitted constants and intervals that ship, and what they make of terms."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import exp

from hwledger.planner.throughput.terms import Term
from hwledger.shipped import shipped_text

BOUND_BY = {
    "weights": "memory bandwidth", "experts": "memory bandwidth", "cache": "memory bandwidth",
    "reading": "memory bandwidth", "scores": "memory bandwidth", "matrices": "compute",
    "attention": "compute", "expert matrices": "compute", "layers": "launches", "routing": "launches",
    "states": "launches", "launches": "launches", "hops": "links", "host": "host memory bandwidth",
    "copies": "PCIe",
}  # fmt: skip
"""What each term waits for, in the words of ``Throughput.limits``."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Fitted constants.

    Attributes:
        values: by name; a name that is absent counts 0.
        rows: measurements behind each.
        ends: log ends of the 80 % interval by regime.
    """

    values: Mapping[str, float]
    rows: Mapping[str, int]
    ends: Mapping[str, tuple[float, float]]

    def seconds(self, term: Term) -> float:
        """Return the time of a term."""
        values = self.values
        return term.seconds * exp(sum(values.get(name, 0.0) * weight for name, weight in term.effects))

    def parts(self, terms: Iterable[Term]) -> dict[str, float]:
        """Return the seconds of terms by name."""
        found: dict[str, float] = {}
        for term in terms:
            found[term.name] = found.get(term.name, 0.0) + self.seconds(term)
        return found


@cache
def shipped_constants() -> Constants:
    """Return the constants that ship with the package."""
    fitted = _rows("constants.csv")
    return Constants(
        values={row["constant"]: float(row["value"]) for row in fitted},
        rows={row["constant"]: int(row["rows"]) for row in fitted},
        ends={
            row["regime"]: (float(row["log_low"]), float(row["log_high"])) for row in _rows("intervals.csv")
        },
    )


@dataclass(frozen=True, slots=True)
class Assumed:
    """A figure that nobody measured for us: best, lowest and highest, and why."""

    value: float
    low: float
    high: float
    source: str


@cache
def assumed(name: str) -> Assumed:
    """Return an assumption of ``data/assumed.csv``."""
    row = next(row for row in _rows("assumed.csv") if row["name"] == name)
    return Assumed(float(row["value"]), float(row["low"]), float(row["high"]), row["source"])


@cache
def _rows(name: str) -> list[dict[str, str]]:
    text = shipped_text("hwledger.planner.throughput", f"data/{name}")
    return list(csv.DictReader(text.splitlines()))


def bound_by(parts: Mapping[str, float]) -> str:
    """Return what most of the time is spent on."""
    totals: dict[str, float] = {}
    for name, seconds in parts.items():
        kind = BOUND_BY[name]
        totals[kind] = totals.get(kind, 0.0) + seconds
    return max(totals, key=totals.__getitem__)
