"""Processes that compute through ROCm, as the kernel's KFD lists them for everybody."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hwledger.telemetry.drm.clients import command
from hwledger.telemetry.parsing import digits_in, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Value, bytes_of
from hwledger.telemetry.snapshot import ProcessSnapshot
from hwledger.telemetry.system import System

SOURCE: Final = "kfd"
_VRAM: Final = re.compile(r"vram_([0-9]{1,10})")
_PROPERTY: Final = re.compile(r"^(\w+) ([0-9]{1,20})$", re.MULTILINE)


def held(system: System) -> Mapping[str, Mapping[int, Reading]]:
    """Return bytes of the device's memory by PCI address and process; readable by every user.

    Files of ``/sys/class/kfd/kfd``: ``proc/PID/vram_GPUID``, and ``topology/nodes`` for which GPU that is
    (Linux 5.10, kfd_process.c, kfd_topology.c). Nothing of it wakes a device.
    """
    root = system.sysfs / "class" / "kfd" / "kfd"
    keys = _keys(system, root / "topology" / "nodes")
    gauge = Gauge(SOURCE, system.clock())
    found: dict[str, dict[int, Reading]] = {}
    for folder in _folders(root / "proc") if keys else ():
        pid = digits_in(folder.name)
        for file in _folders(folder) if pid is not None else ():
            number = _VRAM.fullmatch(file.name)
            key = keys.get(int(number[1])) if number else None
            text = system.read(file) if key else ""
            if key and pid is not None and isinstance(text, str):
                found.setdefault(key, {})[pid] = measured(gauge, Quantity.MEMORY_USED, text, "b")
    return found


def _folders(path: Path) -> Iterator[Path]:
    try:
        yield from sorted(path.iterdir())
    except OSError:
        return


def _keys(system: System, nodes: Path) -> dict[int, str]:
    """Return PCI addresses by KFD's own number of the GPU."""
    found: dict[int, str] = {}
    for node in _folders(nodes):
        number = digits_in(system.read(node / "gpu_id"))
        text = system.read(node / "properties")
        if number and isinstance(text, str):
            told = {name: int(value) for name, value in _PROPERTY.findall(text)}
            at = told.get("location_id", -1)
            if 0 <= at <= 0xFFFF:  # noqa: PLR2004 - bus, device and function in 16 bits
                found[number] = f"{told.get('domain', 0):04x}:{at >> 8:02x}:{at >> 3 & 31:02x}.{at & 7}"
    return found


def joined(
    system: System, listed: tuple[ProcessSnapshot, ...] | Absent, computing: Mapping[int, Reading]
) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return processes of a device with those that KFD lists, among them other users'.

    Of a process that both list the larger figure counts: fdinfo of older kernels leaves KFD's buffers out.
    """
    if not computing:
        return listed
    known = () if isinstance(listed, Absent) else listed
    pids = {each.pid for each in known}
    both = tuple(_larger(each, computing.get(each.pid or -1)) for each in known)
    rest = tuple(
        ProcessSnapshot(pid, command(system, pid), memory, "compute")
        for pid, memory in sorted(computing.items())
        if pid not in pids
    )
    return (*both, *rest)


def _larger(process: ProcessSnapshot, memory: Reading | None) -> ProcessSnapshot:
    if memory is None:
        return process
    more = isinstance(memory, Value) and (bytes_of(memory) or 0) > (bytes_of(process.memory) or 0)
    kinds = sorted({*process.kind.split("+"), "compute"} - {""})
    return ProcessSnapshot(
        process.pid, process.name, memory if more else process.memory, "+".join(kinds),
        process.shared_memory,
    )  # fmt: skip
