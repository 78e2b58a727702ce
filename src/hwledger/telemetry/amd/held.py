"""One card of amdgpu between looks: files kept open, and what was read of it, each kind at its own pace."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hwledger.telemetry.amd.coverage import AMDGPU
from hwledger.telemetry.amd.names import name_of
from hwledger.telemetry.amd.sysfs import ASLEEP, LEVELS, SOURCE, asleep, flat_names, of_flat, parts_of, usable
from hwledger.telemetry.amd.telling import Identity, device_of, named
from hwledger.telemetry.drm.cards import Card
from hwledger.telemetry.kept import KeptFile
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, bytes_of
from hwledger.telemetry.snapshot import DeviceSnapshot
from hwledger.telemetry.system import System

QUICK: Final = frozenset({
    "mem_info_vram_used", "mem_info_gtt_used", "gpu_busy_percent", "mem_busy_percent", "hwmon/edge",
    "hwmon/junction", "hwmon/mem", "hwmon/power1_average", "hwmon/power1_input", "hwmon/sclk", "hwmon/mclk",
})  # fmt: skip
"""Read at each look."""
SLOW: Final = frozenset({
    "current_link_speed", "current_link_width", "power_dpm_force_performance_level", "ras/umc_err_count",
    "hwmon/power1_cap", "hwmon/fan1_input", "hwmon/pwm1", *LEVELS.values(),
})  # fmt: skip
"""Read every few seconds."""
LASTING: Final = frozenset({
    "mem_info_vram_total", "mem_info_gtt_total", "max_link_speed", "max_link_width", "product_name",
    "unique_id", "hwmon/fan1_max", "hwmon/pwm1_max",
})  # fmt: skip
"""Read once, and again every minute: a driver that was loaded anew may be set up otherwise."""
SLOW_SECONDS: Final = 5.0
LASTING_SECONDS: Final = 60.0
_BESIDE: Final = frozenset({"hwmon/fan1_max", "hwmon/pwm1_max"})
"""Without which a slow file says nothing."""
_LABEL: Final = re.compile(r"(?:temp[1-9]|freq[12])_label")
_APU_METRICS: Final = 2
"""From this format on gpu_metrics is an APU's: Linux 6.13, kgd_pp_interface.h (v2_x, v3_0)."""
_METRICS_HEADER: Final = 4
_BEFORE: Final = Absent(Reason.UNSUPPORTED, "it has no such sensor", SOURCE)
_SENSORS: Final = (
    Quantity.TEMPERATURE, Quantity.TEMPERATURE_HOTSPOT, Quantity.TEMPERATURE_MEMORY, Quantity.POWER,
    Quantity.POWER_LIMIT, Quantity.FAN,
)  # fmt: skip


class _Files:
    """Files that are read at one pace, and what they tell."""

    def __init__(
        self, system: System, paths: Mapping[str, Path], beside: Mapping[str, str | Absent] | None = None
    ) -> None:
        self._files = tuple((name, KeptFile(system, path)) for name, path in paths.items())
        self._beside = beside or {}
        self._parts = parts_of(paths)

    def read(self, gauge: Gauge) -> dict[Quantity, Reading]:
        texts: dict[str, str | Absent] = {name: file.read() for name, file in self._files}
        return of_flat({**self._beside, **texts}, gauge, self._parts)


@dataclass(slots=True)
class _Awake:
    """What is kept of a card while it does not sleep."""

    device: DeviceSnapshot
    quick: _Files
    slow: _Files
    lasting: dict[Quantity, Reading]
    lasting_at: float
    slow_told: dict[Quantity, Reading] = field(default_factory=dict)
    slow_at: float = -math.inf


class HeldCard:
    """One card, looked at again and again.

    Args:
        system: the machine.
        card: which.
        ids: the list of names that libdrm installs.

    Attributes:
        card: which.
        lost: the last look found it lost, or its files gone.
        newest: what the last look saw; ``None`` before the first.
    """

    def __init__(self, system: System, card: Card, ids: Path) -> None:
        self.card = replace(card, runtime="")
        self.lost = False
        self.newest: DeviceSnapshot | None = None
        self._system = system
        self._ids = ids
        self._status = KeptFile(system, card.folder / "power" / "runtime_status")
        self._awake: _Awake | None = None

    def close(self) -> None:
        """Let go of every file."""
        self._status.close()
        self._awake = None

    def look(self, at: float) -> DeviceSnapshot:
        """Return the card now; one that sleeps is asked for nothing but that, and forgets what it told."""
        gauge = Gauge(SOURCE, at)
        status = self._status.read()
        if isinstance(status, str) and status in ASLEEP:
            self._awake = None
            readings = asleep(gauge, status, AMDGPU.gives)
            self.newest = device_of(readings, self._who({}, shares=None))
            return self.newest
        if self._awake is None or at - self._awake.lasting_at >= LASTING_SECONDS:
            self._awake = self._look(gauge)
        self.newest = self._told(self._awake, status, gauge)
        return self.newest

    def _told(self, awake: _Awake, status: str | Absent, gauge: Gauge) -> DeviceSnapshot:
        quick = awake.quick.read(gauge)
        if gauge.at - awake.slow_at >= SLOW_SECONDS:
            awake.slow_told, awake.slow_at = awake.slow.read(gauge), gauge.at
        self.lost = any(map(_is_lost, quick.values()))
        if self.lost:
            self._awake = None  # nothing that it told before is believed
        power: dict[Quantity, Reading] = (
            {Quantity.POWER_STATE: gauge(Quantity.POWER_STATE, status[:200])}
            if isinstance(status, str) and status
            else {}
        )
        return replace(awake.device, readings={**awake.lasting, **awake.slow_told, **quick, **power})

    def _look(self, gauge: Gauge) -> _Awake:
        """Return what does not change of the card, and its other files, opened."""
        paths = self._paths()
        paces: tuple[dict[str, Path], ...] = ({}, {}, {})
        for name, path in paths.items():
            paces[_pace(name, paths)][name] = path
        quick, slow, lasting = paces
        texts = {name: self._system.read(path) for name, path in lasting.items()}
        readings = {**dict.fromkeys(_SENSORS, _BEFORE), **of_flat(texts, gauge)}
        readings[Quantity.DRIVER] = self._driver(gauge)
        shares = self._shares(self.card.folder / "gpu_metrics")
        device = device_of(readings, self._who(texts, shares))
        room = usable(gauge, readings, self._host_bytes()) if device.unified else None
        if room is not None:
            readings[Quantity.MEMORY_USABLE] = room
        beside = {name: text for name, text in texts.items() if name in _BESIDE}
        return _Awake(device, _Files(self._system, quick), _Files(self._system, slow, beside), readings, gauge.at)

    def _paths(self) -> dict[str, Path]:
        """Return every file that tells something, by the name of what it measures."""
        folder = self.card.folder
        sensors = {f"hwmon/{path.parent.name}/{path.name}": path for path in _listed(folder / "hwmon")}
        labels = {name: self._system.read(path) if _LABEL.search(name) else "" for name, path in sensors.items()}
        flat = {flat: sensors[name] for name, flat in flat_names(labels).items()}
        every = QUICK | SLOW | LASTING
        own = {name: folder / name for name in sorted(every) if not name.startswith("hwmon/")}
        return {**own, **{name: path for name, path in flat.items() if name in every}}

    def _who(self, texts: Mapping[str, str | Absent], shares: bool | None) -> Identity:
        card, unique = self.card, texts.get("unique_id")
        return Identity(
            fallback=str(card.number), address=card.key,
            name=named(texts.get("product_name")) or name_of(card.device, card.revision, self._ids),
            uuid=f"0x{unique}" if isinstance(unique, str) and unique.strip("0") else "", device=card.device,
            unified=shares,
        )  # fmt: skip

    def _shares(self, metrics: Path) -> bool | None:
        """Return whether a card is an APU by the format of its metrics; ``None`` where that does not tell."""
        try:
            with metrics.open("rb") as file:
                header = file.read(_METRICS_HEADER)
        except OSError:
            return None
        return True if len(header) == _METRICS_HEADER and header[2] >= _APU_METRICS else None

    def _driver(self, gauge: Gauge) -> Reading:
        told = self._system.read(self._system.sysfs / "module" / SOURCE / "version")
        if isinstance(told, str) and told:
            return gauge(Quantity.DRIVER, told[:80])
        return gauge.absent(Reason.UNSUPPORTED, "amdgpu of the kernel itself has no version of its own")

    def _host_bytes(self) -> int | None:
        """Return the host's memory as the kernel counts it: without carve-outs."""
        told = self._system.read(self._system.procfs / "meminfo")
        found = (
            re.search(r"^MemTotal:\s*(\d{1,15} kB)", told, re.MULTILINE) if isinstance(told, str) else None
        )
        if found is None:
            return None
        return bytes_of(measured(Gauge(SOURCE), Quantity.HOST_MEMORY_TOTAL, found[1], spelled={"kb": "kib"}))


def _pace(name: str, paths: Mapping[str, Path]) -> int:
    """Return how often a file is read: 0 at each look, 1 every few seconds, 2 once a minute.

    One that is not there is looked for once a minute; levels of a clock tell only the highest beside a
    sensor of it.
    """
    if name in LASTING or not os.path.exists(paths[name]):  # noqa: PTH110 - no error whatever stands in the way
        return 2
    alone = any(name == level and hertz not in paths for hertz, level in LEVELS.items())
    return 0 if name in QUICK or alone else 1


def _is_lost(reading: Reading) -> bool:
    return isinstance(reading, Absent) and reading.reason is Reason.LOST_DEVICE


def _listed(folder: Path) -> Iterator[Path]:
    """Yield the files of every ``hwmonN``."""
    try:
        for each in sorted(folder.iterdir()):
            yield from sorted(each.iterdir())
    except OSError:
        return
