"""What is kept free of a device, and how much could be."""

from typing import Any, Final

from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import Plan
from hwledger.units import format_bytes

STEPS: Final = 4096
"""Parts of a device's memory that the answer is exact to."""


def most_kept_free(plan: Plan, place: int) -> int:
    """Return the bytes of a device that can be kept free beside what a plan needs there; negative: none.

    An engine that takes a share of what is free says how much that is of less of it.
    """
    device, needed = plan.request.devices[place], plan.devices[place].total_bytes
    whole = device.usable_bytes + device.reserved_bytes
    lets: Any = getattr(engine_profile(plan.engine), "usable_bytes", None)
    if lets is None:
        return whole - needed
    import numpy as np  # noqa: PLC0415 - only where a reserve leaves too little

    free = np.linspace(0, whole, STEPS + 1).astype(np.int64)[:, None]
    taken = lets(plan.request, free, np.full_like(free, device.context_bytes))[:, 0]
    enough = np.flatnonzero(taken >= needed)
    return int(whole - free[enough[0], 0]) if len(enough) else int(taken[-1]) - needed


def reserve_words(plan: Plan, place: int) -> str:
    """Return what the reserve is to a place that does not hold its part of a plan; empty: none is kept."""
    devices = plan.request.devices
    if place >= len(devices) or not devices[place].reserved_bytes:
        return ""
    device = devices[place]
    most = most_kept_free(plan, place)
    whole = format_bytes(device.usable_bytes + device.reserved_bytes)
    nothing = "" if device.usable_bytes else f"the reserve leaves nothing of the {whole} of {device.name}; "
    if most < 0:
        return f"{nothing}without a reserve {format_bytes(-most)} would be missing"
    return f"{nothing}at most {format_bytes(most)} can be kept free"


def fullest_place(plan: Plan) -> int:
    """Return the place that keeps least free."""
    rooms = [d.usable_bytes - d.total_bytes for d in plan.devices if d.usable_bytes is not None]
    return min(range(len(rooms)), key=rooms.__getitem__) if rooms else 0
