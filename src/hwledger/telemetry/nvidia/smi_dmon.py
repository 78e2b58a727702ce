"""``nvidia-smi dmon``: a row a device and second; the two lines above them name columns and units."""

import re
from collections.abc import Iterator
from typing import Final

from hwledger.telemetry.nvidia.smi_csv import SOURCE, VENDOR
from hwledger.telemetry.parsing import digits_in, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

Q = Quantity
_HEADING: Final = re.compile(
    r"^#(?=[^\n]{0,200}\bgpu\b)[^\n]{0,200}\b(?:pwr|sm|fb|mclk|pviol|rxpci)\b", re.MULTILINE
)
_COLUMNS: Final = {
    "pwr": (Q.POWER, "W"), "gtemp": (Q.TEMPERATURE, "C"), "temp": (Q.TEMPERATURE, "C"),
    "mtemp": (Q.TEMPERATURE_MEMORY, "C"), "sm": (Q.UTILIZATION, "%"), "mem": (Q.MEMORY_ACTIVITY, "%"),
    "mclk": (Q.CLOCK_MEMORY, "MHz"), "pclk": (Q.CLOCK, "MHz"), "fb": (Q.MEMORY_USED, "MiB"),
    "dbecc": (Q.ERRORS_UNCORRECTED, ""), "rxpci": (Q.PCIE_RECEIVED, "MB/s"), "txpci": (Q.PCIE_SENT, "MB/s"),
}  # fmt: skip
"""Columns as ``nvidia-smi dmon -h`` explains them; their MB of memory are MiB."""
_NOTHING: Final = "-"
_MOST: Final = 100_000
NO_ROW: Final = "it holds no whole row"


def is_dmon(text: str) -> bool:
    """Whether a text is of dmon, and not of pmon, which lists processes."""
    found = _HEADING.search(text)
    return (
        found is not None
        and "pid" not in text[found.start() : found.start() + 200].split("\n", maxsplit=1)[0]
    )


def read_dmon(text: str) -> Sample:
    """Return the newest row of each device; a dash is a value that it does not have."""
    newest = {row["gpu"]: row for row in _rows(text)}
    devices = tuple(_device(row) for row in newest.values())
    return Sample(devices=devices, troubles=() if devices else (f"nvidia-smi dmon: {NO_ROW}",))


def _rows(text: str) -> Iterator[dict[str, str]]:
    heading: list[str] = []
    for line in text.splitlines()[:_MOST]:
        words = line.lstrip("# ").split()
        if line.startswith("#"):
            heading = words if "gpu" in words else heading
        elif heading and len(words) == len(heading):
            row = dict(zip(heading, words, strict=True))
            if digits_in(row["gpu"], most=4) is not None:
                yield row


def _device(row: dict[str, str]) -> DeviceSnapshot:
    gauge, index = Gauge(SOURCE), int(row["gpu"])
    told = {
        quantity: _cell(gauge, quantity, row[name], unit)
        for name, (quantity, unit) in _COLUMNS.items()
        if name in row
    }
    return DeviceSnapshot(f"{VENDOR}-{index}", "", VENDOR, index=index, readings=told)


def _cell(gauge: Gauge, quantity: Quantity, said: str, unit: str) -> Reading:
    if said == _NOTHING:
        return gauge.absent(Reason.UNSUPPORTED, "it says '-'")
    return measured(gauge, quantity, said, unit)


FORMATS: Final = (Format("nvidia-smi dmon", is_dmon, read_dmon),)
