"""``nvtop -s``: devices of all vendors in one list; units are glued to the numbers, bytes are texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.merge import pci_key
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
    (Q.CLOCK_MAX, "gpu_clock_max", "MHz"), (Q.CLOCK_MEMORY_MAX, "mem_clock_max", "MHz"),
    (Q.POWER_LIMIT, "power_draw_max", "W"), (Q.PCIE_GENERATION, "pcie_link_gen", ""),
    (Q.PCIE_WIDTH, "pcie_link_width", ""), (Q.PCIE_GENERATION_MAX, "max_pcie_gen", ""),
    (Q.PCIE_WIDTH_MAX, "max_pcie_link_width", ""),
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
_MARGIN: Final = re.compile(r"^(?:> ?)+", re.MULTILINE)
_BEGINS: Final = re.compile(r"(?:[^\n]{0,200}\n){0,3}?\s*[\[\]{]")
_NO_COMMA: Final = re.compile(r'(?<=["\dle])(?=[ \t]*\n\s*"\w{1,40}"\s{0,8}:)')


def is_nvtop(text: str) -> bool:
    """Whether a text is nvtop's list."""
    named = '"device_name"' in text and '"gpu_clock"' in text
    return named and _BEGINS.match(_MARGIN.sub("", text)) is not None


def read_nvtop(text: str) -> Sample:
    """Return the devices of the list."""
    rows = _rows(_MARGIN.sub("", text))
    if not rows:
        why = Absent(Reason.UNPARSED, "it is no list of devices", SOURCE)
        return Sample(troubles=(f"nvtop: {why.detail}",), failure=why)
    return Sample(devices=tuple(_devices(rows)))


def _rows(text: str) -> Sequence[Mapping[str, Any]]:
    """Return the devices, also of a list that nvtop wrote wrongly or that was copied with its command.

    nvtop 3.3.0 left commas out, and versions before it the first bracket.
    """
    found: object = json_in(text)
    if not isinstance(found, list):
        inner = text[text.find("{") : text.rfind("}") + 1]
        found = json_in(f"[{_NO_COMMA.sub(',', inner)}]")
    if not isinstance(found, list):
        return []
    return [row for row in found if isinstance(row, dict)][:MOST]


def _devices(rows: Sequence[Mapping[str, Any]]) -> Iterator[DeviceSnapshot]:
    numbers: dict[str, int] = {}
    for row in rows:
        name = str(row.get("device_name") or "")[:120]
        vendor = next((each for each, pattern in _VENDORS if pattern.search(name)), "")
        number = numbers[vendor] = numbers.get(vendor, -1) + 1
        held, place = row.get("processes"), row.get("pci")
        key = pci_key(place) if isinstance(place, str) else None
        yield DeviceSnapshot(
            key or f"{vendor or 'device'}-{number}", name, vendor, index=number, readings=_readings(row),
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
