"""``intel_gpu_top``: engines, clock and power of i915 devices, never memory; JSON and the list of ``-l``."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from hwledger.telemetry.intel.names import VENDOR
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, Value
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

Q = Quantity
SOURCE: Final = "intel_gpu_top"
NO_MEMORY: Final = Absent(Reason.UNSUPPORTED, "intel_gpu_top tells nothing of memory", SOURCE)
OF_ENGINES: Final = "busy is that of its busiest engine"
_HEAD: Final = re.compile(r"^\s*Freq MHz\s+IRQ", re.MULTILINE)
_OBJECT: Final = re.compile(r'"engines"\s*:')
MOST: Final = 4096


def is_json(text: str) -> bool:
    """Whether a text is the JSON, whole or a stream of objects."""
    return text.lstrip().startswith(("{", "[")) and '"rc6"' in text and _OBJECT.search(text) is not None


def read_json(text: str, at: float = 0.0) -> Sample:
    """Return the device of the last object."""
    found = _last(text)
    if found is None:
        why = Absent(Reason.UNPARSED, "no whole object", SOURCE)
        return Sample(troubles=(f"{SOURCE}: {why.detail}",), failure=why)
    gauge = Gauge(SOURCE, at)
    clients = found.get("clients")
    held = tuple(_clients(clients)) if isinstance(clients, Mapping) else NO_MEMORY
    device = DeviceSnapshot(
        f"{VENDOR}-0", "", VENDOR, readings=MappingProxyType(dict(_readings(found, gauge))), processes=held,
        notes=(OF_ENGINES,),
    )  # fmt: skip
    return Sample(devices=(device,))


def _last(text: str) -> Mapping[str, Any] | None:
    """Return the last whole object: a stream is an array that is never closed."""
    whole = json_in(text)
    if isinstance(whole, list) and whole and isinstance(whole[-1], dict):
        return whole[-1]
    if isinstance(whole, dict):
        return whole
    start = 0
    found: Mapping[str, Any] | None = None
    for _ in range(MOST):
        start = text.find("{", start)
        if start < 0:
            return found
        try:
            value, start = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            return found
        found = value if isinstance(value, dict) else found
    return found


def _readings(found: Mapping[str, Any], gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    for quantity, group, key in ((Q.CLOCK, "frequency", "actual"), (Q.POWER, "power", "GPU")):
        part = found.get(group)
        if isinstance(part, Mapping) and part.get(key) is not None:
            yield quantity, measured(gauge, quantity, part[key], str(part.get("unit", "")))
    engines = found.get("engines")
    rows = engines.values() if isinstance(engines, Mapping) else ()
    busy = [measured(gauge, Q.UTILIZATION, row.get("busy"), "%") for row in rows if isinstance(row, Mapping)]
    known = [each for each in busy if isinstance(each, Value)]
    if known:
        yield (
            Q.UTILIZATION,
            max(known, key=lambda each: each.value if isinstance(each.value, float | int) else 0),
        )
    elif busy:
        yield Q.UTILIZATION, busy[0]
    yield Q.MEMORY_USED, NO_MEMORY


def _clients(found: Mapping[str, Any]) -> Iterator[ProcessSnapshot]:
    for row in list(found.values())[:MOST]:
        if isinstance(row, Mapping):
            pid, name = row.get("pid"), row.get("name")
            number = whole_number(pid) if isinstance(pid, str) else pid if isinstance(pid, int) else None
            yield ProcessSnapshot(number, str(name or "")[:120], NO_MEMORY)


def is_list(text: str) -> bool:
    """Whether a text is the list of ``-l``."""
    return _HEAD.search(text) is not None


def read_list(text: str, at: float = 0.0) -> Sample:
    """Return the device of the last line; the second line of the head names the columns."""
    lines = [line for line in text.splitlines() if line.strip()][:MOST]
    head = next((n for n, line in enumerate(lines) if _HEAD.match(line)), None)
    rows = [] if head is None else [line.split() for line in lines[head + 2 :] if not _HEAD.match(line)]
    rows = [row for row in rows if all(re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", cell) for cell in row)]
    names = lines[head + 1].split() if head is not None and head + 1 < len(lines) else []
    if not rows or len(rows[-1]) != len(names):
        why = Absent(Reason.UNPARSED, "no line of it fits its head", SOURCE)
        return Sample(troubles=(f"{SOURCE}: {why.detail}",), failure=why)
    readings = MappingProxyType(dict(_listed(names, rows[-1], Gauge(SOURCE, at))))
    device = DeviceSnapshot(f"{VENDOR}-0", "", VENDOR, readings=readings, notes=(OF_ENGINES,))
    return Sample(devices=(device,))


def _listed(names: list[str], row: list[str], gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    cells = list(zip(names, row, strict=True))
    for quantity, name, unit in ((Q.CLOCK, "act", "MHz"), (Q.POWER, "gpu", "W")):
        value = next((value for known, value in cells if known == name), None)
        if value is not None:
            yield quantity, measured(gauge, quantity, value, unit)
    # the first % is the share of time asleep (RC6); those behind it are the engines'
    shares = [measured(gauge, Q.UTILIZATION, value, "%") for known, value in cells if known == "%"][1:]
    known = [each for each in shares if isinstance(each, Value)]
    if known:
        yield (
            Q.UTILIZATION,
            max(known, key=lambda each: each.value if isinstance(each.value, float | int) else 0),
        )
    yield Q.MEMORY_USED, NO_MEMORY


FORMATS: Final = (
    Format("intel_gpu_top -J", is_json, read_json),
    Format("intel_gpu_top -l", is_list, read_list),
)
