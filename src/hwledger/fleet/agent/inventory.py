"""What a host has: told once, and again when it is another."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Readings, Value, number_of
from hwledger.telemetry.snapshot import Snapshot


class Inventory:
    """Tells what a host has.

    What a source tells no more (it hangs, or takes its time) is as it was: a device that is there without its
    size has the size that it had.

    Args:
        look: gives what is seen now.
        name: of the host.
        version: of hwledger.
    """

    def __init__(self, look: Callable[[], Snapshot], name: str, version: str) -> None:
        self._look, self._name, self._version = look, name, version
        self._last: Mapping[str, Any] = {}

    def __call__(self) -> Mapping[str, Any]:
        """Return it now."""
        found = inventory_of(self._look(), self._name, self._version)
        known = {one["key"]: one for one in self._last.get("devices", ())}
        devices = [_kept(one, known.get(one["key"], {})) for one in found["devices"]]
        self._last = {**_kept(found, self._last), "devices": devices}
        return self._last


def _kept(found: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: before.get(name, value) if value is None or value == "" else value
        for name, value in found.items()
    }


def inventory_of(snapshot: Snapshot, name: str, version: str) -> dict[str, Any]:
    """Return what a host has that does not change by itself; JSON without fractions."""
    host = snapshot.host
    return {
        "name": name,
        "version": version,
        "system": host.system,
        "processor": host.name,
        "memory_bytes": _number(host.readings, Quantity.HOST_MEMORY_TOTAL),
        "devices": [
            {
                "key": device.key, "name": device.name, "vendor": device.vendor, "kind": device.kind,
                "uuid": device.uuid, "parent": device.parent,
                "memory_bytes": _number(device.readings, Quantity.MEMORY_TOTAL),
                "driver": _text(device.readings, Quantity.DRIVER),
                "power_limit_watts": _number(device.readings, Quantity.POWER_LIMIT),
            }
            for device in sorted(snapshot.devices, key=lambda device: device.key)
        ],
        "engines": sorted({f"{one.engine} {one.version}".strip() for one in snapshot.engines}),
    }  # fmt: skip


def _number(readings: Readings, quantity: Quantity) -> int | None:
    number = number_of(readings.get(quantity))
    return None if number is None or not math.isfinite(number) else round(number)


def _text(readings: Readings, quantity: Quantity) -> str:
    reading = readings.get(quantity)
    return str(reading.value) if isinstance(reading, Value) else ""
