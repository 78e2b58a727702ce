"""This machine as a plan's devices: what is free now, what others hold, and what no one may take."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.errors import MissingError, UsageError
from hwledger.telemetry.machine import known_device
from hwledger.telemetry.probing import probe
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Value, bytes_of
from hwledger.telemetry.samplers import source_names
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, Snapshot
from hwledger.units import GIB, format_gib

Q = Quantity
SOURCES: Final = frozenset({"nvml", "amdsmi", "amd-smi", "amdgpu", "apple", "xpu-smi", "intel", "host"})
"""What is asked: devices and host, no engines."""
SHOWN_PROCESSES: Final = 3
_LOCAL: Final = re.compile(
    r"\s*local(?P<idle>[\s:]+idle)?(?:[\s:]+(?P<numbers>\d{1,3}(?:[\s,+]+\d{1,3})*))?\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``--device local`` asks for.

    Attributes:
        idle: as if nothing else ran; else what is free now.
        numbers: of the devices that are meant, as the vendor's tools count them; all where empty.
    """

    idle: bool
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Local:
    """The devices of this machine for a plan.

    Attributes:
        devices: with what can be allocated as their usable memory.
        host_bytes: memory of the host that can be had; ``None`` where it is not known.
        notes: sentences: what holds how much, and what was left out.
    """

    devices: tuple[DeviceSpec, ...]
    host_bytes: int | None
    notes: tuple[str, ...]


@lru_cache(maxsize=8)
def here(text: str) -> Local | None:
    """Return this machine as a text asks for it, looked at once; ``None``: the text names other devices.

    Raises:
        UsageError, MissingError: as ``local_devices``.
    """
    asked = local_words(text)
    return None if asked is None else local_devices(probe(only=SOURCES & source_names()), asked)


def local_words(text: str) -> Asked | None:
    """Return what a text asks of this machine; ``None``: it names other devices.

    ``local`` is what is free now, ``local idle`` as if nothing else ran, ``local 0 2`` two of the devices.
    """
    found = _LOCAL.fullmatch(text)
    if found is None:
        return None
    numbers = frozenset(map(int, re.findall(r"\d+", found["numbers"] or "")))
    return Asked(found["idle"] is not None, numbers)


def local_devices(snapshot: Snapshot, asked: Asked) -> Local:
    """Return the devices of a snapshot as a plan takes them.

    Of a device that is cut into slices the slices count. Without an accelerator the host's memory is the
    device.

    Args:
        snapshot: of this machine.
        asked: which devices, free or idle.

    Raises:
        UsageError: there is no device of a number that is asked for.
        MissingError: the devices that are there tell nothing of their memory.
    """
    cut = {device.parent for device in snapshot.devices if device.parent}
    seen = [device for device in snapshot.devices if device.key not in cut]
    chosen = [device for device in seen if not asked.numbers or device.index in asked.numbers]
    missing = asked.numbers - {device.index for device in chosen}
    if missing:
        there = ", ".join(f"{device.index}: {device.name}" for device in seen) or "none"
        raise UsageError(f"this machine has no device {min(missing)}; it has {there}")
    host = host_bytes(snapshot, idle=asked.idle)
    notes: list[str] = []
    devices = [spec for each in chosen if (spec := _device(each, snapshot, asked, notes)) is not None]
    if not chosen and host is not None:
        devices = [_host_device(snapshot.host, host, asked)]
        notes.append(f"no accelerator was found: planned on the host's memory, {format_gib(host)} of it")
    if not devices:
        raise MissingError(
            f"no device of this machine tells its memory ({'; '.join(notes) or 'none was found'})"
        )
    return Local(tuple(devices), host, tuple(notes))


def host_bytes(snapshot: Snapshot, *, idle: bool) -> int | None:
    """Return the memory of the host that can be had, within the limit of this control group."""
    whole = Q.HOST_MEMORY_TOTAL if idle else Q.HOST_MEMORY_AVAILABLE
    told = [bytes_of(snapshot.host[quantity]) for quantity in (whole, Q.HOST_MEMORY_LIMIT)]
    known = [size for size in told if size is not None]
    return min(known) if known and told[0] is not None else None


def _host_device(host: HostSnapshot, size: int, asked: Asked) -> DeviceSpec:
    total = bytes_of(host[Q.HOST_MEMORY_TOTAL]) or size
    said = "the host's memory" if asked.idle else "the host's memory that is available now"
    return DeviceSpec(
        name="host memory", vendor="", memory_bytes=total, usable_bytes=size, unified=True,
        usable_basis="measured", usable_source=said, source="operating system", category="processor",
        architecture=host.name, units=cores(),
    )  # fmt: skip


def processor_of(host: HostSnapshot) -> DeviceSpec | None:
    """Return the processor of a host, with its memory, as a device; ``None``: its memory is not known."""
    size = bytes_of(host[Q.HOST_MEMORY_AVAILABLE])
    return None if size is None else _host_device(host, size, Asked(idle=False, numbers=frozenset()))


def cores() -> int:
    """Return the cores that a program of this user may run on."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):  # macOS and Windows have no such call
        return os.cpu_count() or 1


def _device(device: DeviceSnapshot, snapshot: Snapshot, asked: Asked, notes: list[str]) -> DeviceSpec | None:
    """Return one device, or ``None`` with a note why it is left out."""
    name = _called(device)
    spec = _named(device, snapshot)
    if spec is None:
        reading = device[Q.MEMORY_TOTAL]
        why = f"{reading.reason}, {reading.detail}" if isinstance(reading, Absent) else "it is not told"
        notes.append(f"{name} is left out: nothing is known of its memory ({why})")
        return None
    if asked.idle:
        return spec
    size, said = _free(device, spec, snapshot)
    if size is None:
        notes.append(f"{name}: what is in use is not known ({said}); planned as if nothing were")
        return spec
    notes += _held(device, name, spec, size)
    return replace(spec, usable_bytes=size, usable_basis="measured", usable_source=f"free now, {said}")


def _named(device: DeviceSnapshot, snapshot: Snapshot) -> DeviceSpec | None:
    """Return what the catalogue knows of a device, with the memory that it has when nothing runs."""
    total = bytes_of(device[Q.MEMORY_TOTAL])
    whole = bytes_of(snapshot.host[Q.HOST_MEMORY_TOTAL])
    source = _source(device)
    if device.vendor == "Apple" and whole is not None:
        spec = known_device(f"{device.name} {whole >> 30}GB", "Apple", whole, source)
        limit = bytes_of(snapshot.host[Q.WIRED_LIMIT])
        return (
            spec if limit is None else replace(spec, usable_bytes=min(limit, whole), usable_basis="measured")
        )
    if device.unified and total is None:  # GB10, Jetson: the host's memory is theirs
        return None if whole is None else known_device(device.name, device.vendor, whole, source)
    if total is None:
        return None
    spec = known_device(device.name or f"{device.vendor} GPU", device.vendor, total, source)
    usable = bytes_of(device[Q.MEMORY_USABLE])
    if usable is None:
        return spec
    return replace(spec, usable_bytes=min(usable, max(spec.memory_bytes, total)))


def _free(device: DeviceSnapshot, spec: DeviceSpec, snapshot: Snapshot) -> tuple[int | None, str]:
    """Return the bytes that can be allocated now and who says so; ``None`` and why where it is not known."""
    used = bytes_of(device[Q.MEMORY_USED])
    if device.unified:
        left = bytes_of(snapshot.host[Q.HOST_MEMORY_AVAILABLE])
        if left is None:
            return None, "the host does not tell its memory"
        mapped = bytes_of(device[Q.SHARED_MEMORY_USED])
        taken = used if mapped is None else max(used or 0, mapped)
        return max(
            0, min(left, spec.usable_bytes - (taken or 0))
        ), "of the memory that it shares with the host"
    free = bytes_of(device[Q.MEMORY_FREE])
    if free is None:
        reading = device[Q.MEMORY_USED]
        return None, f"{reading.reason}" if isinstance(reading, Absent) else "its source does not tell"
    return min(free, spec.usable_bytes), _source(device)


def _held(device: DeviceSnapshot, name: str, spec: DeviceSpec, free: int) -> Iterator[str]:
    taken = spec.usable_bytes - free
    if taken < GIB // 20:
        return
    said = f"{name}: {format_gib(taken)} of {format_gib(spec.usable_bytes)} are in use"
    if not isinstance(device.processes, Absent):
        known = [(bytes_of(each.memory), each) for each in device.processes]
        largest = sorted(((size, each) for size, each in known if size), key=lambda pair: -pair[0])
        words = [
            f"{each.name.rpartition('/')[2] or 'process'} {each.pid} {format_gib(size)}"
            for size, each in largest
        ]
        said += f" ({', '.join(words[:SHOWN_PROCESSES])})" if words else ""
    yield f"{said}; planned on the {format_gib(free)} that are free now, --device 'local idle' plans on all"


def _called(device: DeviceSnapshot) -> str:
    name = device.name or device.key
    return name if device.index is None else f"{name} (device {device.index})"


def _source(device: DeviceSnapshot) -> str:
    for quantity in (Q.MEMORY_TOTAL, Q.MEMORY_USED, Q.UTILIZATION):
        reading = device[quantity]
        if isinstance(reading, Value) or reading.source:
            return reading.source
    return "this machine"
