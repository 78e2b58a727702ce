"""``nvidia-smi --query-gpu`` and ``--query-compute-apps`` in their CSV form."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.nvidia.facts import shares_memory
from hwledger.telemetry.nvidia.fields import memory_notes, readings, throttle
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

SOURCE: Final = "nvidia-smi"
VENDOR: Final = "NVIDIA"
MOST_ROWS: Final = 4096
_LEAST_COMMAS: Final = 2
_TELLING: Final = frozenset({
    "memory.total", "memory.used", "memory.free", "utilization.gpu", "temperature.gpu", "power.draw", "name",
    "gpu_name", "driver_version", "pci.bus_id", "clocks.current.sm", "clocks.sm", "pstate",
    "utilization.memory", "memory.reserved", "temperature.memory", "fan.speed", "power.limit",
    "power.draw.instant", "power.draw.average", "enforced.power.limit", "clocks.gr", "clocks.mem",
    "clocks.current.graphics", "clocks.current.memory",
})  # fmt: skip
_PROCESS: Final = frozenset({"pid", "process_name", "used_gpu_memory", "used_memory"})
_ABOVE: Final = 4
_COLUMN: Final = re.compile(r"[a-z][A-Za-z0-9_.]{1,80}")
_MARGINAL: Final = re.compile(r"(?=.*\bnvidia-smi\b)|```|[^,]*[:$#>]\s*$")
"""What may stand above the names: the command, the beginning of a quotation, words that announce it."""
_UNIT: Final = re.compile(r"\s*\[[^\]]*\]\s*$")
_NAMED: Final = re.compile(r"\b(?:NVIDIA|GeForce|Tesla|Quadro|TITAN|GRID)\b|\b(?:A|H|L|T|V|P)[0-9]{1,3}S?\b")
_EVENT: Final = re.compile(r"clocks_(?:event|throttle)_reasons\.(?P<name>[a-z_]+)")
_MEASURED: Final = re.compile(r"\[[^\]]*\]|N/A|P[0-9]{1,2}|[0-9]+(?:\.[0-9]+)?(?: ?(?:MiB|%|W|MHz|C))?")
_ITS_OWN: Final = re.compile(r"\[(?:N/A|Not Supported|Unknown Error|Insufficient Permissions)\]|[0-9] MiB\b")
"""What nvidia-smi alone writes so."""
_NAMELESS_APP: Final = re.compile(r"\s*[0-9]{1,10}\s*,\s*(?:\[[^\]]*\]|[0-9]+\s*MiB)\s*")
_OWN: Final = ("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "index", "serial", "gpu_serial")
"""Columns that tell one device from all others."""
_TIME: Final = re.compile(r"[0-9/]{8,10} ([0-9]{2}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,6})?)")
_LOOK: Final = 0.4
"""Seconds between two looks at least."""
NO_NAMES: Final = "its columns have no names: print them with --format=csv, without noheader"
TAKEN: Final = "the text names neither device nor columns: they are taken for process and memory"
Row = Mapping[str, str]


def rows_of(text: str) -> tuple[list[str], list[list[str]]] | None:
    """Return the names of the columns, without units, and the rows; ``None`` where there are no names.

    Above the names there may be a command or what else was copied with them; names that come again, as of
    several looks in one file, are no row.
    """
    lines = [line for line in text.splitlines() if line.strip()][: MOST_ROWS + _ABOVE]
    for number, line in enumerate(lines[:_ABOVE]):
        names = [_UNIT.sub("", cell).strip() for cell in _cells(line)]
        if not (_TELLING | _PROCESS) & set(names) or _MARGINAL.match(line):
            continue
        if number and not all(_COLUMN.fullmatch(name) for name in names):
            continue
        if not all(_MARGINAL.match(above) for above in lines[:number]):
            return None
        return names, [_cells(each) for each in lines[number + 1 :] if each.strip() != line.strip()]
    return None


def _cells(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True), [])]
    except csv.Error:
        return [cell.strip() for cell in line.split(",")]


def is_devices(text: str) -> bool:
    """Whether a text is the table of devices."""
    found = rows_of(text)
    return found is not None and "pid" not in found[0] and bool(_TELLING & set(found[0]))


def is_processes(text: str) -> bool:
    """Whether a text is the table of processes."""
    found = rows_of(text)
    return found is not None and "pid" in found[0]


def is_nameless(text: str) -> bool:
    """Whether a text is a table of either kind without the names of its columns."""
    lines = [line for line in text.splitlines() if line.strip()][:64]
    if not lines or rows_of(text) is not None or any("{" in line or "|" in line for line in lines):
        return False
    devices = all(
        line.count(",") >= _LEAST_COMMAS and (_NAMED.search(line) or _are_measured(line)) for line in lines
    )
    return devices or all(_NAMELESS_APP.fullmatch(line) for line in lines)


def _are_measured(line: str) -> bool:
    """Whether a row holds nothing but measured values, and one as nvidia-smi alone writes it."""
    return bool(_ITS_OWN.search(line)) and all(map(_MEASURED.fullmatch, _cells(line)))


def read_devices(text: str) -> Sample:
    """Return the devices of ``--query-gpu``."""
    found = rows_of(text)
    if found is None:
        return read_nameless(text)
    names, rows = found
    troubles = [
        f"row {number + 1} has {len(cells)} cells where {len(names)} have names; left out"
        for number, cells in enumerate(rows)
        if len(cells) != len(names)
    ]
    whole = [dict(zip(names, cells, strict=True)) for cells in rows if len(cells) == len(names)]
    devices = (_device(row, number) for number, row in enumerate(_newest(whole)))
    return Sample(devices=tuple(devices), troubles=tuple(troubles))


def _newest(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the last row of each device, where rows name their device; else those of the last look.

    ``--loop`` prints a row for each device and look, with names once. The looks of rows without names are
    told apart by their times: devices of one look are milliseconds apart.
    """
    for name in _OWN:
        told = [row.get(name, "") for row in rows]
        if all(said_nothing(each) is None for each in told) and told:
            return list(dict(zip(told, rows, strict=True)).values())
    times = [_seconds(row.get("timestamp", "")) for row in rows]
    starts = [
        number
        for number, (one, two) in enumerate(pairwise(times), start=1)
        if one is not None and two is not None and abs(two - one) >= _LOOK
    ]
    return rows[starts[-1] :] if starts else rows


def _seconds(text: str) -> float | None:
    """Return the time of day of ``2025/11/24 14:08:55.751``."""
    found = _TIME.fullmatch(text.strip())
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def _device(row: Row, number: int) -> DeviceSnapshot:
    gauge = Gauge(SOURCE)
    found = readings(row.get, "csv", gauge)
    events = [(match["name"], text) for name, text in row.items() if (match := _EVENT.fullmatch(name))]
    held = throttle(events, gauge)
    if held is not None:
        found[Quantity.THROTTLE] = held
    index = whole_number(row.get("index", ""))
    return DeviceSnapshot(
        key=key_of(row.get("pci.bus_id") or row.get("gpu_bus_id", ""), row.get("uuid", ""), index, number),
        name=name_of(row.get("name") or row.get("gpu_name", "")), vendor=VENDOR, index=index,
        uuid=uuid_of(row.get("uuid") or row.get("gpu_uuid", "")),
        unified=shares_memory(row.get("name", "")) or None, readings=found, notes=memory_notes(found),
    )  # fmt: skip


def key_of(address: str, uuid: str, index: int | None, number: int) -> str:
    """Return what tells a device from others: its PCI address, its UUID, else its number."""
    return pci_key(address) or uuid_of(uuid) or f"{VENDOR}-{index if index is not None else number}"


def uuid_of(text: str) -> str:
    """Return a UUID; empty where the text is none."""
    short = text.strip()
    return short if re.fullmatch(r"(?:MIG-)?(?:GPU-)?[0-9a-fA-F-]{36}(?:/[0-9]+/[0-9]+)?", short) else ""


def name_of(text: str) -> str:
    """Return a device's name; empty where it is not told."""
    return "" if said_nothing(text) is not None else text.strip()[:120]


def read_processes(text: str) -> Sample:
    """Return the devices of ``--query-compute-apps`` with their processes; one without any is not there."""
    found = rows_of(text)
    if found is None:
        return read_nameless(text)
    names, rows = found
    held: dict[str, list[ProcessSnapshot]] = {}
    first: dict[str, Row] = {}
    troubles = []
    for number, cells in enumerate(rows):
        row = dict(zip(names, _fitted(cells, names), strict=True)) if len(cells) >= len(names) else None
        if row is None:
            troubles.append(
                f"row {number + 1} has {len(cells)} cells where {len(names)} have names; left out"
            )
            continue
        key = key_of(row.get("gpu_bus_id", ""), row.get("gpu_uuid", ""), None, 0)
        first.setdefault(key, row)
        held.setdefault(key, []).append(_process(row))
    devices = tuple(_holder(key, row, held[key]) for key, row in first.items())
    return Sample(devices=devices, troubles=tuple(troubles))


def _fitted(cells: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return as many cells as there are names: a comma can only be part of a process's name."""
    spare = len(cells) - len(names)
    if not spare or "process_name" not in names:
        return list(cells[: len(names)])
    at = names.index("process_name")
    return [*cells[:at], ", ".join(cells[at : at + spare + 1]), *cells[at + spare + 1 :]]


def _process(row: Row) -> ProcessSnapshot:
    text = row.get("used_gpu_memory", row.get("used_memory", ""))
    memory = measured(Gauge(SOURCE), Quantity.MEMORY_USED, text, "MiB")
    return ProcessSnapshot(
        whole_number(row.get("pid", "")), name_of(row.get("process_name", "")), memory, "compute"
    )


def _holder(key: str, row: Row, held: Sequence[ProcessSnapshot]) -> DeviceSnapshot:
    uuid = uuid_of(row.get("gpu_uuid", ""))
    return DeviceSnapshot(key, name_of(row.get("gpu_name", "")), VENDOR, uuid=uuid, processes=tuple(held))


def read_nameless(text: str) -> Sample:
    """Return what is certain of a table without names: devices' names, or processes with their memory.

    Which of a device's numbers is which is not certain; a number beside memory with its unit is a process.
    """
    lines = [line for line in text.splitlines() if line.strip()][:MOST_ROWS]
    if all(_NAMELESS_APP.fullmatch(line) for line in lines):
        named = [dict(zip(("pid", "used_gpu_memory"), _cells(line), strict=False)) for line in lines]
        held = tuple(_process(row) for row in named)
        return Sample(devices=(DeviceSnapshot(f"{VENDOR}-0", "", VENDOR, processes=held, notes=(TAKEN,)),))
    why = Absent(Reason.UNPARSED, NO_NAMES, SOURCE)
    return Sample(devices=tuple(_nameless(text, why)), troubles=(f"nvidia-smi: {NO_NAMES}",), failure=why)


def _nameless(text: str, why: Absent) -> Iterator[DeviceSnapshot]:
    lines = [line for line in text.splitlines() if line.strip()][:MOST_ROWS]
    for number, line in enumerate(lines):
        name = next((cell for cell in _cells(line) if _NAMED.search(cell)), "")
        if name or _are_measured(line):
            told = dict.fromkeys((Quantity.MEMORY_TOTAL, Quantity.MEMORY_USED, Quantity.UTILIZATION), why)
            yield DeviceSnapshot(f"{VENDOR}-{number}", name[:120], VENDOR, readings=told)


FORMATS: Final = (
    Format("nvidia-smi --query-gpu", is_devices, read_devices),
    Format("nvidia-smi --query-compute-apps", is_processes, read_processes),
    Format("nvidia-smi CSV without names", is_nameless, read_nameless),
)
