"""``system_profiler``: names of a Mac's GPUs, memory of discrete ones, and the memory of the machine."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.apple.names import KEY, VENDOR
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Readings, bytes_of
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

Q = Quantity
SOURCE: Final = "system_profiler"
GIB: Final = {"gb": "gib", "mb": "mib"}  # 8 GB of memory modules are 8 GiB
_DISPLAYS: Final = "SPDisplaysDataType"
_MEMORY: Final = "SPMemoryDataType"
_HARDWARE: Final = "SPHardwareDataType"
_CODED: Final = re.compile(r"kHW_Apple(?P<chip>M[0-9]+)(?P<kind>Pro|Max|Ultra)?Item")
_FIELD: Final = re.compile(r"^\s+(?P<name>[A-Z][\w ()/.-]{1,40}): (?P<value>.{1,120}?)\s*$", re.MULTILINE)
_MACHINE: Final = re.compile(r"^(?:\s{0,8}Hardware Overview:|Memory:(?=\s{1,80}Memory: ))", re.MULTILINE)
_NEXT_TYPE: Final = re.compile(r"^[A-Z][\w/ ]{2,40}:[ \t\r]*$", re.MULTILINE)
"""The head of another kind of output below."""
_CHIP: Final = ("chip_type", "cpu_type")
MOST: Final = 64


def is_profile(text: str) -> bool:
    """Whether a text is of system_profiler: of displays, of the hardware or of the memory."""
    if text.lstrip().startswith("{"):
        found = json_in(text)
        return isinstance(found, dict) and bool({_DISPLAYS, _MEMORY, _HARDWARE} & set(found))
    displays = "Chipset Model: " in text or ("Graphics/Displays:" in text and "Vendor:" in text)
    return displays or _MACHINE.search(text) is not None


def read_profile(text: str, at: float = 0.0) -> Sample:
    """Return the GPUs and the memory that a profile tells of."""
    gauge = Gauge(SOURCE, at)
    found = json_in(text) if text.lstrip().startswith("{") else None
    if not isinstance(found, dict):
        return _told(tuple(_from_text(text, gauge)), *_machine(text, gauge))
    machine = [*_rows(found.get(_MEMORY)), *_rows(found.get(_HARDWARE))]
    name = next((str(row[key])[:80] for row in machine for key in _CHIP if key in row), "")
    return _told(tuple(_devices(_rows(found.get(_DISPLAYS)), gauge)), name, _memory(machine, gauge))


def _told(devices: tuple[DeviceSnapshot, ...], name: str, memory: Readings) -> Sample:
    host = HostSnapshot(name, readings=memory) if memory or name else None
    troubles = () if devices or host else ("system_profiler: it tells of neither GPU nor memory",)
    return Sample(devices=devices, host=host, troubles=troubles)


def _machine(text: str, gauge: Gauge) -> tuple[str, Readings]:
    """Return the chip and the memory of the text of the hardware or of the memory."""
    start = _MACHINE.search(text)
    if start is None:
        return "", MappingProxyType({})
    part = _NEXT_TYPE.split(text[start.end() :], maxsplit=1)[0]
    fields = {field["name"]: field["value"] for field in _FIELD.finditer(part)}
    name = next((fields[key] for key in ("Chip", "Processor Name") if key in fields), "")
    if "Memory" not in fields:
        return name, MappingProxyType({})
    whole = measured(gauge, Q.HOST_MEMORY_TOTAL, fields["Memory"], "GB", GIB)
    return name, MappingProxyType({Q.HOST_MEMORY_TOTAL: whole})


def _rows(found: Any) -> list[Mapping[str, Any]]:
    return [row for row in found if isinstance(row, Mapping)][:MOST] if isinstance(found, list) else []


def _devices(rows: list[Mapping[str, Any]], gauge: Gauge) -> Iterator[DeviceSnapshot]:
    for number, row in enumerate(rows):
        name = _named(str(row.get("sppci_model") or row.get("_name") or ""))
        memory = row.get("spdisplays_vram") or row.get("_spdisplays_vram")
        yield _device(
            name, str(row.get("spdisplays_vendor") or row.get("sppci_vendor") or name), memory, number, gauge
        )


def _device(name: str, maker: str, memory: object, number: int, gauge: Gauge) -> DeviceSnapshot:
    vendor = next(
        (each for each in (VENDOR, "AMD", "Intel", "NVIDIA") if each.lower() in maker.lower()), VENDOR
    )
    readings: dict[Quantity, Reading] = {}
    if memory is not None:
        readings[Q.MEMORY_TOTAL] = measured(gauge, Q.MEMORY_TOTAL, memory, "MB", GIB)
    own = vendor == VENDOR
    return DeviceSnapshot(
        KEY if own else f"{vendor}-{number}", name[:80], vendor, index=number, unified=own or None,
        readings=MappingProxyType(readings),
    )  # fmt: skip


def _named(name: str) -> str:
    coded = _CODED.fullmatch(name)
    return " ".join(part for part in ("Apple", coded["chip"], coded["kind"]) if part) if coded else name


def _memory(rows: list[Mapping[str, Any]], gauge: Gauge) -> Readings:
    """Return the machine's memory: one figure on Apple Silicon, a list of modules on Intel."""
    for row in rows:
        whole = row.get(_MEMORY) or row.get("physical_memory")
        if whole is not None:
            return MappingProxyType(
                {Q.HOST_MEMORY_TOTAL: measured(gauge, Q.HOST_MEMORY_TOTAL, whole, "GB", GIB)}
            )
        parts = [
            bytes_of(measured(gauge, Q.HOST_MEMORY_TOTAL, each["dimm_size"], "GB", GIB))
            for each in _rows(row.get("_items")) if "dimm_size" in each
        ]  # fmt: skip
        sizes = [size for size in parts if size is not None]
        if sizes:
            total = Gauge(SOURCE, gauge.at, Basis.DERIVED)(Q.HOST_MEMORY_TOTAL, sum(sizes))
            return MappingProxyType({Q.HOST_MEMORY_TOTAL: total})
    return MappingProxyType({})


def _from_text(text: str, gauge: Gauge) -> Iterator[DeviceSnapshot]:
    parts = text.split("Chipset Model: ")[1:][:MOST]
    for number, part in enumerate(parts):
        fields = {field["name"]: field["value"] for field in _FIELD.finditer(part)}
        memory = next((value for name, value in fields.items() if name.startswith("VRAM")), None)
        name = part.split("\n", 1)[0].strip()
        yield _device(name, fields.get("Vendor", name), memory, number, gauge)


FORMATS: Final = (Format("system_profiler", is_profile, read_profile),)
