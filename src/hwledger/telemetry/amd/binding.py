"""AMD's devices through ``amdsmi``, its Python binding (6.x and 7.x), where it loads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hwledger.telemetry.amd.coverage import AMDSMI
from hwledger.telemetry.amd.library import NAME, asked, choice, load
from hwledger.telemetry.amd.smi import processes as listed
from hwledger.telemetry.amd.telling import (
    MISSING,
    VENDOR,
    Identity,
    device_of,
    first,
    generation,
    named,
    number,
    ratio,
    reading_of,
)
from hwledger.telemetry.amd.tools import DRIVERS
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.drm.cards import cards
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, DeviceSnapshot, Sample
from hwledger.telemetry.system import System
from hwledger.telemetry.tool import sleeping

Found = dict[Quantity, Reading]
_MEMORY: Final = (
    (Quantity.MEMORY_TOTAL, "amdsmi_get_gpu_memory_total", "VRAM"),
    (Quantity.MEMORY_USED, "amdsmi_get_gpu_memory_usage", "VRAM"),
    (Quantity.SHARED_MEMORY_TOTAL, "amdsmi_get_gpu_memory_total", "GTT"),
    (Quantity.SHARED_MEMORY_USED, "amdsmi_get_gpu_memory_usage", "GTT"),
)
_HEAT: Final = (
    (Quantity.TEMPERATURE, "EDGE"),
    (Quantity.TEMPERATURE_HOTSPOT, "HOTSPOT"),
    (Quantity.TEMPERATURE_MEMORY, "VRAM"),
)
_CLOCKS: Final = (
    ("GFX", Quantity.CLOCK, Quantity.CLOCK_MAX),
    ("MEM", Quantity.CLOCK_MEMORY, Quantity.CLOCK_MEMORY_MAX),
)
_LEAST_MICROWATTS: Final = 100_000
"""Of a cap: no device has one of 0.1 W."""
_MOST_COUNTED: Final = 1 << 64
_REMEDY: Final = "install ROCm's amd-smi-lib and its binding: pip install /opt/rocm/share/amd_smi"


@dataclass(frozen=True, slots=True)
class _Part:
    """One device: its handle, which it is, and what does not change of it."""

    handle: Any
    who: Identity
    fixed: Mapping[Quantity, Reading]

    @property
    def key(self) -> str:
        return pci_key(self.who.address) or ""


class AmdsmiSampler:
    """Asks AMD's library.

    The library opens every card when it starts, which wakes one that sleeps: it starts when none does, and a
    card that has fallen asleep since is not asked.

    Args:
        system: the machine.
        loader: returns the binding's module, or why there is none.
    """

    name = NAME
    vendor = VENDOR
    coverage: Coverage = AMDSMI
    pace = Pace()
    yields_to: frozenset[str] = frozenset()

    def __init__(self, system: System, loader: Callable[[System], Any] = load) -> None:
        self._system = system
        self._loader = loader
        self._module: Any = None
        self._parts: tuple[_Part, ...] | None = None

    def check(self) -> Check:
        """Return whether the binding and its library load, and find a device."""
        module = self._loader(self._system) if self._module is None else self._module
        if isinstance(module, Absent):
            return self._lacking(module)
        self._module = module
        waits = None if self._parts is not None else sleeping(self._system, DRIVERS, self.name)
        if waits is not None:
            return Check(self.name, works=True, found=waits.detail)
        parts = self._started()
        if isinstance(parts, Absent):
            return self._lacking(parts)
        return Check(self.name, works=True, found=f"{len(parts)} device{'s' * (len(parts) != 1)}")

    def _lacking(self, why: Absent) -> Check:
        remedy = {
            Reason.ABSENT_TOOL: _REMEDY,
            Reason.NO_PERMISSION: "add this user to the groups render and video",
        }.get(why.reason, "")
        return Check(self.name, works=False, found=why.detail, remedy=remedy, reason=why)

    def _started(self) -> "tuple[_Part, ...] | Absent":
        """Return the devices; starts the library at the first call."""
        if self._parts is None:
            begun = asked(self._module, "amdsmi_init")
            handles = (
                begun if isinstance(begun, Absent) else asked(self._module, "amdsmi_get_processor_handles")
            )
            if isinstance(handles, Absent):
                return handles
            if not handles:
                return Absent(Reason.UNSUPPORTED, "amdsmi finds no device of AMD's", self.name)
            self._parts = tuple(self._part(number, handle) for number, handle in enumerate(handles))
        return self._parts

    def _ask(self, name: str, *arguments: object) -> Any:
        return asked(self._module, name, *arguments)

    def _part(self, order: int, handle: Any) -> _Part:
        gauge = Gauge(self.name, self._system.clock())
        asic = _mapping(self._ask("amdsmi_get_gpu_asic_info", handle))
        board = _mapping(self._ask("amdsmi_get_gpu_board_info", handle))
        who = Identity(
            fallback=str(order), index=order, address=named(self._ask("amdsmi_get_gpu_device_bdf", handle)),
            name=named(asic.get("market_name"), board.get("product_name")),
            uuid=named(self._ask("amdsmi_get_gpu_device_uuid", handle)), device=named(asic.get("device_id")),
        )  # fmt: skip
        return _Part(handle, who, dict(self._versions(handle, gauge)))

    def _versions(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        driver = self._ask("amdsmi_get_gpu_driver_info", handle)
        yield Quantity.DRIVER, _field(gauge, Quantity.DRIVER, driver, "driver_version")
        rocm = self._ask("amdsmi_get_rocm_version")
        if isinstance(rocm, tuple) and len(rocm) > 1 and rocm[0] is True:
            yield Quantity.RUNTIME, gauge(Quantity.RUNTIME, f"ROCm {str(rocm[1])[:80]}")
        elif isinstance(rocm, Absent):
            yield Quantity.RUNTIME, rocm

    def sample(self, *, processes: bool) -> Sample:
        """Return what the library says of every device that is awake."""
        if self._module is None or self._parts is None:
            check = self.check()
            if not check.works:
                return Sample(troubles=(f"{self.name}: {check.found}",), failure=check.reason)
        if self._parts is None:
            not_yet = Absent(Reason.STALE, "not started yet", self.name)
            waits = sleeping(self._system, DRIVERS, self.name) or not_yet
            return Sample(troubles=(f"{self.name}: {waits.detail}",), failure=waits)
        asleep = {card.key for card in cards(self._system, "amdgpu") if card.asleep}
        awake = [part for part in self._parts if part.key not in asleep]
        return Sample(devices=tuple(self._device(part, processes=processes) for part in awake))

    def _device(self, part: _Part, *, processes: bool) -> DeviceSnapshot:
        gauge = Gauge(self.name, self._system.clock())
        found: Found = dict(part.fixed)
        for enter in (
            self._memory,
            self._activity,
            self._heat,
            self._power,
            self._clocks,
            self._link,
            self._rest,
        ):
            found.update(enter(part.handle, gauge))
        return device_of(found, part.who, self._processes(part.handle, gauge) if processes else NOT_TOLD)

    def _memory(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        older = {Quantity.MEMORY_TOTAL: "vram_total", Quantity.MEMORY_USED: "vram_used"}
        usage: Any = None
        for quantity, name, kind in _MEMORY:
            said = self._ask(name, handle, choice(self._module, "AmdSmiMemoryType", kind))
            reading = reading_of(gauge, quantity, said, "b")
            if isinstance(reading, Absent) and quantity in older:
                usage = self._ask("amdsmi_get_gpu_vram_usage", handle) if usage is None else usage
                reading = first([_field(gauge, quantity, usage, older[quantity], "mib"), reading]) or reading
            yield quantity, reading

    def _activity(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        said = self._ask("amdsmi_get_gpu_activity", handle)
        yield Quantity.UTILIZATION, _field(gauge, Quantity.UTILIZATION, said, "gfx_activity", "%")
        yield Quantity.MEMORY_ACTIVITY, _field(gauge, Quantity.MEMORY_ACTIVITY, said, "umc_activity", "%")

    def _heat(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        """Yield temperatures; an edge whose limit is 0 has no sensor (amd-smi leaves it out, too)."""
        now = choice(self._module, "AmdSmiTemperatureMetric", "CURRENT")
        critical = choice(self._module, "AmdSmiTemperatureMetric", "CRITICAL")
        for quantity, name in _HEAT:
            sensor = choice(self._module, "AmdSmiTemperatureType", name)
            reading = reading_of(
                gauge, quantity, self._ask("amdsmi_get_temp_metric", handle, sensor, now), "c"
            )
            if name == "EDGE" and self._ask("amdsmi_get_temp_metric", handle, sensor, critical) == 0:
                reading = gauge.absent(Reason.UNSUPPORTED, "its limit is 0: it has no such sensor")
            yield quantity, reading

    def _power(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        said = self._ask("amdsmi_get_power_info", handle)
        names = ("socket_power", "current_socket_power", "average_socket_power")
        readings = [_field(gauge, Quantity.POWER, said, name, "w") for name in names if _has(said, name)]
        yield Quantity.POWER, first(readings) or _field(gauge, Quantity.POWER, said, names[0], "w")
        cap = self._ask("amdsmi_get_power_cap_info", handle)
        yield Quantity.POWER_LIMIT, _field(gauge, Quantity.POWER_LIMIT, cap, "power_cap", _unit_of_cap(cap))
        yield Quantity.ENERGY, _energy(gauge, self._ask("amdsmi_get_energy_count", handle))

    def _clocks(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        for kind, now, most in _CLOCKS:
            said = self._ask("amdsmi_get_clock_info", handle, choice(self._module, "AmdSmiClkType", kind))
            yield now, _field(gauge, now, said, "clk" if _has(said, "clk") else "cur_clk", "mhz")
            yield most, _field(gauge, most, said, "max_clk", "mhz")

    def _link(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        said = self._ask("amdsmi_get_pcie_info", handle)
        fixed, now = (
            said if isinstance(said, Absent) else _mapping(said).get(name)
            for name in ("pcie_static", "pcie_metric")
        )
        yield Quantity.PCIE_WIDTH, _field(gauge, Quantity.PCIE_WIDTH, now, "pcie_width")
        yield Quantity.PCIE_WIDTH_MAX, _field(gauge, Quantity.PCIE_WIDTH_MAX, fixed, "max_pcie_width")
        yield Quantity.PCIE_GENERATION, _rate(gauge, Quantity.PCIE_GENERATION, now, "pcie_speed")
        yield (
            Quantity.PCIE_GENERATION_MAX,
            _rate(gauge, Quantity.PCIE_GENERATION_MAX, fixed, "max_pcie_speed"),
        )

    def _rest(self, handle: Any, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
        speeds = [self._ask(f"amdsmi_get_gpu_fan_speed{which}", handle, 0) for which in ("", "_max")]
        lacks = next(
            (replace(each, source=gauge.source) for each in speeds if isinstance(each, Absent)), None
        )
        share = lacks or ratio(gauge, Quantity.FAN, *(number(gauge, each) for each in speeds))
        yield Quantity.FAN, share or gauge.absent(Reason.UNSUPPORTED, "it has no fan of its own")
        errors = self._ask("amdsmi_get_gpu_total_ecc_count", handle)
        yield (
            Quantity.ERRORS_UNCORRECTED,
            _field(gauge, Quantity.ERRORS_UNCORRECTED, errors, "uncorrectable_count"),
        )
        level = self._ask("amdsmi_get_gpu_perf_level", handle)
        yield Quantity.PERFORMANCE_STATE, reading_of(gauge, Quantity.PERFORMANCE_STATE, level)
        yield Quantity.THROTTLE, _throttle(gauge, self._ask("amdsmi_get_gpu_metrics_info", handle))

    def _processes(self, handle: Any, gauge: Gauge) -> Any:
        said = self._ask("amdsmi_get_gpu_process_list", handle)
        if isinstance(said, Absent):
            return said
        return listed({"process_list": said if isinstance(said, list) else []}, gauge)

    def close(self) -> None:
        """Let go of the library."""
        if self._module is not None and self._parts is not None:
            self._ask("amdsmi_shut_down")
            self._parts = None


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


def _has(said: Any, name: str) -> bool:
    return isinstance(said, Mapping) and name in said


def _field(gauge: Gauge, quantity: Quantity, said: Any, name: str, unit: str = "") -> Reading:
    """Return one field of what a function answers; the reason where it answers none."""
    if isinstance(said, Absent):
        return said
    node = said.get(name, MISSING) if isinstance(said, Mapping) else MISSING
    if node is MISSING:
        return gauge.absent(Reason.UNSUPPORTED, f"this version of amdsmi has no {name}")
    return reading_of(gauge, quantity, node, unit)


def _rate(gauge: Gauge, quantity: Quantity, said: Any, name: str) -> Reading:
    if isinstance(said, Absent):
        return said
    if not _has(said, name):
        return gauge.absent(Reason.UNSUPPORTED, f"this version of amdsmi has no {name}")
    return generation(gauge, quantity, said[name])


def _unit_of_cap(said: Any) -> str:
    """Return the unit of a power cap: microwatts since amdsmi 6.0, watts before."""
    cap = said.get("power_cap") if isinstance(said, Mapping) else None
    return "w" if isinstance(cap, int) and cap < _LEAST_MICROWATTS else "uw"


def _energy(gauge: Gauge, said: Any) -> Reading:
    """Return joules: a counter times its resolution in microjoules (amd-smi's own arithmetic, 24.x)."""
    if isinstance(said, Absent):
        return said
    counter = said.get("energy_accumulator", said.get("power")) if isinstance(said, Mapping) else None
    resolution = said.get("counter_resolution") if isinstance(said, Mapping) else None
    factors = [each for each in (counter, resolution) if isinstance(each, int | float)]
    if len(factors) < 2 or not all(0 < each < _MOST_COUNTED for each in factors):  # noqa: PLR2004 - of two
        return gauge.absent(Reason.UNSUPPORTED, "its counter does not run")
    return checked(gauge, Quantity.ENERGY, factors[0] * factors[1] * 1e-6)


def _throttle(gauge: Gauge, said: Any) -> Reading:
    if isinstance(said, Absent):
        return said
    state = said.get("throttle_status") if isinstance(said, Mapping) else None
    if not isinstance(state, bool):
        return gauge.absent(Reason.UNSUPPORTED, "it tells no throttling")
    return gauge(Quantity.THROTTLE, ("not told by what",) if state else ())


def sampler(system: System) -> AmdsmiSampler:
    """Return the source ``amdsmi``."""
    return AmdsmiSampler(system)
