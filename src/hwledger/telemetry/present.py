"""Whose devices are in this machine at all, so that a source without any is not taken for one that fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hwledger.telemetry.drm.facts import drivers, pci_vendors
from hwledger.telemetry.system import System

_ACCELERATORS: Final = ("0x03", "0x12")
"""Classes of PCI: display controllers, and processing accelerators."""


def vendors_here(system: System) -> frozenset[str] | None:
    """Return the vendors of the accelerators that the kernel shows; ``None`` where that is not known.

    On Linux those on the PCI bus, and those whose driver is loaded (parts that are not on PCI). Under WSL
    devices are on no bus; Windows is not asked.
    """
    if system.platform == "darwin":
        return frozenset({"Apple"})
    if not system.platform.startswith("linux") or _under_windows(system):
        return None
    devices = _folders(system.sysfs / "bus" / "pci" / "devices")
    found = {_said(system, folder / "vendor") for folder in devices if _accelerates(system, folder)}
    named = {pci_vendors()[number] for number in found if number in pci_vendors()}
    loaded = {path.name for path in _folders(system.sysfs / "module")}
    return frozenset(named | {each.vendor for name, each in drivers().items() if name in loaded})


def _under_windows(system: System) -> bool:
    return "microsoft" in _said(system, system.procfs / "version").lower()


def _accelerates(system: System, folder: Path) -> bool:
    return _said(system, folder / "class").startswith(_ACCELERATORS)


def _folders(path: Path) -> Iterator[Path]:
    try:
        yield from path.iterdir()
    except OSError:
        return


def _said(system: System, path: Path) -> str:
    told = system.read(path)
    return told if isinstance(told, str) else ""
