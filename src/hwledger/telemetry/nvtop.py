"""``nvtop -s``: devices of all vendors in one list; units are glued to the numbers, bytes are texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Readings, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

Q = Quantity
SOURCE: Final = "nvtop"
_VALUES: Final = (
    (Q.CLOCK, "gpu_clock", "MHz"), (Q.CLOCK_MEMORY, "mem_clock", "MHz"), (Q.TEMPERATURE, "temp", "C"),
    (Q.FAN, "fan_speed", "%"), (Q.POWER, "power_draw", "W"), (Q.UTILIZATION, "gpu_util", "%"),
    (Q.MEMORY_TOTAL, "mem_total", "B"), (Q.MEMORY_USED, "mem_used", "B"), (Q.MEMORY_FREE, "mem_free", "B"),
)  # fmt: skip
_VENDORS: Final = (
    ("NVIDIA", re.compile(r"\b(?:NVIDIA|GeForce|Quadro|Tesla)\b")),
    ("AMD", re.compile(r"\b(?:AMD|Radeon|Instinct)\b")),
    ("Intel", re.compile(r"\b(?:Intel|Arc|Battlemage|Alchemist)\b")),
    ("Apple", re.compile(r"\bApple\b")),
)
NULL: Final = Absent(Reason.UNSUPPORTED, "nvtop says null: it is not told, or two looks are needed", SOURCE)
MOST: Final = 1024


def is_nvtop(text: str) -> bool:
    """Whether a text is nvtop's list."""
    return text.lstrip().startswith("[") and '"device_name"' in text and '"gpu_clock"' in text


def read_nvtop(text: str) -> Sample:
    """Return the devices of the list."""
    found = json_in(text)
    rows = [row for row in found if isinstance(row, dict)][:MOST] if isinstance(found, list) else []
    if not rows:
        why = Absent(Reason.UNPARSED, "it is no list of devices", SOURCE)
        return Sample(troubles=(f"nvtop: {why.detail}",), failure=why)
    return Sample(devices=tuple(_devices(rows)))


def _devices(rows: Sequence[Mapping[str, Any]]) -> Iterator[DeviceSnapshot]:
    numbers: dict[str, int] = {}
    for row in rows:
        name = str(row.get("device_name") or "")[:120]
        vendor = next((each for each, pattern in _VENDORS if pattern.search(name)), "")
        number = numbers[vendor] = numbers.get(vendor, -1) + 1
        held = row.get("processes")
        yield DeviceSnapshot(
            f"{vendor or 'device'}-{number}", name, vendor, index=number, readings=_readings(row),
            processes=tuple(_process(p) for p in held if isinstance(p, dict)) if isinstance(held, list)
            else Absent(Reason.UNSUPPORTED, "this version lists no processes", SOURCE),
        )  # fmt: skip


def _readings(row: Mapping[str, Any]) -> Readings:
    gauge = Gauge(SOURCE)
    found: dict[Quantity, Reading] = {}
    for quantity, key, unit in _VALUES:
        if key in row:
            found[quantity] = NULL if row[key] is None else _value(gauge, quantity, row[key], unit)
    return MappingProxyType(found)


def _value(gauge: Gauge, quantity: Quantity, text: Any, unit: str) -> Reading:
    """Return one value; a fan in turns a minute, or one that is the processor's, has no share."""
    said = str(text)
    if quantity is Quantity.FAN and said.upper().endswith("RPM"):
        return gauge.absent(Reason.UNSUPPORTED, "it is told in turns a minute, without the highest")
    if quantity is Quantity.FAN and "fan" in said.lower():
        return gauge.absent(Reason.UNSUPPORTED, f"it says {said[:40]!r}: the device has none of its own")
    return measured(gauge, quantity, text, unit)


def _process(row: Mapping[str, Any]) -> ProcessSnapshot:
    gauge = Gauge(SOURCE)
    memory = row.get("gpu_mem_bytes_alloc", row.get("mem_used"))
    reading = NULL if memory is None else measured(gauge, Q.MEMORY_USED, memory, "B")
    pid = row.get("pid")
    number = whole_number(pid) if isinstance(pid, str) else pid if isinstance(pid, int) else None
    return ProcessSnapshot(
        number, str(row.get("cmdline") or "")[:120], reading, str(row.get("kind") or "")[:20]
    )


FORMATS: Final = (Format("nvtop -s", is_nvtop, read_nvtop),)
