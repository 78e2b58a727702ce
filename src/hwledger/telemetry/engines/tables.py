"""The tables of what engines tell, as ``telemetry/data`` has them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hwledger.shipped import shipped_text
from hwledger.telemetry.quantity import Quantity

Names = tuple[str, ...]
"""One figure under the names of several versions; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of an engine's page of metrics.

    Attributes:
        engine: whose page.
        quantity: what it is.
        names: what it is called, newest first.
        factor: makes base units of it.
        join: how replicas are put together: ``sum``, ``share`` or ``same``.
        idle_zero: why a zero is no reading; empty where zero means zero.
        below_zero: what a number below zero stands for; empty where it cannot be.
    """

    engine: str
    quantity: Quantity
    names: Names
    factor: float = 1.0
    join: str = "sum"
    idle_zero: str = ""
    below_zero: str = ""


@dataclass(frozen=True, slots=True)
class Quotient:
    """A share that follows from counts of one page.

    Attributes:
        engine, quantity: as ``Metric``.
        part, whole: counts that are added, each under several names.
    """

    engine: str
    quantity: Quantity
    part: tuple[Names, ...]
    whole: tuple[Names, ...]


@dataclass(frozen=True, slots=True)
class MetricTable:
    """What all engines count.

    Attributes:
        prefixes: how the names of each engine begin.
        same_ranks: labels of ranks that hold the same requests.
        replicas: labels of replicas that hold different ones.
        model: labels that name the model.
        metrics, quotients: by engine.
    """

    prefixes: Mapping[str, str]
    same_ranks: frozenset[str]
    replicas: tuple[str, ...]
    model: tuple[str, ...]
    metrics: Mapping[str, tuple[Metric, ...]]
    quotients: Mapping[str, tuple[Quotient, ...]]

    def names(self, engine: str) -> frozenset[str]:
        """Return every name of an engine's page that is read."""
        plain = {name for metric in self.metrics[engine] for name in metric.names}
        shares = {
            name for each in self.quotients[engine] for names in (*each.part, *each.whole) for name in names
        }
        return frozenset(plain | shares)


def data(name: str) -> dict[str, Any]:
    """Return one of the data files, ``engine_metrics``, as TOML has it."""
    return tomllib.loads(shipped_text("hwledger.telemetry", f"data/{name}.toml"))


@cache
def metric_table() -> MetricTable:
    """Return what all engines count on their pages."""
    told = data("engine_metrics")
    metrics = [_metric(row) for row in told["metric"]]
    quotients = [_quotient(row) for row in told["quotient"]]
    return MetricTable(
        prefixes=told["prefixes"],
        same_ranks=frozenset(told["same_ranks"]),
        replicas=tuple(told["replicas"]),
        model=tuple(told["model"]),
        metrics={name: tuple(m for m in metrics if m.engine == name) for name in told["prefixes"]},
        quotients={name: tuple(q for q in quotients if q.engine == name) for name in told["prefixes"]},
    )


def _metric(row: Mapping[str, Any]) -> Metric:
    return Metric(
        row["engine"], Quantity(row["quantity"]), tuple(row["names"]), float(row.get("factor", 1)),
        row.get("join", "sum"), row.get("idle_zero", ""), row.get("below_zero", ""),
    )  # fmt: skip


def _quotient(row: Mapping[str, Any]) -> Quotient:
    part, whole = (tuple(tuple(names) for names in row[key]) for key in ("part", "whole"))
    return Quotient(row["engine"], Quantity(row["quantity"]), part, whole)
