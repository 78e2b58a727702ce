"""Graphics cards as ``/sys/class/drm`` lists them, without touching one that sleeps."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading, Reason
from hwledger.telemetry.system import System

_CARD: Final = re.compile(r"card([0-9]{1,4})")
_ASLEEP: Final = frozenset({"suspended", "suspending"})


@dataclass(frozen=True, slots=True)
class Card:
    """One card.

    Attributes:
        number: that of ``cardN``.
        folder: of its device, ``/sys/class/drm/cardN/device``.
        key: its PCI address as ``pci_key`` writes it; ``card-N`` of devices that are not on PCI.
        driver: the kernel's driver.
        vendor: PCI vendor, ``0x1002``; empty where there is none.
        device: PCI device, ``0x744c``; likewise.
        revision: PCI revision, ``0xc8``; likewise.
        runtime: its runtime power status, ``active`` or ``suspended``; empty where the kernel has none; as
            it was when the cards were listed.
    """

    number: int
    folder: Path
    key: str
    driver: str
    vendor: str
    device: str
    revision: str
    runtime: str

    @property
    def asleep(self) -> bool:
        """Whether it is suspended, so that asking it anything else would wake it."""
        return self.runtime in _ASLEEP


def cards(system: System, driver: str | None = None) -> tuple[Card, ...]:
    """Return the cards of this machine in their order, or those of one driver.

    Nothing that is read here wakes a device: the kernel keeps ids, names and power status itself.
    """
    root = system.sysfs / "class" / "drm"
    every = (_card(system, number, root / f"card{number}" / "device") for number in numbers(system))
    return tuple(card for card in every if driver is None or card.driver == driver)


def numbers(system: System) -> tuple[int, ...]:
    """Return the numbers of the cards of this machine in their order, whoever drives them."""
    try:
        names = os.listdir(system.sysfs / "class" / "drm")  # noqa: PTH208 - a sixth of the time of Path's
    except OSError:
        return ()
    return tuple(sorted(int(found[1]) for name in names if (found := _CARD.fullmatch(name))))


def _card(system: System, number: int, folder: Path) -> Card:
    event = _pairs(_text(system, folder / "uevent"))
    address = event.get("PCI_SLOT_NAME") or _linked(folder)
    return Card(
        number=number, folder=folder, key=pci_key(address) or f"card-{number}",
        driver=event.get("DRIVER") or _linked(folder / "driver"),
        vendor=_text(system, folder / "vendor"), device=_text(system, folder / "device"),
        revision=_text(system, folder / "revision"),
        runtime=_text(system, folder / "power" / "runtime_status"),
    )  # fmt: skip


def _text(system: System, path: Path) -> str:
    told = system.read(path)
    return told[:4096] if isinstance(told, str) else ""


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _linked(path: Path) -> str:
    """Return the name of what a link points to; empty where it is none."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def sensor_files(folder: Path) -> Iterator[Path]:
    """Yield the files of every ``hwmonN`` of a device."""
    try:
        for each in sorted((folder / "hwmon").iterdir()):
            yield from sorted(each.iterdir())
    except OSError:
        return


def driver_version(system: System, driver: str, gauge: Gauge) -> Reading:
    """Return the version of a driver that came apart from the kernel."""
    told = system.read(system.sysfs / "module" / driver / "version")
    if isinstance(told, str) and told:
        return gauge(Quantity.DRIVER, told[:80])
    return gauge.absent(Reason.UNSUPPORTED, f"{driver} of the kernel itself has no version of its own")
