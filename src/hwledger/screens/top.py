"""What ``hwledger top`` shows beside the tables: histories, orders, filters."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hwledger.screens.telemetry import shown
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, number_of
from hwledger.telemetry.snapshot import DeviceSnapshot, Snapshot

Q = Quantity
KEPT: Final = 600
"""Looks that a history holds: ten minutes at one a second."""

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
GAP: Final = "·"

Order = Callable[[DeviceSnapshot], tuple[float, str]]


def _most(quantity: Quantity) -> Order:
    def order(device: DeviceSnapshot) -> tuple[float, str]:
        number = number_of(device[quantity])
        return (float("inf") if number is None else -number, device.key)

    return order


ORDERS: Final[Mapping[str, Order | None]] = MappingProxyType({
    "as installed": None, "most memory used": _most(Q.MEMORY_USED), "busiest": _most(Q.UTILIZATION),
    "hottest": _most(Q.TEMPERATURE), "most power": _most(Q.POWER),
})  # fmt: skip
"""Orders of devices; slices stay behind their devices where they are shown as installed."""


def ordered(devices: Sequence[DeviceSnapshot], order: str, words: str) -> list[DeviceSnapshot]:
    """Return the devices that match all words, in an order of ``ORDERS``."""
    found = [device for device in devices if matches(f"{device.name} {device.key} {device.vendor}", words)]
    key = ORDERS[order]
    return found if key is None else sorted(found, key=key)


def matches(text: str, words: str) -> bool:
    """Whether every word is somewhere in a text, whatever its case."""
    return all(word in text.lower() for word in words.lower().split())


@dataclass(frozen=True, slots=True)
class Trace:
    """One value of a device over time.

    Attributes:
        label: its name and its newest value.
        values: the newest last, 0 to 1; -1 where it was not known.
    """

    label: str
    values: tuple[float, ...]


class History:
    """Keeps what devices did; what was not known leaves a gap and no zero."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._busy: dict[str, deque[float | None]] = {}
        self._used: dict[str, deque[float | None]] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Enter a look."""
        for device in snapshot.devices:
            _enter(self._busy, device.key, number_of(device[Q.UTILIZATION]), self._kept)
            _enter(self._used, device.key, used_share(device), self._kept)

    def traces(self, device: DeviceSnapshot) -> tuple[Trace, Trace]:
        """Return how busy a device was and how full its memory."""
        busy, used = self._busy.get(device.key, ()), self._used.get(device.key, ())
        return (
            Trace(f"busy {shown(device[Q.UTILIZATION])}", _line(busy)),
            Trace(
                f"memory {shown(device[Q.MEMORY_USED])} of {shown(device[Q.MEMORY_TOTAL])} GiB", _line(used)
            ),
        )


def spark(values: Sequence[float], width: int) -> str:
    """Return shares of 0 to 1 as a line of blocks, the newest at the right; a dot is a gap."""
    newest = values[-width:]
    return "".join(
        GAP if value < 0 else BLOCKS[round(min(1.0, value) * (len(BLOCKS) - 1))] for value in newest
    )


def _enter(kept: dict[str, deque[float | None]], key: str, value: float | None, most: int) -> None:
    kept.setdefault(key, deque(maxlen=most)).append(value)


def _line(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(-1.0 if value is None else value for value in values)


def used_share(device: DeviceSnapshot) -> float | None:
    """Return the share of a device's memory that is used; ``None`` where it is not known."""
    total, used = number_of(device[Q.MEMORY_TOTAL]), number_of(device[Q.MEMORY_USED])
    return used / total if total and used is not None else None


def detail_lines(device: DeviceSnapshot) -> list[str]:
    """Return everything that is known of a device, one value a line, and why others are not."""
    lines = []
    for quantity, reading in device.readings.items():
        why = f"  ({reading.reason}: {reading.detail})" if isinstance(reading, Absent) else ""
        lines.append(f"{quantity.replace('_', ' '):<22} {shown(reading)}{why}")
    return [*lines, *device.notes]
