"""One card of amdgpu between looks: files kept open, and what was read of it, each kind at its own pace."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType
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
"""Read every ten seconds."""
LASTING: Final = frozenset({
    "mem_info_vram_total", "mem_info_gtt_total", "max_link_speed", "max_link_width", "product_name",
    "unique_id", "hwmon/fan1_max", "hwmon/pwm1_max",
})  # fmt: skip
"""Read once, and again every minute: a driver that was loaded anew may be set up otherwise."""
SLOW_SECONDS: Final = 10.0
LASTING_SECONDS: Final = 60.0
_TURNS: Final = 8
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


Told = dict[Quantity, Reading]


class _Pace(Enum):
    QUICK = 0
    SLOW = 1
    LASTING = 2


class _Files:
    """Files that are read at one pace, kept open, and what they tell."""

    def __init__(self, system: System, paths: Mapping[str, Path]) -> None:
        self._files = tuple((name, KeptFile(system, path)) for name, path in paths.items())
        self._parts = parts_of(paths)

    def read(self, gauge: Gauge, beside: Mapping[str, str | Absent] = MappingProxyType({})) -> Told:
        """Return what they tell now, with texts of other files that it takes."""
        texts: dict[str, str | Absent] = {name: file.read() for name, file in self._files}
        return of_flat({**texts, **beside}, gauge, self._parts)


@dataclass(slots=True)
class _Awake:
    """What is kept of a card while it does not sleep: its files by their pace, and what they told."""

    quick: _Files
    slow: _Files
    lasting: Mapping[str, Path]
    device: DeviceSnapshot
    beside: Mapping[str, str | Absent] = field(default_factory=dict)
    slow_told: Told = field(default_factory=dict)
    slow_at: float = -math.inf
    lasting_told: Told = field(default_factory=dict)
    lasting_at: float = -math.inf


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
        self._identity = self._who({}, unified=None)

    def close(self) -> None:
        """Let go of every file."""
        self._status.close()
        self._awake = None

    def look(self, at: float) -> DeviceSnapshot:
        """Return the card now.

        One that sleeps is asked for nothing but that, and its files are closed; but for who it is, nothing
        stays of what it told.
        """
        gauge = Gauge(SOURCE, at)
        status = self._status.read()
        if isinstance(status, str) and status in ASLEEP:
            self._awake, self.lost = None, False
            self.newest = device_of(asleep(gauge, status, AMDGPU.gives), self._identity)
            return self.newest
        awake = self._awake = self._awake or self._opened()
        if at - awake.lasting_at >= LASTING_SECONDS:
            self._renew(awake, gauge)
        if at - awake.slow_at >= SLOW_SECONDS:
            awake.slow_at = self._first(at, awake.slow_at, SLOW_SECONDS)
            awake.slow_told = awake.slow.read(gauge, awake.beside)
        quick = awake.quick.read(gauge)
        self.lost = _is_lost(status) or any(map(_is_lost, quick.values()))
        if self.lost:
            self._awake = None  # nothing that it told before is believed
        if isinstance(status, str) and status:
            quick[Quantity.POWER_STATE] = gauge(Quantity.POWER_STATE, status[:200])
        self.newest = replace(awake.device, readings={**awake.lasting_told, **awake.slow_told, **quick})
        return self.newest

    def _first(self, at: float, before: float, seconds: float) -> float:
        """Return from when the next look at files counts: cards take turns, so that no look is a long one."""
        return at if before > -math.inf else at - seconds * (self.card.number % _TURNS) / _TURNS

    def _opened(self) -> _Awake:
        """Return the files of the card by their pace."""
        paths = self._paths()
        quick, slow, lasting = (
            {name: path for name, path in paths.items() if pace is _pace(name, paths)} for pace in _Pace
        )
        device = device_of({}, self._identity)
        return _Awake(_Files(self._system, quick), _Files(self._system, slow), lasting, device)

    def _renew(self, awake: _Awake, gauge: Gauge) -> None:
        """Read what lasts, and what follows from it: name, kind and what can be used."""
        texts = {name: self._system.read(path) for name, path in awake.lasting.items()}
        told = {**dict.fromkeys(_SENSORS, _BEFORE), **of_flat(texts, gauge)}
        told[Quantity.DRIVER] = self._driver(gauge)
        self._identity = self._who(texts, unified=self._shares(self.card.folder / "gpu_metrics"))
        awake.device = device_of(told, self._identity)
        room = usable(gauge, told, self._host_bytes()) if awake.device.unified else None
        if room is not None:
            told[Quantity.MEMORY_USABLE] = room
        awake.beside = {name: text for name, text in texts.items() if name in _BESIDE}
        awake.lasting_told = told
        awake.lasting_at = self._first(gauge.at, awake.lasting_at, LASTING_SECONDS)

    def _paths(self) -> dict[str, Path]:
        """Return every file that tells something, by the name of what it measures."""
        folder = self.card.folder
        sensors = {f"hwmon/{path.parent.name}/{path.name}": path for path in _listed(folder / "hwmon")}
        labels: dict[str, str | Absent] = dict.fromkeys(sensors, "")
        labels |= {name: self._system.read(path) for name, path in sensors.items() if _LABEL.search(name)}
        flat = {flat: sensors[name] for name, flat in flat_names(labels).items()}
        every = QUICK | SLOW | LASTING
        own = {name: folder / name for name in sorted(every) if not name.startswith("hwmon/")}
        return {**own, **{name: path for name, path in flat.items() if name in every}}

    def _who(self, texts: Mapping[str, str | Absent], *, unified: bool | None) -> Identity:
        card, unique = self.card, texts.get("unique_id")
        return Identity(
            fallback=str(card.number), address=card.key,
            name=named(texts.get("product_name")) or name_of(card.device, card.revision, self._ids),
            uuid=f"0x{unique}" if isinstance(unique, str) and unique.strip("0") else "", device=card.device,
            unified=unified,
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


def _pace(name: str, paths: Mapping[str, Path]) -> _Pace:
    """Return how often a file is read; one that is not there is looked for with what lasts.

    Beside the sensor of a clock its levels tell the highest alone.
    """
    if name in LASTING or not os.path.exists(paths[name]):  # noqa: PTH110 - no error whatever stands in the way
        return _Pace.LASTING
    alone = any(name == level and hertz not in paths for hertz, level in LEVELS.items())
    return _Pace.QUICK if name in QUICK or alone else _Pace.SLOW


def _is_lost(reading: object) -> bool:
    return isinstance(reading, Absent) and reading.reason is Reason.LOST_DEVICE


def _listed(folder: Path) -> Iterator[Path]:
    """Yield the files of every ``hwmonN``."""
    try:
        for each in sorted(folder.iterdir()):
            yield from sorted(each.iterdir())
    except OSError:
        return
