"""``macmon``: lines of JSON from ``macmon pipe``; keys were renamed with version 0.8."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.apple.names import KEY, SCALED, VENDOR, told
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import MEANINGS, Quantity
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Readings, Reason, Value, bytes_of
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Sample

Q = Quantity
SOURCE: Final = "macmon"
_TELLING: Final = ("gpu_power", "gpu_ram_power", "ecpu_usage", "ecpu_freq_mhz", "gpu_usage", "gpu_freq_mhz")
_LEAST: Final = 3
_FIRST: Final = re.compile(r"^\s*\{")
NO_MEMORY: Final = Absent(Reason.UNSUPPORTED, "macmon tells nothing of the GPU's memory", SOURCE)


def last_object(text: str) -> Mapping[str, Any] | None:
    """Return the last object of a text: of a stream the last whole line, of a document all of it."""
    whole = json_in(text)
    if isinstance(whole, dict):
        return whole
    for line in reversed(text.strip().splitlines()):
        found = json_in(line) if line.lstrip().startswith("{") else None
        if isinstance(found, dict):
            return found
    return None


def is_macmon(text: str) -> bool:
    """Whether a text is macmon's JSON, by its keys."""
    if not _FIRST.match(text) or "device_name" in text:
        return False
    found = last_object(text)
    return found is not None and sum(key in found for key in _TELLING) >= _LEAST


def read_macmon(text: str, at: float = 0.0) -> Sample:
    """Return the GPU and the host of the last object of a text."""
    found = last_object(text)
    if found is None:
        return Sample(
            troubles=("macmon: it prints no object",), failure=Absent(Reason.UNPARSED, "no object", SOURCE)
        )
    gauge = Gauge(SOURCE, at)
    readings = {**told("macmon", lambda path: _at(found, path), gauge), Q.MEMORY_USED: NO_MEMORY}
    scaled = "gpu_active_ratio" not in found and Q.UTILIZATION in readings
    chip = _at(found, "soc.chip_name")
    device = DeviceSnapshot(
        KEY, chip[:80] if isinstance(chip, str) else "", VENDOR, index=0, unified=True, readings=readings,
        notes=(SCALED,) if scaled else (),
    )  # fmt: skip
    return Sample(devices=(device,), host=HostSnapshot(readings=_host(found, gauge)))


def _host(found: Mapping[str, Any], gauge: Gauge) -> Readings:
    host: dict[Quantity, Reading] = dict(told("macmon_host", lambda path: _at(found, path), gauge))
    used = _at(found, "memory.ram_usage")
    total = bytes_of(host.get(Q.HOST_MEMORY_TOTAL))
    if total is not None and isinstance(used, int) and not isinstance(used, bool):
        left = checked(gauge, Q.HOST_MEMORY_AVAILABLE, total - used)
        if isinstance(left, Value):
            unit = MEANINGS[Q.HOST_MEMORY_AVAILABLE].unit
            left = Value(left.value, unit, SOURCE, gauge.at, Basis.DERIVED)
        host[Q.HOST_MEMORY_AVAILABLE] = left
    return MappingProxyType(host)


def _at(found: Any, path: str) -> Any:
    """Return what stands at a path of keys and places; ``None`` where nothing does."""
    for step in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


FORMATS: Final = (Format("macmon pipe", is_macmon, read_macmon),)
