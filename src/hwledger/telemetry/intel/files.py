"""What the files of i915 and xe say of one card, from their texts alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from hwledger.telemetry.drm.link import generation_of
from hwledger.telemetry.intel.names import rows
from hwledger.telemetry.intel.vram_mm import read_vram
from hwledger.telemetry.parsing import measured, said_nothing
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Basis, Gauge, Reading, Reason, Value, bytes_of

Q = Quantity
Files = Mapping[str, str | Absent]
_SENSOR: Final = re.compile(r"(?P<kind>energy|power|temp|fan)(?P<number>[0-9]{1,3})_(?P<what>\w+)")
_THROTTLE: Final = re.compile(r"throttle/(?:throttle_)?reason_(?P<name>\w+)")
_SIZE: Final = re.compile(
    r"device/tile[0-9]{1,3}/(?:memory/)?physical_vram_size_bytes|(?:device/)?lmem_total_bytes"
)
_AVAILABLE: Final = re.compile(r"(?:device/)?lmem_avail_bytes")
_VRAM: Final = re.compile(r"debug/(?:tile(?P<tile>[0-9]{1,3})/vram_mm|vram(?P<old>[0-9])_mm)")
NO_LIMIT: Final = "no limit is in force"
NO_SHARE: Final = "the driver tells revolutions, without the highest"


def of_files(files: Files, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return what the files of one card say.

    Args:
        files: texts, or why there is none, by path: below ``/sys/class/drm/cardN``; ``slot/…`` of what sits
            in the slot, ``hwmon/…`` of its sensors, ``throttle/…`` of what holds its clocks down,
            ``debug/…`` of the debug file system. A file that is not there is left out, and so is what it
            tells.
        gauge: the source and the moment.
    """
    found = {
        Quantity(row["quantity"]): _read(gauge, row, said)
        for row in rows("sysfs")
        if (said := next((files[at] for at in row["at"] if at in files), None)) is not None
    }
    for quantity, name in ((Q.PCIE_GENERATION, "current"), (Q.PCIE_GENERATION_MAX, "max")):
        said = files.get(f"slot/{name}_link_speed")
        if isinstance(said, str):
            found[quantity] = generation_of(gauge, quantity, said)
    return {**found, **dict(_sensors(files, gauge)), **_throttle(files, gauge), **_memory(files, gauge)}


def _read(gauge: Gauge, row: Mapping[str, Any], said: str | Absent) -> Reading:
    quantity = Quantity(row["quantity"])
    if isinstance(said, Absent):
        return replace(said, source=gauge.source)
    if MEANINGS[quantity].unit is Unit.TEXT:
        return said_nothing(said, gauge.source) or gauge(quantity, said[:80])
    return measured(gauge, quantity, said, row.get("unit", ""))


def _sensors(files: Files, gauge: Gauge) -> Iterator[tuple[Quantity, Reading]]:
    """Yield what sensors tell; which of several of a kind is meant stands in its label."""
    labels = _labels(files)
    for row in rows("sensor"):
        kind, what = row["file"].split("#_")
        for label in row["label"]:
            name = next((f"{n}_{what}" for n, at in labels.items() if at == label and n.startswith(kind)
                         and f"hwmon/{n}_{what}" in files), None)  # fmt: skip
            if name is not None:
                quantity = Quantity(row["quantity"])
                reading = _read(gauge, row, files[f"hwmon/{name}"])
                off = quantity is Q.POWER_LIMIT and isinstance(reading, Value) and not reading.value
                yield quantity, gauge.absent(Reason.UNSUPPORTED, NO_LIMIT) if off else reading
                break
    if any(name.startswith("hwmon/fan") for name in files):
        yield Q.FAN, gauge.absent(Reason.UNSUPPORTED, NO_SHARE)


def _labels(files: Files) -> dict[str, str]:
    """Return the label of each sensor, ``energy1``: the one that it has, else what it is known to be."""
    known = {name: row["label"] for row in rows("unlabelled") for name in row["sensor"]}
    found: dict[str, str] = {}
    for path in files:
        sensor = _SENSOR.fullmatch(path.removeprefix("hwmon/"))
        if sensor is not None:
            name = sensor["kind"] + sensor["number"]
            label = files.get(f"hwmon/{name}_label")
            found[name] = label.lower() if isinstance(label, str) else known.get(name, "")
    return found


def _throttle(files: Files, gauge: Gauge) -> dict[Quantity, Reading]:
    words = {name: row["word"] for row in rows("throttle") for name in row["at"]}
    told = {named["name"]: said for path, said in files.items() if (named := _THROTTLE.fullmatch(path))}
    told.pop("status", None)
    if not told:
        return {}
    unread = next((said for said in told.values() if isinstance(said, Absent)), None)
    if unread is not None:
        return {Q.THROTTLE: replace(unread, source=gauge.source)}
    odd = next((said for said in told.values() if said not in {"0", "1"}), None)
    if odd is not None:
        return {Q.THROTTLE: gauge.absent(Reason.UNPARSED, f"neither 0 nor 1: {str(odd)[:40]!r}")}
    holding = dict.fromkeys(words.get(name, name[:80]) for name, said in sorted(told.items()) if said == "1")
    return {Q.THROTTLE: gauge(Q.THROTTLE, tuple(holding))}


def _memory(files: Files, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return the memory of all tiles; what the driver keeps is what the chips have beyond what it manages."""
    found: dict[Quantity, Reading] = {}
    chips = _sum(gauge, Q.MEMORY_TOTAL, (said for path, said in files.items() if _SIZE.fullmatch(path)))
    if chips is not None:
        found[Q.MEMORY_TOTAL] = chips
    free = _sum(gauge, Q.MEMORY_FREE, (said for path, said in files.items() if _AVAILABLE.fullmatch(path)))
    if free is not None:
        found[Q.MEMORY_FREE] = free
    return {**found, **_managed(files, gauge, chips)}


def _managed(files: Files, gauge: Gauge, chips: Reading | None) -> dict[Quantity, Reading]:
    """Return what ``vram_mm`` tells; newer kernels have it by tile, and the same by its older name."""
    texts: dict[int, str | Absent] = {}
    for path, said in files.items():
        named = _VRAM.fullmatch(path)
        if named is not None:
            texts.setdefault(int(named["tile"] or named["old"] or 0), said)
    unread = next((said for said in texts.values() if isinstance(said, Absent)), None)
    if unread is not None:
        return {Q.MEMORY_USED: replace(unread, source=gauge.source)}
    tiles = [read_vram(said, gauge).devices[0].readings for said in texts.values() if isinstance(said, str)]
    size = _added(gauge, Q.MEMORY_TOTAL, [tile.get(Q.MEMORY_TOTAL) for tile in tiles])
    used = _added(gauge, Q.MEMORY_USED, [tile.get(Q.MEMORY_USED) for tile in tiles])
    found: dict[Quantity, Reading] = {} if used is None else {Q.MEMORY_USED: used}
    whole, managed = bytes_of(chips), bytes_of(size)
    if chips is None and size is not None:
        found[Q.MEMORY_TOTAL] = size
    elif whole is not None and managed is not None and whole >= managed:
        found[Q.MEMORY_RESERVED] = replace(gauge(Q.MEMORY_RESERVED, whole - managed), basis=Basis.DERIVED)
    return found


def _sum(gauge: Gauge, quantity: Quantity, texts: Iterator[str | Absent]) -> Reading | None:
    row = {"quantity": quantity, "unit": "B"}
    return _added(gauge, quantity, [_read(gauge, row, said) for said in texts])


def _added(gauge: Gauge, quantity: Quantity, parts: list[Reading | None]) -> Reading | None:
    """Return the sum of what tiles tell, derived of more than one; the first reason where one has none."""
    reason = next((part for part in parts if isinstance(part, Absent)), None)
    numbers = [number for part in parts if (number := bytes_of(part)) is not None]
    if reason is not None or not numbers or len(numbers) != len(parts):
        return reason
    if len(parts) == 1:
        return parts[0]
    return replace(gauge(quantity, sum(numbers)), basis=Basis.DERIVED)
