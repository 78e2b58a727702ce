"""``xpu-smi`` (XPU Manager): discovery, statistics, dumps and processes, as JSON, tables and CSV."""

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hwledger.telemetry.intel.names import SOURCE, VENDOR, labels, told
from hwledger.telemetry.lenient import json_in
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

Q = Quantity
MOST: Final = 4096
_ROW: Final = re.compile(r"^\|\s(?P<label>[^|]*?)\s*\|\s(?P<value>[^|]*?)\s*\|\s*$")
_FIELD: Final = re.compile(r"(?P<name>[A-Z][\w /#-]{1,50}): (?P<value>.{0,120})")
_PROCESS: Final = re.compile(
    r"^(?P<pid>[0-9]{1,10})\s+(?P<name>\S.*?)\s+(?P<device>[0-9]{1,4})\s+(?P<shared>[0-9]+)\s+(?P<memory>[0-9]+)\s*$"
)
_TILE: Final = re.compile(r"Tile (?P<tile>[0-9]{1,2}): ?(?P<value>[^,;|]{0,40})")
_DUMP: Final = re.compile(r"\A(?:.{0,200}\n){0,3}\s*(?=Timestamp, DeviceId)")
"""The head of a dump, below the command at most."""
_TYPE: Final = "metrics_type"
TWO_UNITS: Final = Absent(
    Reason.UNPARSED, "the tool's documentation gives two units for it, bytes and kB", SOURCE
)
NO_DEVICE: Final = "the text does not name the device that it is about"


def is_json(text: str) -> bool:
    """Whether a text is JSON of xpu-smi."""
    if not text.lstrip().startswith(("{", "[")) or not any(
        word in text for word in ("device_list", _TYPE, "pci_bdf_address")
    ):
        return False
    return json_in(text) is not None


def read_json(text: str, at: float = 0.0) -> Sample:
    """Return the devices of ``discovery -j`` or ``stats -j``, or of one metric of it."""
    gauge = Gauge(SOURCE, at)
    found = json_in(text)
    rows = found if isinstance(found, list) else [found]
    devices = [device for row in rows[:MOST] if isinstance(row, dict) for device in _devices(row, gauge)]
    return Sample(devices=tuple(devices), troubles=() if devices else ("xpu-smi: it tells of no device",))


def _devices(found: Mapping[str, Any], gauge: Gauge) -> Iterator[DeviceSnapshot]:
    listed = found.get("device_list")
    if isinstance(listed, list):
        for row in listed[:MOST]:
            if isinstance(row, dict):
                yield _discovered(row, gauge)
        return
    if "pci_bdf_address" in found:
        yield _discovered(found, gauge)
        return
    metrics = found.get("device_level") if isinstance(found.get("device_level"), list) else [found]
    tiles = found.get("tile_level")
    values = _metrics(metrics)
    if not values and isinstance(tiles, list):
        values = _metrics(
            [m for tile in tiles if isinstance(tile, dict) for m in tile.get("data_list") or ()]
        )
    if values:
        number = found.get("device_id")
        yield _numbered(number if isinstance(number, int) else None, told(values.get, gauge, by="types"))


def _metrics(rows: Any) -> dict[str, object]:
    """Return the value of each metric; of several tiles the first, for a sum or mean would be invented."""
    found: dict[str, object] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get(_TYPE), str):
            value = row.get("value", row.get("avg"))
            if value is not None:
                found.setdefault(row[_TYPE], value)
    return found


def _discovered(row: Mapping[str, Any], gauge: Gauge) -> DeviceSnapshot:
    number, name, uuid = row.get("device_id"), row.get("device_name"), row.get("uuid")
    index = number if isinstance(number, int) and not isinstance(number, bool) else None
    address = row.get("pci_bdf_address")
    key = pci_key(address) if isinstance(address, str) else None
    return DeviceSnapshot(
        key or f"{VENDOR}-{index or 0}", str(name or "")[:120], VENDOR, index=index,
        uuid=str(uuid or "")[:64], readings=told(row.get, gauge, table="discovery"),
    )  # fmt: skip


def _numbered(index: int | None, readings: Any) -> DeviceSnapshot:
    notes = () if index is not None else (NO_DEVICE,)
    return DeviceSnapshot(f"{VENDOR}-{index or 0}", "", VENDOR, index=index, readings=readings, notes=notes)


def is_table(text: str) -> bool:
    """Whether a text is a table of statistics or of one device."""
    return bool(re.search(r"^\| Device ID\s+\|", text, re.MULTILINE))


def read_table(text: str, at: float = 0.0) -> Sample:
    """Return the devices of ``discovery``, or the one of ``discovery -d N`` or ``stats -d N``."""
    gauge = Gauge(SOURCE, at)
    rows = [(row["label"], row["value"]) for line in text.splitlines()[:MOST] if (row := _ROW.match(line))]
    if any(value == "Device Information" for _, value in rows):
        return Sample(devices=tuple(_listed(each, gauge) for each in _by_device(rows)))
    values = _unwrapped(rows)
    number = whole_number(values.get("Device ID", ""))
    tiles = _tiles(values)
    device = _numbered(number, told(_whole_of(values).get, gauge))
    parts = (
        DeviceSnapshot(
            f"{device.key}/{tile}", "", VENDOR, "partition", index=int(tile), parent=device.key,
            readings=told(each.get, gauge),
        )
        for tile, each in tiles.items()
    )  # fmt: skip
    return Sample(devices=(device, *parts))


def _by_device(rows: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield the rows of each device: its first has its number, those below have none."""
    starts = [at for at, (label, _) in enumerate(rows) if label.isdecimal()] or [0]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield rows[start:end]


def _listed(rows: list[tuple[str, str]], gauge: Gauge) -> DeviceSnapshot:
    fields = {f["name"]: f["value"].strip() for _, value in rows if (f := _FIELD.match(value))}
    number = whole_number(rows[0][0]) if rows and rows[0][0].isdecimal() else None
    named = {"device_id": number, "device_name": fields.get("Device Name"), "uuid": fields.get("UUID"),
             "pci_bdf_address": fields.get("PCI BDF Address"), **fields}  # fmt: skip
    return _discovered(named, gauge)


def _tiles(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what is said of each tile: parts with several tiles tell values for each and none for all."""
    found: dict[str, dict[str, str]] = {}
    for label, value in values.items():
        for each in _TILE.finditer(value):
            found.setdefault(each["tile"], {})[label] = each["value"].strip()
    return found


def _whole_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return what is said of the device as a whole."""
    return {label: value for label, value in values.items() if not _TILE.search(value)}


def _unwrapped(rows: list[tuple[str, str]]) -> dict[str, str]:
    """Return the rows with labels that go on in the next row put together."""
    found: dict[str, str] = {}
    for number, (label, value) in enumerate(rows):
        after = rows[number + 1] if number + 1 < len(rows) else ("", "")
        joined = f"{label} {after[0]}"
        found.setdefault(joined if joined in labels() else label, value)
    return found


def is_dump(text: str) -> bool:
    """Whether a text is a dump."""
    return _DUMP.search(text) is not None


def read_dump(text: str, at: float = 0.0) -> Sample:
    """Return the newest row of each device; a blank cell is a field that the device does not have."""
    start = _DUMP.search(text)
    lines = text[start.end() if start else 0 :].strip().splitlines()[: MOST + 1] or [""]
    head = [cell.strip() for cell in lines[0].split(",")]
    newest: dict[str, dict[str, str]] = {}
    for line in lines[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if len(cells) == len(head):
            row = dict(zip(head, cells, strict=True))
            newest[f"{row.get('DeviceId')}/{row.get('TileId', '0')}"] = row
    gauge = Gauge(SOURCE, at)
    devices = tuple(_dumped(row, gauge) for row in newest.values())
    return Sample(devices=devices, troubles=() if devices else ("xpu-smi dump: it holds no whole row",))


def _dumped(row: Mapping[str, str], gauge: Gauge) -> DeviceSnapshot:
    index, tile = whole_number(row.get("DeviceId", "")), row.get("TileId")
    key = f"{VENDOR}-{index or 0}" + (f"/{tile}" if tile not in {None, "0"} else "")
    notes = () if tile is None else (f"values are those of tile {tile[:8]}",)
    return DeviceSnapshot(key, "", VENDOR, index=index, readings=told(row.get, gauge), notes=notes)


def is_processes(text: str) -> bool:
    """Whether a text is the list of processes."""
    return bool(re.match(r"\s*PID\s+Command\s+DeviceID\s+SHR\s+MEM", text))


def read_processes(text: str) -> Sample:
    """Return the devices of ``ps`` with their processes; the unit of their memory is not certain."""
    held: dict[int, list[ProcessSnapshot]] = {}
    for line in text.splitlines()[1 : MOST + 1]:
        row = _PROCESS.match(line.strip())
        if row is not None:
            process = ProcessSnapshot(whole_number(row["pid"]), row["name"][:120], TWO_UNITS, "compute")
            held.setdefault(int(row["device"]), []).append(process)
    devices = tuple(
        DeviceSnapshot(f"{VENDOR}-{index}", "", VENDOR, index=index, processes=tuple(rows))
        for index, rows in held.items()
    )
    return Sample(devices=devices)


FORMATS: Final = (
    Format("xpu-smi -j", is_json, read_json),
    Format("xpu-smi", is_table, read_table),
    Format("xpu-smi dump", is_dump, read_dump),
    Format("xpu-smi ps", is_processes, read_processes),
)
