"""The table that ``nvidia-smi`` draws, and the list of ``nvidia-smi -L``."""

import re
from collections.abc import Iterator
from typing import Final

from hwledger.telemetry.nvidia.facts import shares_memory
from hwledger.telemetry.nvidia.fields import is_several, memory_notes
from hwledger.telemetry.nvidia.smi_csv import SOURCE, VENDOR, key_of, name_of, uuid_of
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.units import whole_number

Q = Quantity
MOST_LINES: Final = 100_000
_HEAD: Final = re.compile(
    r"NVIDIA-SMI\s+\S+\s+(?:Driver|KMD) Version:\s+(?P<driver>\S+)"
    r"(?:\s+CUDA (?:UMD )?Version:\s+(?P<cuda>\S+))?"
)
"""Drivers from 610 on tell the kernel's part (KMD) from the library's (UMD)."""
_FIRST: Final = re.compile(
    r"\|\s*(?P<index>[0-9]{1,4})\s+(?P<name>\S.*?)\s+(?P<mode>On|Off|N/A|WDDM|TCC|MCDM)\s*"
    r"\|\s*(?P<address>[0-9A-Fa-f:.]+)\s+(?P<display>On|Off|N/A)\s*\|\s*(?P<errors>\S+)\s*\|"
)
_SECOND: Final = re.compile(
    r"\|\s*(?P<fan>\S+)\s+(?P<temperature>\S+)\s+(?P<state>\S+)\s+(?P<power>\S+)\s*/\s*(?P<limit>\S+)\s*"
    r"\|\s*(?P<memory>[^|]*?)\s*\|\s*(?P<busy>\S+)\s+(?P<compute>\S.*?)\s*\|"
)
_MEMORY: Final = re.compile(r"(?P<used>[0-9]+\s*\w+)\s*/\s*(?P<total>[0-9]+\s*\w+)")
_SPELLED: Final = {"mb": "mib"}
"""Drivers before 331 print MiB as MB."""
_ROWS: Final = re.compile(
    r"^\| +[0-9]{1,4} +\S[^|\n]{0,60}\| +[0-9A-Fa-f]{4,8}:[0-9A-Fa-f:.]{4,8} +\S+ *\|[^|\n]{0,30}\|\s*\n"
    r"\|[^|\n]{0,60}/[^|\n]{0,20}\|[^|\n]{0,30}MiB +\|[^|\n]{0,30}\|",
    re.MULTILINE,
)
"""Both lines of a device, without the head of the table."""
_MARGIN: Final = re.compile(r"^[ \t>]+(?=[|+])", re.MULTILINE)
"""Where a table was pasted indented or as a quotation."""
_SLICED: Final = frozenset({"on", "enabled"})
_SLICE: Final = re.compile(
    r"\|\s*(?P<gpu>[0-9]{1,4})\s+(?P<gi>[0-9]+)\s+(?P<ci>[0-9]+)\s+(?P<device>[0-9]{1,4})\s*\|\s*(?P<used>[0-9]+\s*MiB)\s*/\s*(?P<total>[0-9]+\s*MiB)"
)
_PROCESS: Final = re.compile(
    r"\|\s*(?P<gpu>[0-9]{1,4})\s+(?:(?P<gi>N/A|[0-9]+)\s+(?P<ci>N/A|[0-9]+)\s+)?(?P<pid>[0-9]+)\s+"
    r"(?:(?P<kind>[CGM](?:\+[CGM])*)\s+)?(?P<name>\S.*?)\s+"
    r"(?P<memory>[0-9]+\s*Mi?B|N/A|Insufficient Permissions)\s*\|"
)
_BLOCK: Final = re.compile(r"\|\s*(?P<all>Compute p|P)rocesses:")
_UNSEEN: Final = re.compile(
    r"\|\s*(?P<gpu>[0-9]{1,4})\s+(?:N/A\s+N/A\s+)?(?P<says>Not Supported|N/A|ERROR[^|]*?)\s*\|"
)
"""A device whose processes the driver does not tell."""
_LIST: Final = re.compile(r"^GPU (?P<index>[0-9]{1,4}): (?P<name>.*?) \(UUID: (?P<uuid>[^)]*)\)\s*$")
_LIST_SLICE: Final = re.compile(
    r"^\s+MIG (?P<name>\S+)\s+Device\s+(?P<index>[0-9]{1,4}): \(UUID: (?P<uuid>[^)]*)\)\s*$"
)
_STATE: Final = re.compile(r"P[0-9]{1,2}")
_ERROR: Final = "ERR!"
_LOST: Final = "nvidia-smi says ERR! even for its name: the driver can no longer talk to it"
CUT: Final = "its name is cut to the width of the table"


def is_table(text: str) -> bool:
    """Whether a text is the table, or rows of it."""
    whole = _HEAD.search(text) is not None and "Bus-Id" in text
    return (whole or _ROWS.search(_MARGIN.sub("", text)) is not None) and not is_several(text)


def read_table(text: str) -> Sample:
    """Return the devices, slices and processes of the last table of a text."""
    plain = _MARGIN.sub("", text)
    last = plain[max(plain.rfind("| NVIDIA-SMI"), 0) :]
    lines = last.splitlines()[:MOST_LINES]
    head = _HEAD.search(last)
    processes = _processes(lines)
    devices = [*_devices(lines, head, processes)]
    keys = {device.index: (device.key, device.name) for device in devices}
    slices = [*_slices(lines, keys, processes)]
    troubles = () if devices else ("nvidia-smi: its table holds no device that is understood",)
    return Sample(devices=(*devices, *slices), troubles=troubles)


Held = dict[tuple[str, str, str], "list[ProcessSnapshot] | Absent"]


def _devices(
    lines: list[str], head: "re.Match[str] | None", held: "Held | Absent"
) -> Iterator[DeviceSnapshot]:
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        first = _FIRST.match(line)
        if first is None:
            continue
        gauge = Gauge(SOURCE)
        found: dict[Quantity, Reading] = {Q.ERRORS_UNCORRECTED: _errors(gauge, first["errors"])}
        second = _SECOND.match(below)
        if second is not None:
            found |= dict(_second_line(gauge, second))
        if head is not None:
            found |= dict(_versions(gauge, head))
        if first["name"] == _ERROR:
            found = {name: _lost(gauge, reading) for name, reading in found.items()}
        notes = (*memory_notes(found), *((CUT,) if first["name"].endswith("...") else ()))
        index = int(first["index"])
        yield DeviceSnapshot(
            key_of(first["address"], "", index, index), name_of(first["name"].replace(_ERROR, "")), VENDOR,
            index=index,
            unified=shares_memory(first["name"]) or None, readings=found, notes=notes,
            processes=_of(held, first["index"]),
        )  # fmt: skip


def _lost(gauge: Gauge, reading: Reading) -> Reading:
    """Return a reading of a device whose very name is an error: what it does not tell is lost with it."""
    return gauge.absent(Reason.LOST_DEVICE, _LOST) if isinstance(reading, Absent) else reading


def _errors(gauge: Gauge, said: str) -> Reading:
    """Return the uncorrected errors; in MIG mode the column says that it is on, and the slices count them."""
    if said.lower() in _SLICED:
        return gauge.absent(Reason.UNSUPPORTED, "MIG is on: errors are counted for each slice")
    return measured(gauge, Q.ERRORS_UNCORRECTED, said)


def _state(gauge: Gauge, said: str) -> Reading:
    if _STATE.fullmatch(said):
        return gauge(Q.PERFORMANCE_STATE, said)
    return said_nothing(said, SOURCE) or gauge.absent(Reason.UNPARSED, f"no state: {said[:40]!r}")


def _second_line(gauge: Gauge, line: "re.Match[str]") -> Iterator[tuple[Quantity, Reading]]:
    for quantity, name in ((Q.FAN, "fan"), (Q.TEMPERATURE, "temperature"), (Q.POWER, "power"),
                           (Q.POWER_LIMIT, "limit"), (Q.UTILIZATION, "busy")):  # fmt: skip
        yield quantity, measured(gauge, quantity, line[name])
    yield Q.PERFORMANCE_STATE, _state(gauge, line["state"])
    both = _MEMORY.fullmatch(line["memory"])
    for quantity, name in ((Q.MEMORY_TOTAL, "total"), (Q.MEMORY_USED, "used")):
        yield quantity, measured(gauge, quantity, both[name] if both else line["memory"], spelled=_SPELLED)


def _versions(gauge: Gauge, head: "re.Match[str]") -> Iterator[tuple[Quantity, Reading]]:
    yield Q.DRIVER, gauge(Q.DRIVER, head["driver"][:40])
    if head["cuda"] and said_nothing(head["cuda"]) is None:
        yield Q.RUNTIME, gauge(Q.RUNTIME, f"CUDA {head['cuda'][:20]}")


def _slices(
    lines: list[str], keys: dict[int | None, tuple[str, str]], held: "Held | Absent"
) -> Iterator[DeviceSnapshot]:
    for line in lines:
        found = _SLICE.match(line)
        if found is None or int(found["gpu"]) not in keys:
            continue
        gauge = Gauge(SOURCE)
        parent, name = keys[int(found["gpu"])]
        yield DeviceSnapshot(
            f"{parent}/{found['gi']}/{found['ci']}", f"{name} MIG {found['device']}", VENDOR, "mig",
            index=int(found["device"]), parent=parent,
            readings={
                quantity: measured(gauge, quantity, found[part])
                for quantity, part in ((Q.MEMORY_TOTAL, "total"), (Q.MEMORY_USED, "used"))
            },
            processes=_of(held, found["gpu"], (found["gi"], found["ci"])),
        )  # fmt: skip


def _processes(lines: list[str]) -> "Held | Absent":
    """Return the processes by device and slice; why there are none where the table does not tell."""
    head = next((n for n, line in enumerate(lines) if _BLOCK.match(line)), None)
    if head is None:
        return Absent(Reason.UNSUPPORTED, "the table tells of no processes", SOURCE)
    compute = lines[head].lstrip("| ").startswith("Compute")
    held: Held = {}
    for line in lines[head:]:
        found, unseen = _PROCESS.match(line), _UNSEEN.match(line)
        if found is not None:
            where = found["gpu"], found["gi"] or "N/A", found["ci"] or "N/A"
            group = held.setdefault(where, [])
            if isinstance(group, list):
                group.append(_process(found, compute=compute))
        elif unseen is not None:
            why = Absent(Reason.UNSUPPORTED, f"it says {unseen['says'][:60]!r}", SOURCE)
            held[unseen["gpu"], "N/A", "N/A"] = why
    return held


def _process(found: "re.Match[str]", *, compute: bool) -> ProcessSnapshot:
    kinds = (found["kind"] or ("C" if compute else "")).split("+")
    kind = "+".join(w for letter, w in (("C", "compute"), ("G", "graphics")) if letter in kinds)
    memory = measured(Gauge(SOURCE), Q.MEMORY_USED, found["memory"], spelled=_SPELLED)
    return ProcessSnapshot(whole_number(found["pid"]), name_of(found["name"]), memory, kind)


def _of(
    held: "Held | Absent", gpu: str, ids: tuple[str, str] | None = None
) -> tuple[ProcessSnapshot, ...] | Absent:
    if isinstance(held, Absent):
        return held
    groups = [group for (where, *of), group in held.items() if where == gpu and ids in {None, tuple(of)}]
    why = next((group for group in groups if isinstance(group, Absent)), None)
    return why or tuple(each for group in groups if isinstance(group, list) for each in group)


def is_list(text: str) -> bool:
    """Whether a text is the list of devices."""
    return any(_LIST.match(line) for line in text.splitlines()[:64])


def read_list(text: str) -> Sample:
    """Return the devices and slices of ``nvidia-smi -L``: names and UUIDs, no values."""
    devices: list[DeviceSnapshot] = []
    parent: DeviceSnapshot | None = None
    for line in text.splitlines()[:MOST_LINES]:
        whole, part = _LIST.match(line), _LIST_SLICE.match(line)
        if whole:
            uuid, index = uuid_of(whole["uuid"]), int(whole["index"])
            parent = DeviceSnapshot(
                key_of("", uuid, index, index), name_of(whole["name"]), VENDOR, index=index, uuid=uuid
            )
            devices.append(parent)
        elif part and parent is not None:
            uuid = uuid_of(part["uuid"])
            devices.append(
                DeviceSnapshot(
                    uuid or f"{parent.key}/{part['index']}", f"{parent.name} MIG {part['name']}", VENDOR,
                    "mig",                    index=int(part["index"]), uuid=uuid, parent=parent.key,
                )
            )  # fmt: skip
    return Sample(devices=tuple(devices))


FORMATS: Final = (Format("nvidia-smi", is_table, read_table), Format("nvidia-smi -L", is_list, read_list))
