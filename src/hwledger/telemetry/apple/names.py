"""What Apple's tools call each value, from ``data/apple.toml``."""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading, Reason, Value

VENDOR: Final = "Apple"
KEY: Final = "Apple-0"
"""A Mac has one GPU of Apple's, which every source of its calls differently or not at all."""
SCALED: Final = "busy is scaled by the clock: this version does not tell how long the GPU was active"


@cache
def _tables() -> Mapping[str, list[dict[str, Any]]]:
    return tomllib.loads((files("hwledger.telemetry") / "data" / "apple.toml").read_text("utf-8"))


def told(table: str, ask: Callable[[str], object], gauge: Gauge) -> Mapping[Quantity, Reading]:
    """Return the readings of a table: of each quantity the first name that is there.

    Args:
        table: name of the table.
        ask: what stands under a name; ``None`` where it is not there.
        gauge: the source.
    """
    found: dict[Quantity, Reading] = {}
    for row in _tables()[table]:
        quantity = Quantity(row["quantity"])
        value = next((value for name in row["names"] if (value := ask(name)) is not None), None)
        if value is not None:
            found[quantity] = _reading(quantity, value, row, gauge)
    return MappingProxyType(found)


def _reading(quantity: Quantity, value: object, row: Mapping[str, Any], gauge: Gauge) -> Reading:
    reading = measured(gauge, quantity, value, row.get("unit", ""))
    if row.get("zero") and isinstance(reading, Value) and reading.value == 0:
        return gauge.absent(Reason.UNSUPPORTED, f"there is no such sensor: {gauge.source} says 0")
    return reading
