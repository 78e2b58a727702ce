"""Samples of several sources as one snapshot: devices by their key, the first source that tells wins."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hwledger.telemetry.derive import completed, first_told
from hwledger.telemetry.reading import Absent
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, ProcessSnapshot, Sample

_PCI: Final = re.compile(
    r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2}):(?P<slot>[0-9a-f]{2})[.:](?P<function>[0-9])"
)


def pci_key(text: str) -> str | None:
    """Return a PCI address as every source is to write it, ``0000:01:00.0``; ``None``: it is none.

    NVML writes eight digits of domain, rocm-smi capitals, some tools no domain.
    """
    found = _PCI.fullmatch(text.strip().lower())
    if found is None:
        return None
    domain = int(found["domain"] or "0", 16)
    return f"{domain:04x}:{found['bus']}:{found['slot']}.{found['function']}"


def merged_devices(samples: Sequence[Sample]) -> tuple[DeviceSnapshot, ...]:
    """Return every device once, slices behind their device, with what all sources know of it.

    Sources come in the order in which they are believed. One that knows a device by its UUID alone means the
    one that another source, before or behind it, knows by its address and that UUID.
    """
    seen = [device for sample in samples for device in sample.devices]
    addresses = {device.uuid: device.key for device in reversed(seen) if device.uuid not in {"", device.key}}
    found: dict[str, DeviceSnapshot] = {}
    for told in seen:
        key, parent = (addresses.get(name, name) for name in (told.key, told.parent))
        device = replace(told, key=key, parent=parent)
        found[key] = _joined(found[key], device) if key in found else device
    below: dict[str, list[DeviceSnapshot]] = {}
    for device in found.values():
        below.setdefault(device.parent if device.parent in found else "", []).append(device)
    return tuple(completed(each) for device in below.get("", ()) for each in _with_slices(device, below))


def _with_slices(
    device: DeviceSnapshot, below: Mapping[str, Sequence[DeviceSnapshot]]
) -> Iterator[DeviceSnapshot]:
    """Yield a device, then its slices, each followed by slices of its own."""
    yield device
    for each in below.get(device.key, ()):
        yield from _with_slices(each, below)


def _joined(one: DeviceSnapshot, other: DeviceSnapshot) -> DeviceSnapshot:
    return replace(
        one,
        name=one.name or other.name,
        index=one.index if one.index is not None else other.index,
        uuid=one.uuid or other.uuid,
        unified=one.unified if one.unified is not None else other.unified,
        readings=first_told(one.readings, other.readings),
        processes=_processes(one.processes, other.processes),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )


def _processes(
    one: tuple[ProcessSnapshot, ...] | Absent, other: tuple[ProcessSnapshot, ...] | Absent
) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return the first list, with what the other knows of memory where the first does not."""
    if isinstance(one, Absent):
        return other if not isinstance(other, Absent) or not one.source else one
    if isinstance(other, Absent) or not any(isinstance(each.memory, Absent) for each in one):
        return one
    known: dict[int | None, ProcessSnapshot] = {each.pid: each for each in other if each.pid is not None}
    return tuple(_filled(each, known.get(each.pid)) for each in one)


def _filled(process: ProcessSnapshot, other: ProcessSnapshot | None) -> ProcessSnapshot:
    if other is None or isinstance(other.memory, Absent) or not isinstance(process.memory, Absent):
        return process
    return replace(
        process, name=process.name or other.name, memory=other.memory, shared_memory=other.shared_memory
    )


def merged_host(samples: Iterable[Sample]) -> HostSnapshot:
    """Return the host with what all sources know of it."""
    host = HostSnapshot()
    for told in (sample.host for sample in samples):
        if told is not None:
            host = HostSnapshot(
                host.name or told.name, host.system or told.system, first_told(host.readings, told.readings)
            )
    return host
