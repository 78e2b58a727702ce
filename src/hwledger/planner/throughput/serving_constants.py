"""The fitted constants of the serving model, and which of them apply to a case."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Final

from hwledger.planner.throughput.serving_loads import ServingCase, rate_of
from hwledger.planner.throughput.serving_model import Multipliers
from hwledger.shipped import shipped_text

PACKAGE: Final = "hwledger.planner.throughput"
QUANTITIES: Final = tuple(field.name for field in fields(Multipliers))
SHARPNESS: Final = 6
"""How closely a share follows its bound: (1 + (value / most)^6)^(1/6) divides it."""


@dataclass(frozen=True, slots=True)
class Constants:
    """One fit.

    Attributes:
        base: value of each quantity.
        most: the bound of those that are shares of a peak.
        effects: multipliers by (quantity, effect); one that was never fitted is 1.
    """

    base: Mapping[str, float]
    most: Mapping[str, float]
    effects: Mapping[tuple[str, str], float]

    @property
    def architectures(self) -> frozenset[str]:
        """Architectures of devices that were measured."""
        tags = (tag.partition(":") for _, tag in self.effects)
        return frozenset(name for kind, _, name in tags if kind == "architecture")

    def apply(self, tags: Iterable[str]) -> Multipliers:
        """Return the constants of a case with these effects."""
        tags = tuple(tags)
        values = {}
        for name in QUANTITIES:
            value = self.base[name]
            for tag in tags:
                value *= self.effects.get((name, tag), 1.0)
            values[name] = bounded(value, self.most.get(name))
        return Multipliers(**values)


def bounded(value: float, most: float | None) -> float:
    """Return a value that nears its bound smoothly."""
    if not most:
        return value
    ratio: float = (1.0 + (value / most) ** SHARPNESS) ** (1.0 / SHARPNESS)
    return value / ratio


def tags_of(case: ServingCase) -> tuple[str, ...]:
    """Return the effects that apply to a case; each is a row of ``data/serving_constants.csv`` or none."""
    own = rate_of(case.device, case.weights)[1]
    tags = [f"engine:{case.engine}", f"weights:{case.weights}", f"architecture:{case.device.architecture}"]
    if not own:
        tags += [f"widened:{case.weights}", f"widened:{case.weights} {case.engine}"]
    if case.work.experts:
        tags.append("experts")
    if case.latent:
        tags.append("latent")
    return tuple(tags)


def read_constants(rows: Iterable[Mapping[str, str]]) -> Constants:
    """Return the constants of a table with the columns quantity, effect, value and most."""
    base, most, effects = {}, {}, {}
    for row in rows:
        if row["effect"]:
            effects[row["quantity"], row["effect"]] = float(row["value"])
        else:
            base[row["quantity"]] = float(row["value"])
            if row["most"]:
                most[row["quantity"]] = float(row["most"])
    return Constants(base, most, effects)


@cache
def shipped_constants() -> Constants:
    """Return the constants that ship with the package."""
    return read_constants(table("serving_constants.csv"))


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured over predicted on cases left out of the fit: the ends between which 80 % of a new case lie.

    Attributes:
        low, high: the quantiles.
        count: rows behind them.
    """

    low: float
    high: float
    count: int

    def widened(self, factor: float) -> "Spread":
        """Return the spread with its logarithm ``factor`` times as wide."""
        return Spread(self.low**factor, self.high**factor, self.count)


@cache
def shipped_spreads() -> dict[tuple[str, str], Spread]:
    """Return the spreads by figure (``tpot``, ``ttft``) and regime (an engine, or ``new architecture``)."""
    return read_spreads(table("serving_intervals.csv"))


def read_spreads(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], Spread]:
    """Return the spreads of a table with the columns figure, regime, low, high and rows."""
    return {
        (row["figure"], row["regime"]): Spread(float(row["low"]), float(row["high"]), int(row["rows"]))
        for row in rows
    }


def table(name: str) -> list[dict[str, str]]:
    """Return the rows of one table of ``data/``; lines that start with ``#`` are notes."""
    text = shipped_text(PACKAGE, f"data/{name}")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
