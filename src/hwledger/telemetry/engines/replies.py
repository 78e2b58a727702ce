"""What replies of all engines have in common: values of objects as readings, models of lists."""

from collections.abc import Mapping
from typing import Any, Final

from hwledger.library.fields import mapping, rows
from hwledger.telemetry.engines.sizes import Told, named
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge

MOST_MODELS: Final = 1000
Found = Mapping[str, Any]


def numbers(found: Found, gauge: Gauge, keys: Mapping[Quantity, str], unit: str = "") -> Told:
    """Return the numbers that an object holds under keys; a key that is missing or ``null`` is left out.

    Args:
        found: the object.
        gauge: of the reply.
        keys: where each quantity is.
        unit: of all of them, ``GiB``; empty for base units.
    """
    told: Told = {}
    for quantity, key in keys.items():
        value = found.get(key)
        if value is not None and value not in ("", "null"):
            told[quantity] = measured(gauge, quantity, value, unit)
    return told


def texts(found: Found, gauge: Gauge, keys: Mapping[Quantity, str]) -> Told:
    """Return the texts that an object holds under keys; empty ones are left out."""
    told: Told = {}
    for quantity, key in keys.items():
        value = named(found.get(key))
        if value and value.lower() not in {"null", "none", "unknown"}:
            told[quantity] = gauge(quantity, value[:80])
    return told


def cards(found: object, key: str = "data") -> list[Found]:
    """Return the objects of a list of models, a thousand at most."""
    return rows(mapping(found).get(key))[:MOST_MODELS]
