"""amd-smi in columns: what ``monitor`` prints, and ``--csv`` of any command."""

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Final

from hwledger.telemetry.amd.facts import rows
from hwledger.telemetry.amd.smi import SOURCE
from hwledger.telemetry.amd.smi_text import failed
from hwledger.telemetry.amd.telling import MISSING, Identity, device_of, generation, named, told
from hwledger.telemetry.parsing import digits_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

_MONITOR: Final = re.compile(
    r"^ *GPU +(?:XCP +)?(?:POWER|GPU_T|GPU_TEMP|MEM_T|MEM_TEMP|GFX_CLK|GFX%|GFX_UTIL|VRAM_USE\w*)\b",
    re.MULTILINE,
)
_CSV: Final = re.compile(
    r"^gpu,[\w,]{0,4000}\b(?:gfx_activity|socket_power|total_vram|market_name|bdf|hotspot|gfx_0_clk|power_usage)\b",
    re.MULTILINE,
)
_CELL: Final = re.compile(
    r"(?:N/A|[\d.]+)(?:/(?:N/A|[\d.]+))?(?: (?:W|°C|MHz|%|[KMGT]B(?:/s)?|Mb/s))?(?= |$)|\S+"
)
_FASTEST: Final = Quantity.PCIE_GENERATION_MAX
_MOST: Final = 10_000


def is_columns(text: str) -> bool:
    """Return whether a text is amd-smi's in columns."""
    return _MONITOR.search(text) is not None or _CSV.search(text) is not None


def read_columns(text: str) -> Sample:
    """Return what the columns say; of several rows of a GPU the last, which is the newest.

    A row with more or fewer fields than the heading is not read.
    """
    gauge = Gauge(SOURCE)
    found: dict[str, DeviceSnapshot] = {}
    for fields in _table(text):
        number = fields.get("gpu", "")
        if digits_in(number, most=4) is not None:
            found[number] = _device(fields, number, gauge)
    if not found:
        return failed(text, Absent(Reason.UNPARSED, "its table has no row that is whole", SOURCE))
    return Sample(devices=tuple(found.values()))


def _table(text: str) -> Iterator[Mapping[str, str]]:
    commas = _CSV.search(text) is not None
    lines = text.splitlines()[:_MOST]
    heading: list[str] = []
    for row in csv.reader(lines) if commas else map(_cells, lines):
        if row and row[0].strip().lower() == "gpu":
            heading = [each.strip().lower() for each in row]
        elif heading and len(row) == len(heading):
            yield _split(dict(zip(heading, row, strict=True)))


def _cells(line: str) -> list[str]:
    return _CELL.findall(line[:1000].strip())


def _split(fields: dict[str, str]) -> Mapping[str, str]:
    """Return a row with ``VRAM_USAGE: 0.3/192.0 GB`` as the two figures that it is."""
    used, slash, rest = fields.pop("vram_usage", "").partition("/")
    if not slash or used == "N":
        return fields if not slash else {**fields, "vram_used": "N/A", "vram_total": "N/A"}
    return {**fields, "vram_used": f"{used} {rest.partition(' ')[2]}", "vram_total": rest}


def _device(fields: Mapping[str, str], number: str, gauge: Gauge) -> DeviceSnapshot:
    who = Identity(
        fallback=number, index=digits_in(number, most=4), address=fields.get("bdf", ""),
        name=named(fields.get("market_name")), uuid=named(fields.get("uuid"), fields.get("gpu_uuid")),
        device=named(fields.get("device_id")),
    )  # fmt: skip
    found = told(rows("amd_smi_columns"), lambda name: fields.get(name, MISSING), gauge)
    if (rate := fields.get("max_pcie_speed")) is not None:
        found[_FASTEST] = generation(gauge, _FASTEST, rate)
    return device_of(found, who)
