"""What Intel's tools call each value, from ``data/intel.toml``."""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from hwledger.shipped import shipped_text
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Gauge, Reading, Readings, Reason

VENDOR: Final = "Intel"
DRIVERS: Final = frozenset({"i915", "xe"})
SOURCE: Final = "xpu-smi"
NOT_KNOWN: Final = Absent(Reason.UNSUPPORTED, "xpu-smi says -1, for a count that it does not know", SOURCE)
NOT_THERE: Final = Absent(Reason.UNSUPPORTED, "xpu-smi has the field and leaves it blank", SOURCE)


@cache
def _tables() -> Mapping[str, list[dict[str, Any]]]:
    return tomllib.loads(shipped_text("hwledger.telemetry", "data/intel.toml"))


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of one table."""
    return _tables()[name]


@cache
def labels() -> frozenset[str]:
    """Return every label of a statistic that is read."""
    return frozenset(name for row in _tables()["reading"] for name in row["names"])


def told(
    ask: Callable[[str], object], gauge: Gauge, *, table: str = "reading", by: str = "names"
) -> Readings:
    """Return the readings that an output tells; a field that it leaves blank is unsupported.

    Args:
        ask: what stands under a name; ``None`` where it is not there.
        gauge: the source.
        table: ``reading`` or ``discovery``.
        by: ``names`` or ``types``.
    """
    found: dict[Quantity, Reading] = {}
    for row in _tables()[table]:
        quantity = Quantity(row["quantity"])
        value = next((value for name in row.get(by, ()) if (value := ask(name)) is not None), None)
        if value is not None:
            unit = row.get("type_unit", row.get("unit", "")) if by == "types" else row.get("unit", "")
            found[quantity] = _reading(quantity, value, unit, gauge, textual=row.get("text", False))
    return MappingProxyType(found)


def _reading(quantity: Quantity, value: object, unit: str, gauge: Gauge, *, textual: bool) -> Reading:
    if isinstance(value, str) and not value.strip():
        return NOT_THERE
    if not textual:
        counts = MEANINGS[quantity].unit is Unit.COUNT
        return NOT_KNOWN if counts and str(value).strip() == "-1" else measured(gauge, quantity, value, unit)
    said = str(value).strip()
    nothing = said_nothing(said, gauge.source)
    return nothing if nothing is not None else gauge(quantity, said[:80])


def complaint(text: str) -> Absent | None:
    """Return why xpu-smi printed something in place of an answer; ``None``: no complaint that is known."""
    low = text.lower()
    for row in rows("complaint"):
        if any(words in low for words in row["within"]):
            return Absent(Reason(row["reason"]), row["says"], SOURCE)
    return None
