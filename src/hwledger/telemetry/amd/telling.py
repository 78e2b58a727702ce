"""From what an AMD source says to readings and devices, the same for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hwledger.telemetry.amd.facts import SPELLED, Row, marks, shares_memory
from hwledger.telemetry.drm.link import generation_of
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.parsing import checked, measured, said_nothing
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import (
    NOT_TOLD,
    Absent,
    Basis,
    Gauge,
    Reading,
    Readings,
    Reason,
    Value,
    bytes_of,
)
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot

MISSING: Final = object()
VENDOR: Final = "AMD"
EQUAL_NOTE: Final = (
    "its driver states the same size for shared memory (GTT) as for its own: a limit that the driver set,"
    " or a fault of it, and not what the host has"
)
CARVED_NOTE: Final = (
    "it works in the host's memory: its own is a carve-out, beside what it may map of the rest"
)
_NEVER_ZERO: Final = {
    Quantity.POWER: "0 W: a part that answers draws more, it has no sensor here",
    Quantity.POWER_LIMIT: "0 W: a part that answers draws more, it has no limit here",
}
_NAME_OF_NOTHING: Final = frozenset({"", "n/a", "none", "null"})


def first(readings: Sequence[Reading]) -> Reading | None:
    """Return the first value, else the first reason; ``None`` of nothing."""
    values = (each for each in readings if isinstance(each, Value))
    return next(values, readings[0] if readings else None)


def told(table: tuple[Row, ...], look: Callable[[str], object], gauge: Gauge) -> dict[Quantity, Reading]:
    """Return what a source says for the quantities of a table.

    Args:
        table: where each stands.
        look: returns what stands at one place; ``MISSING`` for nothing.
        gauge: the source and the moment.
    """
    found: dict[Quantity, Reading] = {}
    for row in table:
        for place in row.at:
            said = look(place)
            if said is MISSING:
                continue
            reading = reading_of(gauge, row.quantity, said, row.unit)
            if isinstance(reading, Value):
                found[row.quantity] = reading
                break
            found.setdefault(row.quantity, reading)
    return found


def reading_of(gauge: Gauge, quantity: Quantity, node: object, unit: str = "") -> Reading:
    """Return what one field says: a number, a text, ``{"value": …, "unit": …}``, or an array of those.

    A reason in place of a text is returned as it is, with this source.
    """
    if isinstance(node, str):
        return _of_text(gauge, quantity, node, unit)
    if isinstance(node, Absent):
        return replace(node, source=gauge.source)
    if isinstance(node, list):
        return _of_array(gauge, quantity, node, unit)
    value, written = leaf(node)
    if value is None:
        return gauge.absent(Reason.UNSUPPORTED, "it says null")
    if not isinstance(value, bool) and isinstance(value, int | float) and _is_mark(quantity, value):
        return gauge.absent(Reason.UNSUPPORTED, f"{value:.0f} is the driver's mark for no value")
    return _of_text(gauge, quantity, value, written or unit)


def _of_text(gauge: Gauge, quantity: Quantity, value: object, unit: str) -> Reading:
    if MEANINGS[quantity].unit is Unit.TEXT:
        return text_of(gauge, quantity, value)
    return awake(gauge, quantity, measured(gauge, quantity, value, unit, SPELLED))


def leaf(node: object) -> tuple[object, str]:
    """Return the value of a field and its unit; the unit is empty where none is written."""
    if isinstance(node, Mapping) and "value" in node:
        unit = node.get("unit")
        return node["value"], unit if isinstance(unit, str) and unit != "N/A" else ""
    return node, ""


def _of_array(gauge: Gauge, quantity: Quantity, nodes: list[Any], unit: str) -> Reading:
    """Return the one value of an array; which of several is meant is not known."""
    readings = [reading_of(gauge, quantity, each, unit) for each in nodes[:256] if not isinstance(each, list)]
    values = [each for each in readings if isinstance(each, Value)]
    if len(values) == 1:
        return values[0]
    if values:
        return gauge.absent(Reason.UNPARSED, f"{len(values)} values where one is expected")
    return readings[0] if readings else gauge.absent(Reason.UNPARSED, "the field is empty")


def _is_mark(quantity: Quantity, number: float) -> bool:
    if (isinstance(number, float) and not number.is_integer()) or MEANINGS[quantity].unit is Unit.TEXT:
        return False
    never_bytes = marks().get(int(number))
    if never_bytes is None:
        return False
    return not (never_bytes and MEANINGS[quantity].unit is Unit.BYTES)


def text_of(gauge: Gauge, quantity: Quantity, value: object) -> Reading:
    """Return a text, or the reason that stands in its place."""
    said = str(value).strip()[:200]
    nothing = said_nothing(said, gauge.source)
    if nothing is not None:
        return nothing
    if quantity is Quantity.DRIVER and not any(sign.isdigit() for sign in said):
        return gauge.absent(Reason.UNPARSED, f"no version: {said[:80]!r}")
    return gauge(quantity, said.removeprefix("AMDSMI_DEV_PERF_LEVEL_").lower() if
                 quantity is Quantity.PERFORMANCE_STATE else said)  # fmt: skip


def awake(gauge: Gauge, quantity: Quantity, reading: Reading) -> Reading:
    """Return a reading; 0 W is none: a part that answers draws more and may draw more."""
    if quantity not in _NEVER_ZERO or not isinstance(reading, Value) or reading.value:
        return reading
    return gauge.absent(Reason.UNSUPPORTED, _NEVER_ZERO[quantity])


def generation(gauge: Gauge, quantity: Quantity, node: object) -> Reading:
    """Return the generation of a PCIe link by its rate, which may be a field with a unit, derived."""
    return generation_of(gauge, quantity, str(leaf(node)[0]))


def ratio(gauge: Gauge, quantity: Quantity, part: Reading | None, whole: Reading | None) -> Reading | None:
    """Return a share, derived of two numbers; ``None`` where either is not told or the whole is nothing."""
    if not isinstance(part, Value) or not isinstance(whole, Value):
        return None
    one, all_of_it = part.value, whole.value
    if not isinstance(one, int | float) or not isinstance(all_of_it, int | float) or all_of_it <= 0:
        return None
    share = checked(gauge, quantity, one / all_of_it)
    return replace(share, basis=Basis.DERIVED) if isinstance(share, Value) else share


def number(gauge: Gauge, node: object) -> Reading:
    """Return a plain number, such as revolutions or levels of a fan, as a count."""
    value, _ = leaf(node)
    return measured(gauge, Quantity.PCIE_WIDTH, value)


def named(*texts: object) -> str:
    """Return the first that is a name."""
    for text in texts:
        if isinstance(text, str) and text.strip().lower() not in _NAME_OF_NOTHING:
            return text.strip()[:200]
    return ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which device it is, as far as a source tells.

    Attributes:
        fallback: what tells it apart where neither address nor UUID does.
        index: number that AMD's tools give it.
        address: PCI address as the source writes it.
        name: as the source calls it.
        uuid: its UUID or unique number.
        device: PCI device, ``0x1586``.
        unified: it uses the host's memory, where the source knows; else found by device and memory.
    """

    fallback: str
    index: int | None = None
    address: str = ""
    name: str = ""
    uuid: str = ""
    device: str = ""
    unified: bool | None = None


def device_of(
    readings: Readings, who: Identity, processes: tuple[ProcessSnapshot, ...] | Absent = NOT_TOLD
) -> DeviceSnapshot:
    """Return a device with what its identity and its memory say about it."""
    own = bytes_of(readings.get(Quantity.MEMORY_TOTAL))
    shares = who.unified if who.unified is not None else shares_memory(who.device, own)
    mapped = bytes_of(readings.get(Quantity.SHARED_MEMORY_TOTAL))
    notes = (CARVED_NOTE,) if shares and own is not None and mapped else ()
    if own and own == mapped and not shares:
        notes = (EQUAL_NOTE,)
    return DeviceSnapshot(
        key=pci_key(who.address) or who.uuid or f"{VENDOR}-{who.fallback}", name=who.name, vendor=VENDOR,
        kind="apu" if shares else "gpu", index=who.index, uuid=who.uuid, unified=shares, readings=readings,
        processes=processes, notes=notes,
    )  # fmt: skip
