"""rocm-smi's lists of the whole machine: ``--showpids`` and ``--showhw``."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hwledger.telemetry.amd.rocm import SOURCE
from hwledger.telemetry.amd.smi import UNSEEN
from hwledger.telemetry.amd.telling import VENDOR, Identity, device_of, named, reading_of
from hwledger.telemetry.parsing import digits_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample

_PIDS: Final = re.compile(r"^PID\s{1,40}PROCESS NAME\s{1,40}GPU\(s\)\s{1,40}VRAM USED\b", re.MULTILINE)
_HARDWARE: Final = re.compile(r"^GPU\s{2,40}[^\n]{0,200}\bVBIOS\s{2,80}BUS\b", re.MULTILINE)
_PROCESS: Final = re.compile(
    r"(?P<pid>[0-9]{1,10})\s+(?P<name>\S.{0,200}?)\s+(?P<cards>[0-9]{1,4}|UNKNOWN)"
    r"\s+(?P<memory>[0-9]{1,20}|UNKNOWN)(?:\s+(?:[0-9]{1,20}|UNKNOWN)){2}"
)
_GAP: Final = re.compile(r"\s{2,}")
_MOST: Final = 10_000
_UNKNOWN: Final = "unknown"
ANY_CARD: Final = "rocm-smi lists processes without the card that they use"
NO_PROCESS: Final = "it lists no process"


def is_pids(text: str) -> bool:
    """Return whether a text holds the list of processes, which ``-a`` prints too."""
    return _PIDS.search(text) is not None


def read_pids(text: str) -> Sample:
    """Return the processes, under one device that stands for all cards: which each uses is not told."""
    held = processes(text)
    if not held:
        return Sample(troubles=(f"{SOURCE}: {NO_PROCESS}",))
    device = DeviceSnapshot(f"{VENDOR}-0", "", VENDOR, processes=held, notes=(ANY_CARD,))
    return Sample(devices=(device,))


def processes(text: str) -> tuple[ProcessSnapshot, ...]:
    """Return the processes of a text."""
    gauge = Gauge(SOURCE)
    start = _PIDS.search(text)
    lines = text[start.end() if start else 0 :].splitlines()[:_MOST]
    rows = (_PROCESS.fullmatch(line.strip()[:400]) for line in lines)
    return tuple(_process(row, gauge) for row in rows if row is not None)


def _process(row: re.Match[str], gauge: Gauge) -> ProcessSnapshot:
    return ProcessSnapshot(int(row["pid"]), named(row["name"]), _memory(row, gauge), "compute")


def _memory(row: re.Match[str], gauge: Gauge) -> Reading:
    """Return the memory of a process; nothing on a card that it uses may not be seen."""
    said = row["memory"]
    if said.lower() == _UNKNOWN:
        return gauge.absent(Reason.UNSUPPORTED, f"it says {said!r}")
    if said == "0" and row["cards"] != "0":
        return gauge.absent(Reason.NO_PERMISSION, UNSEEN)
    return reading_of(gauge, Quantity.MEMORY_USED, said, "b")


def is_hardware(text: str) -> bool:
    """Return whether a text is the list of cards."""
    return _HARDWARE.search(text) is not None


def read_hardware(text: str) -> Sample:
    """Return the cards with their places; the list holds no figure of them."""
    devices = tuple(
        device_of({}, Identity(row["GPU"], int(row["GPU"]), row.get("BUS", ""), device=row.get("DID", "")))
        for row in _rows(text)
        if digits_in(row["GPU"], most=4) is not None
    )
    if not devices:
        why = Absent(Reason.UNPARSED, "its list has no card", SOURCE)
        return Sample(troubles=(f"{SOURCE}: {why.detail}",), failure=why)
    return Sample(devices=devices)


def _rows(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the rows under the heading; those of another width are none."""
    heading: list[str] = []
    for line in text.splitlines()[:_MOST]:
        cells = _GAP.split(line.strip()[:1000])
        if cells[0] == "GPU":
            heading = cells
        elif heading and len(cells) == len(heading):
            yield dict(zip(heading, cells, strict=True))
