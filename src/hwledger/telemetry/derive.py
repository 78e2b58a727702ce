"""What follows from the readings of one device, marked as derived."""

from collections.abc import Mapping
from dataclasses import replace

from hwledger.telemetry.quantity import MEANINGS, Quantity
from hwledger.telemetry.reading import Basis, Reading, Value, bytes_of
from hwledger.telemetry.snapshot import DeviceSnapshot


def completed(device: DeviceSnapshot) -> DeviceSnapshot:
    """Return a device with the memory figures that follow from its others.

    ``total = used + reserved + free`` holds within 2 MiB on NVIDIA's recorded parts; other drivers reserve
    nothing that they tell of. What a source says itself is never replaced. Usable is the total without what
    is reserved; of a device that shares the host's memory it is the larger of its carve-out and what it may
    map, never their sum: the driver allocates from one of the two (kernel 6.10, amdgpu:
    ``apu_prefer_gtt``), and they overlap (ROCm/legacy-rocm-build#6004: 8 and 124 GiB of 128). Of one that
    has no carve-out of its own (Apple) nothing follows: others use the rest.
    """
    if device.unified and Quantity.SHARED_MEMORY_TOTAL not in device.readings:
        return device
    found = dict(device.readings)
    total, used = found.get(Quantity.MEMORY_TOTAL), found.get(Quantity.MEMORY_USED)
    free, kept = found.get(Quantity.MEMORY_FREE), found.get(Quantity.MEMORY_RESERVED)
    reserved = bytes_of(kept) or 0
    _fill(found, Quantity.MEMORY_FREE, total, used, reserved)
    _fill(found, Quantity.MEMORY_USED, total, free, reserved)
    mapped = found.get(Quantity.SHARED_MEMORY_TOTAL) if device.unified else None
    largest = mapped if (bytes_of(mapped) or 0) > (bytes_of(total) or 0) else total
    _fill(found, Quantity.MEMORY_USABLE, largest, None, 0 if largest is mapped else reserved)
    return replace(device, readings=found) if len(found) != len(device.readings) else device


def _fill(
    found: dict[Quantity, Reading],
    wanted: Quantity,
    total: Reading | None,
    other: Reading | None,
    reserved: int,
) -> None:
    """Enter ``total - other - reserved`` where nothing is there and all are known."""
    if wanted in found or not isinstance(total, Value):
        return
    whole = bytes_of(total)
    part = bytes_of(other) if other is not None else (0 if wanted is Quantity.MEMORY_USABLE else None)
    if whole is None or part is None or whole < part + reserved:
        return
    at = other.at if isinstance(other, Value) else total.at  # a total may have been read long before
    found[wanted] = Value(whole - part - reserved, MEANINGS[wanted].unit, total.source, at, Basis.DERIVED)


def first_told(*told: Mapping[Quantity, Reading]) -> dict[Quantity, Reading]:
    """Return for each quantity the first value, else the first reason, of several sources in their order."""
    found: dict[Quantity, Reading] = {}
    for readings in told:
        for quantity, reading in readings.items():
            known = found.get(quantity)
            if known is None or (isinstance(reading, Value) and not isinstance(known, Value)):
                found[quantity] = reading
    return found
