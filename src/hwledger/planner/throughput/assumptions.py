"""Figures that nobody measured for us, each with its range and its source; and the tables of this room."""

import csv
from dataclasses import dataclass
from functools import cache

from hwledger.shipped import shipped_text


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
    row = next(row for row in data_rows("assumed.csv") if row["name"] == name)
    return Assumed(float(row["value"]), float(row["low"]), float(row["high"]), row["source"])


@cache
def data_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of ``data``."""
    text = shipped_text("hwledger.planner.throughput", f"data/{name}")
    return list(csv.DictReader(text.splitlines()))
