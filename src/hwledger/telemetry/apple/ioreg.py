"""``ioreg -c IOAccelerator``: what the drivers of a Mac's GPUs count."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.apple.names import KEY, VENDOR, told
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Readings, bytes_of
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

Q = Quantity
SOURCE: Final = "ioreg"
_NODE: Final = re.compile(r"^[| \t]*\+-o (?P<name>\S+)\s+<class (?P<class>[^,>]+)", re.MULTILINE)
_STATISTICS: Final = re.compile(r'"PerformanceStatistics"\s*=\s*\{(?P<inside>[^}]*)\}')
_PAIR: Final = re.compile(r'"(?P<key>[^"]{1,80})"\s*=\s*(?P<value>-?[0-9]{1,20})(?![0-9.])')
_MODEL: Final = re.compile(r'"model"\s*=\s*<?"(?P<model>[^"]{1,80})"')
_IN_USE: Final = "In use system memory"
MOST: Final = 64
NOT_ALL: Final = "used is what the GPU has in use: the memory is the host's, and free is the host's to tell"


def is_ioreg(text: str) -> bool:
    """Whether a text is ioreg's list of accelerators."""
    return _NODE.search(text) is not None and "PerformanceStatistics" in text


def read_ioreg(text: str, at: float = 0.0) -> Sample:
    """Return the GPUs of a Mac; on one with an Intel processor there may be two."""
    devices = tuple(_devices(text, Gauge(SOURCE, at)))
    return Sample(devices=devices, troubles=() if devices else ("ioreg: it tells of no accelerator",))


def _devices(text: str, gauge: Gauge) -> Iterator[DeviceSnapshot]:
    starts = [*_NODE.finditer(text)][:MOST]
    ends = [*(each.start() for each in starts[1:]), len(text)][: len(starts)]
    numbers: dict[str, int] = {}
    for node, end in zip(starts, ends, strict=True):
        part = text[node.end() : end]
        inside = _STATISTICS.search(part)
        if inside is None:
            continue
        found = {pair["key"]: pair["value"] for pair in _PAIR.finditer(inside["inside"])}
        model = _MODEL.search(part)
        vendor = _vendor(node["class"])
        number = numbers[vendor] = numbers.get(vendor, -1) + 1
        yield DeviceSnapshot(
            KEY if vendor == VENDOR and not number else f"{vendor}-{number}",
            model["model"] if model else node["name"], vendor, index=number,
            unified=_IN_USE in found and "vramUsedBytes" not in found,
            readings=_readings(found, gauge), notes=(NOT_ALL,) if vendor == VENDOR else (),
        )  # fmt: skip


def _vendor(kind: str) -> str:
    if kind.startswith("AGX"):
        return VENDOR
    return next((name for name in ("AMD", "Intel", "NVIDIA") if name.lower() in kind.lower()), VENDOR)


def _readings(found: Mapping[str, str], gauge: Gauge) -> Readings:
    readings: dict[Quantity, Reading] = dict(told("ioreg", found.get, gauge))
    if "vramUsedBytes" in found:
        readings[Q.MEMORY_USED] = measured(gauge, Q.MEMORY_USED, found["vramUsedBytes"], "B")
        if "vramFreeBytes" in found:
            readings[Q.MEMORY_FREE] = measured(gauge, Q.MEMORY_FREE, found["vramFreeBytes"], "B")
            _total(readings, gauge)
    elif _IN_USE in found:
        readings[Q.MEMORY_USED] = measured(gauge, Q.MEMORY_USED, found[_IN_USE], "B")
    return MappingProxyType(readings)


def _total(readings: dict[Quantity, Reading], gauge: Gauge) -> None:
    used, free = bytes_of(readings[Q.MEMORY_USED]), bytes_of(readings[Q.MEMORY_FREE])
    if used is not None and free is not None:
        readings[Q.MEMORY_TOTAL] = Gauge(SOURCE, gauge.at, Basis.DERIVED)(Q.MEMORY_TOTAL, used + free)


FORMATS: Final = (Format("ioreg -c IOAccelerator", is_ioreg, read_ioreg),)
