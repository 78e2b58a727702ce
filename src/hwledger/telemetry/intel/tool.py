"""xpu-smi, spawned: which devices there are once, statistics of each and processes at most every 15 s."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.derive import first_told
from hwledger.telemetry.intel.coverage import XPU_SMI
from hwledger.telemetry.intel.names import DRIVERS, SOURCE, VENDOR, complaint
from hwledger.telemetry.intel.xpu_smi import is_json, is_processes, read_json, read_processes
from hwledger.telemetry.reading import NOT_TOLD, Absent, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from hwledger.telemetry.system import System
from hwledger.telemetry.tool import Tool

MOST: Final = 64
"""Devices that are asked one by one."""


class XpuSmiSampler(Tool):
    """xpu-smi of XPU Manager."""

    name = SOURCE
    vendor = VENDOR
    coverage: Coverage = XPU_SMI
    drivers = DRIVERS
    remedies = MappingProxyType(
        {
            Reason.ABSENT_TOOL: "install Intel's XPU Manager, or go without: intel tells much of it",
            Reason.NO_PERMISSION: "add this user to the groups render and video",
            Reason.UNSUPPORTED: "see what xpu-smi discovery says",
            Reason.UNPARSED: "see what xpu-smi discovery -j says",
            Reason.STALE: "see whether xpu-smi discovery ends by itself",
        }
    )

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._known: tuple[DeviceSnapshot, ...] = ()

    def _ask(self, *, processes: bool) -> Sample:
        if not self._known:
            found = self._discovered()
            if isinstance(found, Absent):
                return self._failed(found)
            self._known = found
        at = self._system.clock()
        troubles: list[str] = []
        devices = [self._device(known, at, troubles) for known in self._known[:MOST]]
        if processes:
            said = self._said(("ps",), is_processes)
            if isinstance(said, Absent):
                troubles.append(f"{self.name} ps: {said.detail}")
            devices = [replace(device, processes=_held(device, said)) for device in devices]
        return Sample(devices=tuple(devices), troubles=tuple(troubles))

    def _discovered(self) -> tuple[DeviceSnapshot, ...] | Absent:
        """Return the devices with what does not change, or why there are none."""
        said = self._said(("discovery", "-j"), is_json)
        if isinstance(said, Absent):
            return said
        listed = read_json(said, self._system.clock()).devices
        if not listed:
            return Absent(Reason.UNSUPPORTED, "it finds no device", self.name)
        return tuple(self._described(device) for device in listed[:MOST])

    def _described(self, device: DeviceSnapshot) -> DeviceSnapshot:
        """Return a device with what ``discovery -d`` says of it beside the list."""
        said = self._said(("discovery", "-d", str(device.index or 0), "-j"), is_json)
        found = () if isinstance(said, Absent) else read_json(said, self._system.clock()).devices
        return _joined(device, found)

    def _device(self, known: DeviceSnapshot, at: float, troubles: list[str]) -> DeviceSnapshot:
        number = str(known.index or 0)
        said = self._said(("stats", "-d", number, "-j"), is_json)
        if isinstance(said, Absent):
            troubles.append(f"{self.name} stats -d {number}: {said.detail}")
            return known
        return _joined(known, read_json(said, at).devices)

    def _complaint(self, text: str) -> Absent | None:
        return complaint(text)


def _joined(device: DeviceSnapshot, found: Iterable[DeviceSnapshot]) -> DeviceSnapshot:
    """Return a device with what a reply about it alone tells; one about another device tells nothing."""
    told = [each.readings for each in found if each.index in {None, device.index}]
    return replace(device, readings=MappingProxyType(first_told(*told[:1], device.readings)))


def _held(device: DeviceSnapshot, said: str | Absent) -> tuple[ProcessSnapshot, ...] | Absent:
    if isinstance(said, Absent):
        return said
    return tuple(_of(read_processes(said).devices, device.index or 0))


def _of(devices: Iterable[DeviceSnapshot], index: int) -> Iterator[ProcessSnapshot]:
    """Yield the processes of a device without xpu-smi itself, which lists itself."""
    for device in devices:
        held = device.processes if device.processes is not NOT_TOLD else ()
        if device.index == index and not isinstance(held, Absent):
            yield from (each for each in held if each.name != SOURCE)


def sampler(system: System) -> XpuSmiSampler:
    """Return the source ``xpu-smi``."""
    return XpuSmiSampler(system)
