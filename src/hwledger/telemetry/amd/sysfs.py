"""What amdgpu's files in sysfs say of one card, from their texts alone."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from hwledger.telemetry.amd.facts import Row, rows
from hwledger.telemetry.amd.telling import MISSING, first, generation, ratio, reading_of, text_of, told
from hwledger.telemetry.parsing import checked, measured, number_in
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Reason, number_of

SOURCE: Final = "amdgpu"
Files = Mapping[str, str | Absent]
SUSPENDED: Final = "suspended: asking would wake it"
ASLEEP: Final = frozenset({"suspended", "suspending"})
_LEVEL: Final = re.compile(r"\s*\w{1,4}:\s*(?P<speed>[0-9.]{1,12})\s*Mhz\s*(?P<now>\*?)\s*", re.IGNORECASE)
_MEGAHERTZ: Final = 1_000_000
_HWMON: Final = re.compile(r"hwmon/hwmon[0-9]{1,5}/(?P<name>\w+)")
_SENSORS: Final = {"temp1": "edge", "temp2": "junction", "temp3": "mem", "freq1": "sclk", "freq2": "mclk"}
"""Where a sensor has no label that is known: Documentation/gpu/amdgpu/thermal.rst."""
_LABELS: Final = frozenset(_SENSORS.values())
_DEBUG_POWER: Final = re.compile(
    r"^\s*(?P<watts>[0-9.]{1,12} W) \((?:average|current) (?:GPU|SoC)", re.MULTILINE
)
_ERRORS: Final = re.compile(r"^ue:\s*(?P<count>[0-9]{1,19})\s*$", re.MULTILINE)
_PWM_MOST: Final = "255"
"""Of ``pwm1`` where ``pwm1_max`` is not told: thermal.rst."""


LEVELS: Final = {"hwmon/sclk": "pp_dpm_sclk", "hwmon/mclk": "pp_dpm_mclk"}
"""Sensors of clocks, and the levels that state the same where there is no sensor."""
Reader = Callable[[Files, Gauge], Iterator[tuple[Quantity, Reading]]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What some files can tell, so that nothing else is looked for again and again.

    Attributes:
        rows: quantities that stand in one file each.
        readers: what reads the others.
    """

    rows: tuple[Row, ...]
    readers: tuple[Reader, ...]


def of_files(files: Files, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return what the files of one card say.

    Args:
        files: texts, or why there is none, by path below ``/sys/class/drm/cardN/device``; a file that was
            not looked for is left out, and so is its quantity.
        gauge: the source and the moment.
    """
    names = flat_names(files)
    return of_flat({names[path]: each for path, each in files.items()}, gauge)


def of_flat(flat: Files, gauge: Gauge, parts: Parts | None = None) -> dict[Quantity, Reading]:
    """Return what files say by the names that ``flat_names`` gives them; those that are left out say nothing.

    Args:
        flat: texts, or why there is none.
        gauge: the source and the moment.
        parts: what these files can tell, where that is known.
    """
    parts = parts or parts_of(flat)
    found = told(parts.rows, lambda name: flat.get(name, MISSING), gauge)
    for reader in parts.readers:
        found.update(reader(flat, gauge))
    return found


def parts_of(names: Iterable[str]) -> Parts:
    """Return what files of these names, as ``flat_names`` gives them, can tell."""
    known = frozenset(names)
    return Parts(
        tuple(row for row in rows("sysfs") if not known.isdisjoint(row.at)),
        tuple(reader for files, reader in _READERS.items() if not known.isdisjoint(files)),
    )


def flat_names(files: Files) -> dict[str, str]:
    """Return what files are called by what they measure: which ``tempN`` is which differs by part.

    Args:
        files: texts of labels at least, by path; ``hwmon/hwmon5/temp2_input`` with the label ``junction``
            is ``hwmon/junction``.
    """
    hwmon = {path: found["name"] for path in files if (found := _HWMON.fullmatch(path))}
    texts = {name: files[path] for path, name in hwmon.items()}
    flat = {path: path for path in files}
    for path, name in hwmon.items():
        stem = name.removesuffix("_input")
        label = texts.get(f"{stem}_label")
        known = label if isinstance(label, str) and label in _LABELS else _SENSORS.get(stem, name)
        flat[path] = f"hwmon/{known if stem != name else name}"
    return flat


def _core_clocks(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    yield from _clocks(files, gauge, (Quantity.CLOCK, Quantity.CLOCK_MAX), "hwmon/sclk")


def _memory_clocks(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    yield from _clocks(files, gauge, (Quantity.CLOCK_MEMORY, Quantity.CLOCK_MEMORY_MAX), "hwmon/mclk")


def _clocks(
    files: Files, gauge: Gauge, quantities: tuple[Quantity, Quantity], hertz: str
) -> Iterator[tuple[Quantity, Reading]]:
    """Yield a clock, as its sensor measures it or else as the level in force states it, and its highest."""
    now, most = quantities
    level = LEVELS[hertz]
    said = files.get(level, MISSING)
    readings: list[Reading] = []
    if hertz in files:
        readings.append(reading_of(gauge, now, files[hertz], "hz"))
    if isinstance(said, str):
        levels = _levels(said)
        readings += [checked(gauge, now, speed) for speed, in_force in levels if in_force]
        if levels:
            yield most, checked(gauge, most, max(speed for speed, _ in levels))
        else:
            yield most, gauge.absent(Reason.UNPARSED, f"no levels: {said[:40]!r}")
        if not readings:
            readings.append(gauge.absent(Reason.UNPARSED, "no level is marked as the one in force"))
    elif isinstance(said, Absent):
        readings.append(reading_of(gauge, now, said))
        yield most, reading_of(gauge, most, said)
    best = first(readings)
    if best is not None:
        yield now, best


@lru_cache(maxsize=256)
def _levels(said: str) -> tuple[tuple[float, bool], ...]:
    """Return the levels of a clock in hertz, and which is in force; kept, as cards say the same again."""
    lines = (_LEVEL.fullmatch(line) for line in said.splitlines()[:64])
    return tuple(
        (number[0] * _MEGAHERTZ, bool(line["now"]))
        for line in lines
        if line and (number := number_in(line["speed"]))
    )


def _links(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    for quantity, name in (
        (Quantity.PCIE_GENERATION, "current_link_speed"),
        (Quantity.PCIE_GENERATION_MAX, "max_link_speed"),
    ):
        said = files.get(name)
        if isinstance(said, str):
            yield quantity, generation(gauge, quantity, said)
        elif said is not None:
            yield quantity, replace(said, source=gauge.source)


def _errors(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    errors = files["ras/umc_err_count"]
    if isinstance(errors, Absent):
        yield Quantity.ERRORS_UNCORRECTED, replace(errors, source=gauge.source)
        return
    counted = _ERRORS.search(errors)
    yield (
        Quantity.ERRORS_UNCORRECTED,
        measured(gauge, Quantity.ERRORS_UNCORRECTED, counted["count"] if counted else errors),
    )


def _debug_power(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    debug = files["amdgpu_pm_info"]
    power = _DEBUG_POWER.search(debug) if isinstance(debug, str) else None
    if power is not None and not any(name.startswith("hwmon/power1") for name in files):
        yield Quantity.POWER, reading_of(gauge, Quantity.POWER, power["watts"])


def _status(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    status = files["power/runtime_status"]
    if isinstance(status, str):
        yield Quantity.POWER_STATE, text_of(gauge, Quantity.POWER_STATE, status)


def _fans(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    fan = _fan(files, gauge)
    if fan is not None:
        yield Quantity.FAN, fan


def _fan(files: Files, gauge: Gauge) -> Reading | None:
    """Return the fan's speed over its highest, by revolutions, else by the width of its pulses."""
    for now, most, otherwise in (("fan1_input", "fan1_max", ""), ("pwm1", "pwm1_max", _PWM_MOST)):
        part, whole = files.get(f"hwmon/{now}"), files.get(f"hwmon/{most}", otherwise)
        if isinstance(part, str) and isinstance(whole, str):
            counts = [measured(gauge, Quantity.PCIE_WIDTH, each) for each in (part, whole or otherwise)]
            share = ratio(gauge, Quantity.FAN, *counts)
            if share is not None:
                return share
    said = files.get("hwmon/fan1_input")
    return replace(said, source=gauge.source) if isinstance(said, Absent) else None


_READERS: Final[Mapping[tuple[str, ...], Reader]] = {
    ("hwmon/sclk", "pp_dpm_sclk"): _core_clocks,
    ("hwmon/mclk", "pp_dpm_mclk"): _memory_clocks,
    ("current_link_speed", "max_link_speed"): _links,
    ("hwmon/fan1_input", "hwmon/pwm1"): _fans,
    ("ras/umc_err_count",): _errors,
    ("amdgpu_pm_info",): _debug_power,
    ("power/runtime_status",): _status,
}
"""What stands in more than one file, or is more than a number; by the files of which one must be there."""


def asleep(gauge: Gauge, status: str, gives: frozenset[Quantity]) -> dict[Quantity, Reading]:
    """Return what is said of a card that sleeps: that it does, and of the rest that it was not asked."""
    found: dict[Quantity, Reading] = dict.fromkeys(gives, gauge.absent(Reason.UNSUPPORTED, SUSPENDED))
    found[Quantity.POWER_STATE] = gauge(Quantity.POWER_STATE, status)
    return found


def usable(gauge: Gauge, found: Mapping[Quantity, Reading], host_bytes: int | None) -> Reading | None:
    """Return what a part can use that works in the host's memory; ``None`` where it is not told.

    The larger of its carve-out and what it may map, the latter not beyond what the host has beside the
    carve-out: amdgpu lets it map more than there is (ROCm/legacy-rocm-build#6004).

    Args:
        gauge: the source and the moment.
        found: its readings.
        host_bytes: memory of the host, without the carve-out, which the kernel does not count.
    """
    own, mapped = (
        number_of(found.get(Quantity.MEMORY_TOTAL)),
        number_of(found.get(Quantity.SHARED_MEMORY_TOTAL)),
    )
    if own is None or mapped is None:
        return None
    limited = mapped if host_bytes is None else min(mapped, host_bytes)
    return replace(gauge(Quantity.MEMORY_USABLE, int(max(own, limited))), basis=Basis.DERIVED)
