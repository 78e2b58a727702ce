"""The table that amd-smi prints without arguments (from amd-smi 26, ROCm 7)."""

import re
from dataclasses import replace
from typing import Final

from hwledger.telemetry.amd.smi import SOURCE, UNSEEN
from hwledger.telemetry.amd.smi_text import failed
from hwledger.telemetry.amd.telling import Identity, device_of, first, named, reading_of, text_of
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason, Value
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample

_NUMBER: Final = r"(?:N/A|[0-9.]+)"
_VERSIONS: Final = re.compile(
    r"\| AMD-SMI (?P<tool>\S+)\s+amdgpu version: (?P<driver>\S+)\s+ROCm version: (?P<rocm>\S+)\s*\|"
)
_UPPER: Final = re.compile(
    r"\| *(?P<bdf>[0-9a-fA-F]{4,8}:[0-9a-fA-F:.]{4,12}) +(?P<name>[^|]{0,60}?) *"
    rf"\| *(?P<activity>{_NUMBER})(?: %)? +(?P<temperature>{_NUMBER})(?: °C)? +(?P<errors>{_NUMBER})"
    rf" +(?P<power>{_NUMBER})(?:/(?P<limit>{_NUMBER}))?(?: W)? *\|"
)
_LOWER: Final = re.compile(
    r"\| *(?P<gpu>[0-9]{1,4}) +(?P<rest>[^|]{0,60}?) *"
    rf"\| *(?P<busy>{_NUMBER})(?: %)? +(?P<fan>{_NUMBER})(?: %)?"
    rf" +(?P<used>{_NUMBER})/(?P<total>{_NUMBER})(?: MB)? *\|"
)
_SIZE: Final = r"(?:N/A|[0-9.]+ [KMGT]?B)"
_PROCESS: Final = re.compile(
    r"\| *(?P<gpu>[0-9]{1,4}) +(?P<pid>[0-9]{1,10}) +(?P<name>\S[^|]{0,60}?)"
    rf" +(?P<gtt>{_SIZE}) +(?P<vram>{_SIZE}) +(?P<memory>{_SIZE}) +[^|]{{0,20}}\|"
)
_FIELDS: Final = (
    ("activity", Quantity.MEMORY_ACTIVITY, "%"), ("temperature", Quantity.TEMPERATURE, "c"),
    ("errors", Quantity.ERRORS_UNCORRECTED, ""), ("power", Quantity.POWER, "w"),
    ("limit", Quantity.POWER_LIMIT, "w"), ("busy", Quantity.UTILIZATION, "%"), ("fan", Quantity.FAN, "%"),
    ("used", Quantity.MEMORY_USED, "mib"), ("total", Quantity.MEMORY_TOTAL, "mib"),
)  # fmt: skip


def is_table(text: str) -> bool:
    """Return whether a text is the table."""
    return "| AMD-SMI " in text


def read_table(text: str) -> Sample:
    """Return what the table says of each device, and its processes where it lists them."""
    gauge = Gauge(SOURCE)
    lines = [line.strip()[:200] for line in text.splitlines()[:100_000]]
    versions = _versions(lines, gauge)
    devices: list[DeviceSnapshot] = []
    upper: re.Match[str] | None = None
    for line in lines:
        lower = _LOWER.fullmatch(line)
        if upper is not None and lower is not None:
            devices.append(_device(upper, lower, versions, gauge))
        upper = _UPPER.fullmatch(line)
    if not devices:
        return failed(text, Absent(Reason.UNPARSED, "its table names no GPU", SOURCE))
    return Sample(devices=tuple(replace(each, processes=_processes(lines, each, gauge)) for each in devices))


def _versions(lines: list[str], gauge: Gauge) -> dict[Quantity, Reading]:
    found = next((each for each in map(_VERSIONS.fullmatch, lines) if each), None)
    if found is None:
        return {}
    return {
        Quantity.DRIVER: text_of(gauge, Quantity.DRIVER, found["driver"]),
        Quantity.RUNTIME: _rocm(gauge, found["rocm"]),
    }


def _rocm(gauge: Gauge, said: str) -> Reading:
    reading = text_of(gauge, Quantity.RUNTIME, said)
    return replace(reading, value=f"ROCm {reading.value}") if isinstance(reading, Value) else reading


def _device(
    upper: re.Match[str], lower: re.Match[str], versions: dict[Quantity, Reading], gauge: Gauge
) -> DeviceSnapshot:
    said = {**upper.groupdict(), **lower.groupdict()}
    readings = {
        quantity: reading_of(gauge, quantity, said[name], unit)
        for name, quantity, unit in _FIELDS
        if said[name] is not None  # amd-smi 26.0 and 26.1 show power without its limit
    }
    who = Identity(said["gpu"], int(said["gpu"]), said["bdf"], named(said["name"]))
    return device_of({**readings, **versions}, who)


def _processes(
    lines: list[str], device: DeviceSnapshot, gauge: Gauge
) -> tuple[ProcessSnapshot, ...] | Absent:
    if not any("Processes:" in line for line in lines):
        return NOT_TOLD
    found = (_PROCESS.fullmatch(line) for line in lines)
    return tuple(_process(each, gauge) for each in found if each and int(each["gpu"]) == device.index)


def _process(found: re.Match[str], gauge: Gauge) -> ProcessSnapshot:
    vram, memory, gtt = (
        reading_of(gauge, Quantity.MEMORY_USED, found[name]) for name in ("vram", "memory", "gtt")
    )
    own = first([vram, memory]) or vram
    if not any(isinstance(each, Value) and each.value for each in (own, gtt)):
        own = gtt = gauge.absent(Reason.NO_PERMISSION, UNSEEN)
    return ProcessSnapshot(int(found["pid"]), named(found["name"]), own, shared_memory=gtt)
