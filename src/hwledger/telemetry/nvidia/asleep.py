"""Devices that are suspended must not be woken: a handle alone would do it."""

from pathlib import Path
from typing import Final

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.reading import Absent
from hwledger.telemetry.system import System

ASLEEP: Final = frozenset({"suspended", "suspending"})


def driven_addresses(system: System) -> tuple[str, ...]:
    """Return the PCI addresses of the devices that the kernel's driver holds, in NVML's order."""
    folder = system.procfs / "driver" / "nvidia" / "gpus"
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(key for name in names if (key := pci_key(name)) is not None))


def status_file(system: System, address: str) -> Path | None:
    """Return the file that tells whether a device sleeps; ``None`` where it never does."""
    power = system.sysfs / "bus" / "pci" / "devices" / address / "power"
    control = system.read(power / "control")
    return power / "runtime_status" if control == "auto" else None


def sleeps(system: System, status: Path | None) -> bool:
    """Return whether a device is suspended now."""
    return status is not None and system.read(status) in ASLEEP


def sees_all_processes(system: System) -> bool:
    """Return whether processes of the whole machine can be seen: the kernel's own threads are there.

    In a container with numbers of its own for processes, number 2 is not ``kthreadd``.
    """
    if not system.platform.startswith("linux"):
        return True
    comm = system.read(system.procfs / "2" / "comm")
    return not isinstance(comm, Absent) and comm == "kthreadd"


def under_wsl(system: System) -> bool:
    """Return whether Linux runs under Windows."""
    version = system.read(system.procfs / "version")
    return not isinstance(version, Absent) and "microsoft" in version.lower()
