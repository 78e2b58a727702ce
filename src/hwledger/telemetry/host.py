"""The host: its memory, swap, processor and load, through psutil and the control group's files."""

import platform
from typing import Final

import psutil

from hwledger.telemetry.coverage import Coverage, Setting
from hwledger.telemetry.group import group_limit
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, HostSnapshot, Sample
from hwledger.telemetry.system import System

NAME: Final = "host"
LOOK_S: Final = 0.1
"""How long the first look at the processor takes; later ones count from the look before."""
_HOTTEST: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal")
"""Kernel drivers of the processor's own thermometer (Documentation/hwmon of Linux)."""


class HostSampler:
    """The host; satisfies ``Sampler``."""

    name = NAME
    vendor = "host"
    coverage = Coverage(
        gives=frozenset({
            Quantity.HOST_MEMORY_TOTAL, Quantity.HOST_MEMORY_AVAILABLE, Quantity.HOST_MEMORY_LIMIT,
            Quantity.SWAP_TOTAL, Quantity.SWAP_USED, Quantity.CPU_UTILIZATION, Quantity.CPU_TEMPERATURE,
            Quantity.LOAD,
        }),
        lacks={Setting.WSL: {Quantity.CPU_TEMPERATURE: Reason.UNSUPPORTED}},
    )  # fmt: skip
    pace = Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System) -> None:
        self._system = system
        self._looked = False
        self._name = _processor(system)

    def check(self) -> Check:
        """Return that psutil works here; it ships with hwledger."""
        return Check(NAME, works=True, found=f"psutil {psutil.__version__}")

    def sample(self, *, processes: bool) -> Sample:
        """Return the host's memory, swap, processor and load."""
        del processes  # which run is of no matter here
        gauge = Gauge("psutil", self._system.clock())
        memory = psutil.virtual_memory()
        readings: dict[Quantity, Reading] = {
            Quantity.HOST_MEMORY_TOTAL: checked(gauge, Quantity.HOST_MEMORY_TOTAL, memory.total),
            Quantity.HOST_MEMORY_AVAILABLE: checked(gauge, Quantity.HOST_MEMORY_AVAILABLE, memory.available),
            Quantity.HOST_MEMORY_LIMIT: group_limit(self._system),
            Quantity.CPU_UTILIZATION: checked(gauge, Quantity.CPU_UTILIZATION, self._busy()),
            Quantity.CPU_TEMPERATURE: self._temperature(gauge),
            Quantity.LOAD: checked(gauge, Quantity.LOAD, psutil.getloadavg()[0]),
            **_swap(gauge),
        }
        system = f"{platform.system()} {platform.release()}".strip()
        return Sample(host=HostSnapshot(self._name, system, readings))

    def close(self) -> None:
        """Nothing is held."""

    def _busy(self) -> float:
        share = psutil.cpu_percent(None if self._looked else LOOK_S) / 100
        self._looked = True
        return min(1.0, share)

    def _temperature(self, gauge: Gauge) -> Reading:
        if not hasattr(psutil, "sensors_temperatures"):
            return gauge.absent(Reason.UNSUPPORTED, "psutil reads no thermometers on this system")
        try:
            found = psutil.sensors_temperatures()
        except (OSError, ValueError) as error:
            return gauge.absent(Reason.UNPARSED, str(error))
        seen = [each.current for name in _HOTTEST for each in found.get(name, ()) if each.current]
        if not seen:
            return gauge.absent(Reason.UNSUPPORTED, "the kernel shows no thermometer of the processor")
        return checked(gauge, Quantity.CPU_TEMPERATURE, max(seen))


def sampler(system: System) -> HostSampler:
    """Return the sampler of the host."""
    return HostSampler(system)


def _swap(gauge: Gauge) -> dict[Quantity, Reading]:
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError, ValueError) as error:  # e.g. /proc/vmstat hidden in a container
        nothing = gauge.absent(Reason.NO_PERMISSION, f"swap cannot be read: {error}")
        return {Quantity.SWAP_TOTAL: nothing, Quantity.SWAP_USED: nothing}
    return {
        Quantity.SWAP_TOTAL: checked(gauge, Quantity.SWAP_TOTAL, swap.total),
        Quantity.SWAP_USED: checked(gauge, Quantity.SWAP_USED, swap.used),
    }


def _processor(system: System) -> str:
    """Return the processor's name, as Linux or Python know it."""
    text = system.read(system.procfs / "cpuinfo")
    if not isinstance(text, Absent):
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"}:
                return value.strip()[:120]
    return platform.processor() or platform.machine()
