"""What one process holds: of the host's memory, and of the devices'."""

import contextlib
from typing import Final

import psutil

from hwledger.telemetry.quantity import Unit
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value, bytes_of
from hwledger.telemetry.snapshot import Snapshot

SOURCE: Final = "RSS"


def resident_bytes(pid: int) -> Reading:
    """Return the resident bytes of a process and its children; pages that they share count in each."""
    try:
        process = psutil.Process(pid)
        size = process.memory_info().rss
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return Absent(Reason.LOST_DEVICE, f"process {pid} has ended", SOURCE)
    except psutil.AccessDenied:
        return Absent(Reason.NO_PERMISSION, f"process {pid} belongs to another user", SOURCE)
    for child in children:
        with contextlib.suppress(psutil.Error):
            size += child.memory_info().rss
    basis = Basis.DERIVED if children else Basis.MEASURED
    return Value(size, Unit.BYTES, SOURCE, basis=basis)


def device_bytes(snapshot: Snapshot, pid: int) -> Reading:
    """Return what a process and its children hold on all devices, as their drivers tell it."""
    pids = {pid}
    with contextlib.suppress(psutil.Error):
        pids |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    found = 0
    sources: dict[str, None] = {}
    why = "no device lists the process"
    for device in snapshot.devices:
        if isinstance(device.processes, Absent):
            why = device.processes.detail or str(device.processes.reason)
            continue
        for each in device.processes:
            size = bytes_of(each.memory)
            if each.pid in pids and size is not None and isinstance(each.memory, Value):
                found += size
                sources[each.memory.source] = None
    if not sources:
        return Absent(Reason.UNSUPPORTED, why)
    return Value(found, Unit.BYTES, " and ".join(sources), basis=Basis.MEASURED)
