"""What a device answered, as the snapshot of it."""

from collections.abc import Iterable
from typing import Final

from hwledger.telemetry.nvidia.cards import GUEST_NOTE, Card
from hwledger.telemetry.nvidia.facts import SOURCE
from hwledger.telemetry.nvidia.questions import MEMORY, OLD_RESERVED, Question
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason, Value, bytes_of
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot

KERNEL: Final = "sysfs"
THE_HOSTS: Final = Absent(
    Reason.UNSUPPORTED, "the memory is the host's, and the driver tells nothing of it", SOURCE
)
ASLEEP: Final = Absent(Reason.UNSUPPORTED, "the device is suspended, and is not woken to be asked", SOURCE)
OLD_NOTE: Final = "used includes what the driver reserves: drivers before 510 do not tell them apart"
SHARED_NOTE: Final = "its memory is the host's: what the driver calls its total is not what can be allocated"
TOLERANCE_BYTES: Final = 2 << 20
"""``total = reserved + used + free`` held within 2 MiB on eight machines (telemetry anchors, section 4)."""

Processes = tuple[ProcessSnapshot, ...] | Absent


def shown(
    card: Card, found: dict[Quantity, Reading], processes: Processes, notes: Iterable[str] = ()
) -> DeviceSnapshot:
    """Return the snapshot of a device that answered.

    A whole device whose driver knows no memory of it at all has none of its own: the host's memory is what it
    uses (GB10, Jetson), and the host tells of that.
    """
    total = found[Quantity.MEMORY_TOTAL]
    untold = isinstance(total, Absent) and total.reason is Reason.UNSUPPORTED
    shares = card.shared or (untold and not card.virtual and not card.parent)
    unified = True if shares else (False if isinstance(total, Value) else None)
    if shares and untold:
        found.update(dict.fromkeys(MEMORY, THE_HOSTS))
    return _device(card, card.fixed | card.slow | found, processes, unified, (*_notes(card, found), *notes))


def lost_device(card: Card, why: Absent, questions: Iterable[Question]) -> DeviceSnapshot:
    """Return the snapshot of a device that cannot be asked: all that it would be asked has that reason."""
    asked: dict[Quantity, Reading] = {quantity: why for each in questions for quantity in each.tells}
    return _device(card, card.fixed | asked, why, None, ())


def sleeping_device(card: Card, gauge: Gauge, questions: Iterable[Question]) -> DeviceSnapshot:
    """Return the snapshot of a device that is suspended and stays so."""
    device = lost_device(card, ASLEEP, questions)
    state = Gauge(KERNEL, gauge.at)(Quantity.POWER_STATE, "suspended")
    return _device(card, {**device.readings, Quantity.POWER_STATE: state}, ASLEEP, None, ())


def _device(
    card: Card,
    readings: dict[Quantity, Reading],
    processes: Processes,
    unified: bool | None,  # noqa: FBT001 - as the field that it becomes
    notes: tuple[str, ...],
) -> DeviceSnapshot:
    return DeviceSnapshot(
        card.key, card.name, "NVIDIA", "mig" if card.parent else "gpu", card.index, card.uuid, card.parent,
        unified, readings, processes, notes,
    )  # fmt: skip


def _notes(card: Card, found: dict[Quantity, Reading]) -> Iterable[str]:
    total = bytes_of(found[Quantity.MEMORY_TOTAL])
    if card.virtual:
        yield GUEST_NOTE
    if total is None:
        return
    if card.shared:
        yield SHARED_NOTE
    reserved = found[Quantity.MEMORY_RESERVED]
    if reserved is OLD_RESERVED:
        yield OLD_NOTE
    used, free = bytes_of(found[Quantity.MEMORY_USED]), bytes_of(found[Quantity.MEMORY_FREE])
    if used is None or free is None:
        return
    off = total - used - free - (bytes_of(reserved) or 0)
    if abs(off) > TOLERANCE_BYTES:
        yield f"reserved, used and free are {abs(off):,} bytes {'less' if off > 0 else 'more'} than the total"
