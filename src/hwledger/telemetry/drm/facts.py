"""What the kernel's drivers, regions and engines are called: ``data/drm.toml``."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from hwledger.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class Driver:
    """What is known of a driver.

    Attributes:
        vendor: whose devices it drives.
        kind: ``gpu`` or ``npu``.
        unified: its devices use the host's memory; ``None``: some do.
        regions_tell: those that do have no region of their own.
    """

    vendor: str
    kind: str = "gpu"
    unified: bool | None = None
    regions_tell: bool = False


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(shipped_text("hwledger.telemetry", "data/drm.toml"))


@cache
def drivers() -> dict[str, Driver]:
    """Return every driver that is known, by its name in ``drm-driver`` and sysfs."""
    return {
        name: Driver(row["vendor"], row.get("kind", "gpu"), row.get("unified"), bool(row.get("regions_tell")))
        for row in _tables()["driver"]
        for name in row["name"]
    }


@cache
def _places() -> dict[str, str]:
    return {name: row["place"] for row in _tables()["region"] for name in row["name"]}


def place_of(region: str) -> str:
    """Return whether memory of a region is the device's ``own`` or the ``host``'s; ``unknown`` else."""
    return _places().get(region) or _places().get(region.rstrip("0123456789"), "unknown")


@cache
def engines() -> dict[str, str]:
    """Return what engines do, ``compute`` or ``graphics``, by their name."""
    return {name: row["kind"] for row in _tables()["engine"] for name in row["name"]}


@cache
def pcie_generations() -> dict[float, int]:
    """Return generations of PCIe by gigatransfers per second."""
    return {
        rate: generation
        for row in _tables()["pcie"]
        for rate, generation in zip(row["gigatransfers"], row["generation"], strict=True)
    }


@cache
def pci_vendors() -> dict[str, str]:
    """Return vendors by their number on PCI as sysfs writes it, ``0x8086``."""
    return dict(_tables()["pci_vendor"])
