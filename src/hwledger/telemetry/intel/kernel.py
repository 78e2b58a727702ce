"""i915 and xe through the kernel alone: files of sysfs, hwmon and fdinfo. No tool, and nobody woken."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.drm.busy import busy
from hwledger.telemetry.drm.cards import Card, cards, driver_version
from hwledger.telemetry.drm.clients import Clients, clients, processes_on
from hwledger.telemetry.drm.facts import Driver, drivers
from hwledger.telemetry.drm.formats import unified
from hwledger.telemetry.drm.pci_ids import IDS, name_of
from hwledger.telemetry.intel.coverage import INTEL
from hwledger.telemetry.intel.files import of_files
from hwledger.telemetry.intel.gpu_top import OF_ENGINES
from hwledger.telemetry.intel.names import DRIVERS, VENDOR
from hwledger.telemetry.intel.places import files_of
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Basis, Gauge, Reading, Reason, Value, number_of
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, Sample
from hwledger.telemetry.system import System

if TYPE_CHECKING:
    from hwledger.telemetry.drm.fdinfo import Client

Q = Quantity
SUSPENDED: Final = "suspended: asking would wake it"
FIRST_LOOK_S: Final = 0.25
"""Between the first two looks, so that what follows from two of them is told at once."""
LEAST_S: Final = 0.1
"""Below this the steps of the energy's counter show."""
_INTEGRATED: Final = "0000:00:02.0"
"""Where Intel's processors have their graphics; cards are never on bus 0 of the host."""
_OF_OWN_MEMORY: Final = re.compile(r"physical_vram_size|lmem_|^hwmon/")


@dataclass(frozen=True, slots=True)
class _Energy:
    """The energy at a look, and the power that followed from it."""

    joules: float
    at: float
    power: Reading


class IntelSampler:
    """Reads what i915 and xe show of their cards.

    Args:
        system: the machine.
        wait: waits for that many seconds, once.
        ids: lists of names of PCI devices.
    """

    name = "intel"
    vendor = VENDOR
    coverage: Coverage = INTEL
    pace = Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(
        self, system: System, wait: Callable[[float], None] = time.sleep, ids: tuple[Path, ...] = IDS
    ) -> None:
        self._system = system
        self._wait = wait
        self._ids = ids
        self._waited = False
        self._files: dict[str, Mapping[str, Path]] = {}
        self._energy: dict[str, _Energy] = {}
        self._clients: dict[str, tuple[tuple[Client, ...], float]] = {}
        self._busy: dict[str, Reading] = {}
        self._unified: dict[str, bool | None] = {}

    def check(self) -> Check:
        """Return whether i915 or xe drives a card here."""
        if not self._system.platform.startswith("linux"):
            return self._lacking("i915 and xe are drivers of Linux's", "nothing: it is for Linux")
        found = self._cards()
        if not found:
            remedy = "for a card of Intel's, load its driver: modprobe xe, or i915 for older parts"
            return self._lacking("no card that i915 or xe drives", remedy)
        sleeping = sum(card.asleep for card in found)
        told = f"{len(found)} card{'s' * (len(found) > 1)}"
        return Check(self.name, works=True, found=f"{told}, {sleeping} suspended" if sleeping else told)

    def _lacking(self, why: str, remedy: str) -> Check:
        reason = Absent(Reason.UNSUPPORTED, why, self.name)
        return Check(self.name, works=False, found=why, remedy=remedy, reason=reason)

    def _cards(self) -> tuple[Card, ...]:
        return tuple(card for card in cards(self._system) if card.driver in DRIVERS)

    def sample(self, *, processes: bool) -> Sample:
        """Return every card of i915 and xe; one that sleeps is asked for nothing but that.

        The first look is two, a quarter of a second apart: power follows from energy, and how busy a card is
        from its clients.
        """
        found = self._cards()
        if not found:
            why = Absent(Reason.UNSUPPORTED, "no card that i915 or xe drives", self.name)
            return Sample(troubles=(f"{self.name}: {why.detail}",), failure=why)
        if not self._waited and not all(card.asleep for card in found):
            self._waited = True
            self._devices(found, processes=processes)
            self._wait(FIRST_LOOK_S)
        return Sample(devices=self._devices(found, processes=processes))

    def close(self) -> None:
        """Nothing is held."""

    def _devices(self, found: tuple[Card, ...], *, processes: bool) -> tuple[DeviceSnapshot, ...]:
        seen = clients(self._system) if processes and not all(card.asleep for card in found) else None
        return tuple(self._device(card, seen) for card in found)

    def _device(self, card: Card, seen: Clients | None) -> DeviceSnapshot:
        gauge = Gauge(card.driver, self._system.clock())
        if card.asleep:
            for kept in (self._energy, self._clients, self._busy, self._files):
                kept.pop(card.key, None)
            return self._with(card, _asleep(gauge, card.runtime))
        if card.key not in self._files or seen is not None:  # a driver that was loaded anew numbers anew
            self._files[card.key] = dict(files_of(self._system, card))
        files = self._files[card.key]
        readings = of_files({name: self._system.read(path) for name, path in files.items()}, gauge)
        readings[Q.DRIVER] = driver_version(self._system, card.driver, gauge)
        self._unified[card.key] = self._shares(card, seen, owns=any(map(_OF_OWN_MEMORY.search, files)))
        power = self._power(card.key, readings.get(Q.ENERGY), gauge)
        if power is not None:
            readings[Q.POWER] = power
        if seen is not None:
            self._busy[card.key] = self._share(card.key, seen, gauge)
        if card.key in self._busy:
            readings[Q.UTILIZATION] = self._busy[card.key]
        return self._with(card, readings, seen)

    def _with(
        self, card: Card, readings: dict[Quantity, Reading], seen: Clients | None = None
    ) -> DeviceSnapshot:
        shares = self._unified.get(card.key)
        if shares:
            readings = {name: each for name, each in readings.items() if not name.startswith("pcie")}
            own = Absent(Reason.UNSUPPORTED, "it works in the host's memory", card.driver)
            readings |= {Q.MEMORY_TOTAL: own, Q.MEMORY_USED: own}
        listed = NOT_TOLD if seen is None else processes_on(seen, card.key)
        notes = (OF_ENGINES,) if isinstance(readings.get(Q.UTILIZATION), Value) else ()
        missing = seen.notes if seen is not None and not isinstance(listed, Absent) else ()
        return DeviceSnapshot(
            card.key, name_of(card.vendor, card.device, self._ids), VENDOR, unified=shares,
            readings=readings, processes=listed, notes=(*notes, *missing),
        )  # fmt: skip

    def _shares(self, card: Card, seen: Clients | None, *, owns: bool) -> bool | None:
        """Return whether a part works in the host's memory; ``None`` where nothing tells.

        Parts with sensors of their own are cards (i915_hwmon.c, xe_hwmon.c: for IS_DGFX alone).
        """
        if owns:
            return False
        if card.key == _INTEGRATED:
            return True
        driver = drivers().get(card.driver, Driver(VENDOR))
        told = unified(driver, list(seen.on(card.key))) if seen is not None else None
        return told if told is not None else self._unified.get(card.key)

    def _power(self, key: str, energy: Reading | None, gauge: Gauge) -> Reading | None:
        """Return the mean power since the look before, derived; ``None`` where no energy is told."""
        joules, former = number_of(energy), self._energy.get(key)
        if joules is None:
            self._energy.pop(key, None)
            return energy
        if former is not None and gauge.at - former.at < LEAST_S:
            return former.power
        power: Reading = gauge.absent(Reason.UNSUPPORTED, "it follows from two looks at the energy")
        if former is not None and joules >= former.joules:
            power = checked(gauge, Q.POWER, (joules - former.joules) / (gauge.at - former.at))
            power = replace(power, basis=Basis.DERIVED) if isinstance(power, Value) else power
        self._energy[key] = _Energy(joules, gauge.at, power)
        return power

    def _share(self, key: str, seen: Clients, gauge: Gauge) -> Reading:
        """Return how busy the busiest engine was since the look before, derived of all clients.

        Where some clients are not seen nothing is told: the others' share alone is no utilisation.
        """
        if seen.notes:
            return gauge.absent(Reason.NO_PERMISSION, f"it follows from all clients, and {seen.notes[0]}")
        now = seen.on(key)
        former = self._clients.get(key)
        if former is not None and gauge.at - former[1] < LEAST_S:
            return self._busy.get(key, NOT_TOLD)
        self._clients[key] = (now, gauge.at)
        if former is None:
            return gauge.absent(Reason.UNSUPPORTED, "it follows from two looks at the clients")
        shares = busy(former[0], now, gauge.at - former[1])
        return replace(gauge(Q.UTILIZATION, max(shares.values(), default=0.0)), basis=Basis.DERIVED)


def _asleep(gauge: Gauge, status: str) -> dict[Quantity, Reading]:
    """Return what is said of a card that sleeps: that it does, and of the rest that it was not asked."""
    found: dict[Quantity, Reading] = dict.fromkeys(INTEL.gives, gauge.absent(Reason.UNSUPPORTED, SUSPENDED))
    found[Q.POWER_STATE] = gauge(Q.POWER_STATE, status)
    return found


def sampler(system: System) -> IntelSampler:
    """Return the source ``intel``."""
    return IntelSampler(system)
