"""Which engine tells which value, where, and why not: declared for documents, held by tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from hwledger.telemetry.engines.tables import data
from hwledger.telemetry.quantity import ENGINE, Quantity

NO_WORD = "the engine has no word for it"


@dataclass(frozen=True, slots=True)
class ToldBy:
    """Where an engine tells a value.

    Attributes:
        live: what is asked of the running engine; empty where it does not tell.
        log: what is printed while it loads, or read from elsewhere; empty where nothing is.
        why_not: why a running engine does not tell it; empty where it does.
    """

    live: str = ""
    log: str = ""
    why_not: str = ""


@cache
def engine_values() -> Mapping[str, Mapping[Quantity, ToldBy]]:
    """Return for every engine and every value where it is told, or why it is not."""
    return {engine: _cells(told) for engine, told in data("engine_values").items()}


def _cells(told: Mapping[str, Mapping[str, str]]) -> Mapping[Quantity, ToldBy]:
    live, log, lacks = (told[key] for key in ("live", "log", "lacks"))
    return {
        quantity: ToldBy(
            live.get(quantity, ""), log.get(quantity, ""),
            "" if quantity in live else lacks.get(quantity, NO_WORD),
        )
        for quantity in ENGINE
    }  # fmt: skip


def told_live() -> frozenset[Quantity]:
    """Return what some running engine tells."""
    return frozenset(
        quantity for cells in engine_values().values() for quantity, cell in cells.items() if cell.live
    )
