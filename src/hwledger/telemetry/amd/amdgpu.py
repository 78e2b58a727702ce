"""amdgpu through the kernel alone: files of sysfs, fdinfo and KFD. No tool, no library, and nobody woken."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from hwledger.telemetry.amd import kfd
from hwledger.telemetry.amd.coverage import AMDGPU
from hwledger.telemetry.amd.held import LASTING_SECONDS, HeldCard
from hwledger.telemetry.amd.names import IDS
from hwledger.telemetry.amd.sysfs import SOURCE, of_files
from hwledger.telemetry.amd.telling import VENDOR
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.derive import first_told
from hwledger.telemetry.drm.cards import cards, numbers
from hwledger.telemetry.drm.clients import HIDDEN_NOTE, Clients, clients, processes_on
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, Sample
from hwledger.telemetry.system import System

_CARDS_SECONDS: Final = 10.0
"""Between two looks at which cards there are."""
_GONE: Final = "the kernel shows it no longer: it fell off its bus, or its driver was unloaded"


class AmdgpuSampler:
    """Reads what amdgpu shows of its cards.

    Args:
        system: the machine.
        ids: the list of names that libdrm installs.
    """

    name = "amdgpu"
    vendor = VENDOR
    coverage: Coverage = AMDGPU
    pace = Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System, ids: Path = IDS) -> None:
        self._system = system
        self._ids = ids
        self._held: dict[str, HeldCard] = {}
        self._gone: dict[str, tuple[DeviceSnapshot, float]] = {}
        self._numbers: tuple[int, ...] | None = None
        self._looked = 0.0
        self._named = 0.0

    def check(self) -> Check:
        """Return whether amdgpu drives a card here."""
        if not self._system.platform.startswith("linux"):
            return self._lacking("amdgpu is a driver of Linux's", "")
        found = cards(self._system, SOURCE)
        if not found:
            remedy = "for a card of AMD's, load its driver: modprobe amdgpu"
            return self._lacking("no card that amdgpu drives", remedy)
        sleeping = sum(card.asleep for card in found)
        told = f"{len(found)} card{'s' * (len(found) > 1)}"
        return Check(self.name, works=True, found=f"{told}, {sleeping} suspended" if sleeping else told)

    def _lacking(self, why: str, remedy: str) -> Check:
        reason = Absent(Reason.UNSUPPORTED, why, self.name)
        return Check(self.name, works=False, found=why, remedy=remedy, reason=reason)

    def sample(self, *, processes: bool) -> Sample:
        """Return every card of amdgpu; one that sleeps is asked for nothing but that.

        How full, busy, hot and fast a card is, and its power, is read now; other values keep their age up to
        ten seconds (fan, link, limit of power) or a minute (sizes, names, what is highest).
        """
        at = self._system.clock()
        self._look_for_cards(at)
        devices = self._devices(at)
        if any(held.lost for held in self._held.values()):  # it went, or its driver was loaded anew
            self._list(at)
            devices = self._devices(at)
        if processes:
            devices = self._with_processes(devices)
        gone = tuple(_lost(device) for device, _ in self._gone.values())
        troubles = tuple(f"{each.name or 'a card'} ({each.key}): {_GONE}" for each in gone)
        if self._held:
            return Sample((*devices, *gone), troubles=troubles)
        why = Absent(Reason.UNSUPPORTED, "no card that amdgpu drives", self.name)
        return Sample(gone, troubles=(f"{self.name}: {why.detail}", *troubles), failure=why)

    def close(self) -> None:
        """Let go of every file."""
        self._numbers = None
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _devices(self, at: float) -> tuple[DeviceSnapshot, ...]:
        return tuple(held.look(at) for held in self._held.values())

    def _look_for_cards(self, at: float) -> None:
        """See every ten seconds whether cards came or went, and every minute which they are."""
        if self._numbers is not None and at - self._looked < _CARDS_SECONDS:
            return
        self._looked = at
        if at - self._named >= LASTING_SECONDS or numbers(self._system) != self._numbers:
            self._list(at)

    def _list(self, at: float) -> None:
        """Find the cards; those that were there before stay held, those that went are told for a minute."""
        self._looked = self._named = at
        self._numbers = numbers(self._system)
        before, self._held = self._held, {}
        for card in cards(self._system, SOURCE):
            known = before.get(card.key)
            same = known is not None and replace(card, runtime="") == known.card
            self._held[card.key] = known if known and same else HeldCard(self._system, card, self._ids)
        for key, held in before.items():
            if self._held.get(key) is not held:
                held.close()
            if held.newest is not None:
                self._gone[key] = (held.newest, at)
        self._gone = {
            key: (device, since)
            for key, (device, since) in self._gone.items()
            if key not in self._held and at - since < LASTING_SECONDS
        }

    def _with_processes(self, devices: tuple[DeviceSnapshot, ...]) -> tuple[DeviceSnapshot, ...]:
        found, computing = clients(self._system), kfd.held(self._system)
        return tuple(self._listed(device, found, computing.get(device.key, {})) for device in devices)

    def _listed(
        self, device: DeviceSnapshot, found: Clients, computing: Mapping[int, Reading]
    ) -> DeviceSnapshot:
        listed = kfd.joined(self._system, processes_on(found, device.key), computing)
        hidden = found.hidden and not isinstance(listed, Absent)
        notes = (*device.notes, HIDDEN_NOTE) if hidden else device.notes
        return replace(device, processes=listed, notes=notes)


def _lost(device: DeviceSnapshot) -> DeviceSnapshot:
    """Return a card that was seen before without any value."""
    why = Absent(Reason.LOST_DEVICE, _GONE, SOURCE)
    return replace(device, readings=dict.fromkeys(AMDGPU.gives, why), processes=why, notes=())


def with_sizes(system: System, device: DeviceSnapshot) -> DeviceSnapshot:
    """Return a device with the sizes of its memory, one that sleeps too.

    These two files alone wake nobody: the driver answers them from its own memory (Linux 6.13,
    amdgpu_vram_mgr.c and amdgpu_gtt_mgr.c, which take no reference on the device's power).
    """
    folder = next((card.folder for card in cards(system, SOURCE) if card.key == device.key), None)
    if folder is None:
        return device
    files = {name: system.read(folder / name) for name in ("mem_info_vram_total", "mem_info_gtt_total")}
    sizes = of_files(files, Gauge(SOURCE, system.clock()))
    return replace(device, readings=first_told(device.readings, sizes))


def sampler(system: System) -> AmdgpuSampler:
    """Return the source ``amdgpu``."""
    return AmdgpuSampler(system)
