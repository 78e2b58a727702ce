"""The devices and the memory of this machine, as far as a plan needs them."""

import contextlib
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

import psutil

from hwledger.device.catalogue import find_candidates, find_device
from hwledger.device.options import wired
from hwledger.device.spec import DeviceSpec
from hwledger.errors import UsageError
from hwledger.telemetry.nvidia.present import library_there
from hwledger.units import GIB, format_gib, whole_number

if TYPE_CHECKING:
    from hwledger.device.node import Node

PATIENCE_S: Final = 5
LEAST_SHARE: Final = 0.9
"""What drivers report of the nominal memory, at least: of the catalogue's, usable are 0.91 and more."""


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine.

    Attributes:
        accelerators: its accelerators, by what the drivers report; empty where there is none or no
            driver answers.
        host_bytes: memory of the host that this process may use.
    """

    accelerators: tuple[DeviceSpec, ...]
    host_bytes: int

    @property
    def devices(self) -> tuple[DeviceSpec, ...]:
        """What a model is planned on: the accelerators, else the host's memory as one device."""
        if self.accelerators:
            return self.accelerators
        size = self.host_bytes
        return (DeviceSpec(name="host memory", vendor="", memory_bytes=size, usable_bytes=size, unified=True,
                           usable_basis="measured", source="operating system"),)  # fmt: skip

    @property
    def node(self) -> "Node":
        """This machine as a node; of its links and the rate of its memory nothing is known."""
        from hwledger.device.node import node_of  # noqa: PLC0415 - start-up time

        made = node_of(self.devices, "this machine")
        if made.unified:
            return made
        return replace(made, host_memory_bytes=self.host_bytes, source="operating system")

    @property
    def described(self) -> str:
        """This machine in one line."""
        if not self.accelerators:
            return f"no accelerator found, {format_gib(self.host_bytes)} of host memory"
        names = ", ".join(device.name for device in self.accelerators)
        return f"{names} and {format_gib(self.host_bytes)} of host memory"


def this_machine() -> Machine:
    """Return the devices of this machine; a driver that does not answer counts as no device."""
    return Machine((*_nvidia(), *_amd(), *_intel(), *_apple()), _host_bytes())


def _host_bytes() -> int:
    from hwledger.telemetry.group import group_limit  # noqa: PLC0415 - start-up time
    from hwledger.telemetry.reading import bytes_of  # noqa: PLC0415 - likewise
    from hwledger.telemetry.system import System  # noqa: PLC0415 - likewise

    total, limit = int(psutil.virtual_memory().total), bytes_of(group_limit(System()))
    return total if limit is None else min(total, limit)


def _nvidia() -> Iterator[DeviceSpec]:
    """Return NVIDIA's whole devices; one without memory of its own (GB10, Jetson) has the host's."""
    if not library_there():
        return
    from hwledger.telemetry.nvidia.facts import SOURCE  # noqa: PLC0415 - start-up time, here and below
    from hwledger.telemetry.nvidia.nvml import sampler  # noqa: PLC0415
    from hwledger.telemetry.reading import bytes_of  # noqa: PLC0415
    from hwledger.telemetry.system import System  # noqa: PLC0415

    source = sampler(System())
    try:
        found = source.sample(processes=False).devices
    finally:
        source.close()
    for device in found:
        total = bytes_of(device["memory_total"]) or (_host_bytes() if device.unified else None)
        if total is not None and not device.parent:
            yield known_device(device.name, device.vendor, total, SOURCE)


def _amd() -> Iterator[DeviceSpec]:
    from hwledger.telemetry.amd.amdgpu import AmdgpuSampler, with_sizes  # noqa: PLC0415 - start-up time
    from hwledger.telemetry.reading import bytes_of  # noqa: PLC0415 - likewise
    from hwledger.telemetry.system import System  # noqa: PLC0415 - likewise

    system = System()
    source = AmdgpuSampler(system)
    try:
        found = source.sample(processes=False).devices
    finally:
        source.close()
    for device in found:
        known = with_sizes(system, device)
        total = bytes_of(known["memory_total"])
        if total:
            yield _amdgpu(known.name, total, bytes_of(known["shared_memory_total"]) or 0)


def _amdgpu(name: str, total: int, mappable: int) -> DeviceSpec:
    """Return one card of amdgpu; of shared memory what the GPU may map counts, not the carve-out.

    The two overlap the same memory (ROCm/legacy-rocm-build#6004: 8 and 124 GiB of 128), so never their sum.
    """
    device = known_device(name or "AMD GPU", "AMD", total, "amdgpu")
    if not device.unified:
        return device
    return replace(device, usable_bytes=min(max(total, mappable), device.memory_bytes))


def _intel() -> Iterator[DeviceSpec]:
    """Return the cards of Intel's whose memory the kernel tells; one that sleeps is not asked."""
    from hwledger.telemetry.intel.kernel import IntelSampler  # noqa: PLC0415 - start-up time
    from hwledger.telemetry.reading import bytes_of  # noqa: PLC0415 - likewise
    from hwledger.telemetry.system import System  # noqa: PLC0415 - likewise

    for device in IntelSampler(System(), wait=lambda _: None).sample(processes=False).devices:
        total = bytes_of(device["memory_total"])
        if total:
            yield _intel_card(device.name or "Intel GPU", total, bytes_of(device["memory_reserved"]))


def _intel_card(name: str, total: int, reserved: int | None) -> DeviceSpec:
    """Return one card; where it is not told what the driver reserves, the catalogue's usable size counts."""
    device = known_device(name, "Intel", total - (reserved or 0), "xe")
    if reserved is None:
        with contextlib.suppress(UsageError):
            known = _named(name, total)
            usable = min(known.usable_bytes, total)
            return replace(device, usable_bytes=usable, usable_basis=known.usable_basis, source=known.source)
    return device


def _apple() -> Iterator[DeviceSpec]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return
    memory = int(psutil.virtual_memory().total)
    device = known_device(
        f"{_sysctl('machdep.cpu.brand_string')} {memory >> 30}GB", "Apple", memory, "sysctl"
    )
    limit = _sysctl("iogpu.wired_limit_mb")  # 0: the system's own
    with contextlib.suppress(UsageError):
        device = wired(device, limit) if whole_number(limit) is not None else device
    yield device


def _sysctl(name: str) -> str:
    """Return what macOS says of itself; empty where it says nothing."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = ["/usr/sbin/sysctl", "-n", name]
        told = subprocess.run(  # noqa: S603 - the program is fixed, and the names are this module's
            asked, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        return told.stdout.strip()
    return ""


def _named(name: str, total: int) -> DeviceSpec:
    """Return the catalogue's device of a driver's name: of those with several sizes, the one of that memory.

    Drivers call an RTX 3080 of 10 GB and one of 12 GB the same.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    sizes = range(max(1, round(total / GIB)), ceil(total / GIB / LEAST_SHARE) + 1)
    for reading in (name, *(f"{name} {size}GB" for size in sizes)):
        fitting = [d for d in find_candidates(reading) if LEAST_SHARE <= total / d.memory_bytes <= 1]
        if len(fitting) == 1:
            return fitting[0]
    return find_device(name)


def known_device(name: str, vendor: str, total: int, source: str) -> DeviceSpec:
    """Return the catalogue's device of that name with the driver's memory, or one of that memory alone."""
    try:
        device = _named(name, total)
    except UsageError:
        device = DeviceSpec(name=name, vendor=vendor, memory_bytes=total, usable_bytes=total)
    if vendor == "Apple":  # what the system leaves to its GPU is the catalogue's to know
        return device
    return replace(
        device, usable_bytes=total, usable_basis="measured", source=f"{source}; {device.source}".rstrip("; ")
    )
