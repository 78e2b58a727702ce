"""amdgpu through the kernel alone: files of sysfs, fdinfo and KFD. No tool, no library, and nobody woken."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hwledger.telemetry.amd import kfd
from hwledger.telemetry.amd.coverage import AMDGPU
from hwledger.telemetry.amd.names import IDS, name_of
from hwledger.telemetry.amd.sysfs import SOURCE, asleep, of_files, usable
from hwledger.telemetry.amd.telling import VENDOR, Identity, device_of, named
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.derive import first_told
from hwledger.telemetry.drm.cards import Card, cards, driver_version, now, sensor_files
from hwledger.telemetry.drm.clients import Clients, clients, processes_on
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, bytes_of
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, Sample
from hwledger.telemetry.system import System

_FIXED: Final = (
    "mem_info_vram_total", "mem_info_gtt_total", "max_link_speed", "max_link_width", "product_name",
    "unique_id",
)  # fmt: skip
_CHANGING: Final = (
    "mem_info_vram_used", "mem_info_gtt_used", "gpu_busy_percent", "mem_busy_percent", "pp_dpm_sclk",
    "pp_dpm_mclk", "current_link_speed", "current_link_width", "power_dpm_force_performance_level",
    "ras/umc_err_count",
)  # fmt: skip
_SENSOR: Final = re.compile(
    r"/(?:(?:temp[1-9]|freq[12])_input|power1_(?:average|input|cap)|fan1_input|pwm1)$"
)
_LASTING: Final = re.compile(r"/(?:(?:temp[1-9]|freq[12])_label|fan1_max|pwm1_max)$")
_CARDS_SECONDS: Final = 10.0
"""Between two looks at which cards there are."""
_APU_METRICS: Final = 2
"""From this format on gpu_metrics is an APU's: Linux 6.13, kgd_pp_interface.h (v2_x, v3_0)."""
_METRICS_HEADER: Final = 4
_BEFORE: Final = Absent(Reason.UNSUPPORTED, "it has no such sensor", SOURCE)
_SENSORS: Final = (
    Quantity.TEMPERATURE, Quantity.TEMPERATURE_HOTSPOT, Quantity.TEMPERATURE_MEMORY, Quantity.POWER,
    Quantity.POWER_LIMIT, Quantity.FAN,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What does not change of a card while its driver is loaded, and which of its files do."""

    files: Mapping[str, str | Absent]
    changing: tuple[tuple[str, Path], ...]
    shares: bool | None


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
        self._fixed: dict[str, _Fixed] = {}
        self._seen: tuple[float, tuple[Card, ...]] | None = None

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
        """Return every card of amdgpu; one that sleeps is asked for nothing but that."""
        found = self._cards()
        if not found:
            why = Absent(Reason.UNSUPPORTED, "no card that amdgpu drives", self.name)
            return Sample(troubles=(f"{self.name}: {why.detail}",), failure=why)
        devices = tuple(self._device(card) for card in found)
        return Sample(devices=self._with_processes(devices) if processes else devices)

    def close(self) -> None:
        """Nothing is held."""

    def _cards(self) -> tuple[Card, ...]:
        """Return the cards with their power status now; which there are is looked up every 10 s."""
        at = self._system.clock()
        if self._seen is None or at - self._seen[0] >= _CARDS_SECONDS:
            self._seen = (at, cards(self._system, SOURCE))
            self._fixed.clear()  # a driver that was loaded again numbers its sensors anew
            return self._seen[1]
        return tuple(now(self._system, card) for card in self._seen[1])

    def _device(self, card: Card) -> DeviceSnapshot:
        gauge = Gauge(SOURCE, self._system.clock())
        if card.asleep:
            return device_of(asleep(gauge, card.runtime, self.coverage.gives), self._who(card, None))
        if card.key not in self._fixed:
            self._fixed[card.key] = self._look(card)
        fixed = self._fixed[card.key]
        changed = {name: self._system.read(path) for name, path in fixed.changing}
        files: dict[str, str | Absent] = {**fixed.files, **changed}
        files["power/runtime_status"] = card.runtime
        readings = {**dict.fromkeys(_SENSORS, _BEFORE), **of_files(files, gauge)}
        readings[Quantity.DRIVER] = driver_version(self._system, SOURCE, gauge)
        device = device_of(readings, self._who(card, fixed))
        room = usable(gauge, readings, self._host_bytes()) if device.unified else None
        if room is not None:
            readings[Quantity.MEMORY_USABLE] = room
        return device

    def _who(self, card: Card, fixed: _Fixed | None) -> Identity:
        files = fixed.files if fixed is not None else {}
        unique = files.get("unique_id")
        return Identity(
            fallback=str(card.number), address=card.key,
            name=named(files.get("product_name")) or name_of(card.device, card.revision, self._ids),
            uuid=f"0x{unique}" if isinstance(unique, str) and unique.strip("0") else "", device=card.device,
            unified=fixed.shares if fixed is not None else None,
        )  # fmt: skip

    def _look(self, card: Card) -> _Fixed:
        sensors = [f"hwmon/{path.parent.name}/{path.name}" for path in sensor_files(card.folder)]
        lasting = (*_FIXED, *(name for name in sensors if _LASTING.search(name)))
        changing = (*_CHANGING, *(name for name in sensors if _SENSOR.search(name)))
        shares = self._shares(card.folder / "gpu_metrics")
        paths = tuple((name, card.folder / name) for name in changing)
        return _Fixed(self._files(card.folder, lasting), paths, shares)

    def _shares(self, metrics: Path) -> bool | None:
        """Return whether a card is an APU by the format of its metrics; ``None`` where that does not tell."""
        try:
            with metrics.open("rb") as file:
                header = file.read(_METRICS_HEADER)
        except OSError:
            return None
        return True if len(header) == _METRICS_HEADER and header[2] >= _APU_METRICS else None

    def _files(self, folder: Path, names: tuple[str, ...]) -> dict[str, str | Absent]:
        return {name: self._system.read(folder / name) for name in names}

    def _host_bytes(self) -> int | None:
        """Return the host's memory as the kernel counts it: without carve-outs."""
        told = self._system.read(self._system.procfs / "meminfo")
        found = (
            re.search(r"^MemTotal:\s*([0-9]{1,15} kB)", told, re.MULTILINE) if isinstance(told, str) else None
        )
        if found is None:
            return None
        return bytes_of(measured(Gauge(SOURCE), Quantity.HOST_MEMORY_TOTAL, found[1], spelled={"kb": "kib"}))

    def _with_processes(self, devices: tuple[DeviceSnapshot, ...]) -> tuple[DeviceSnapshot, ...]:
        found, computing = clients(self._system), kfd.held(self._system)
        return tuple(self._listed(device, found, computing.get(device.key, {})) for device in devices)

    def _listed(
        self, device: DeviceSnapshot, found: Clients, computing: Mapping[int, Reading]
    ) -> DeviceSnapshot:
        listed = kfd.joined(self._system, processes_on(found, device.key), computing)
        notes = () if isinstance(listed, Absent) else found.notes
        return replace(device, processes=listed, notes=(*device.notes, *notes))


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
