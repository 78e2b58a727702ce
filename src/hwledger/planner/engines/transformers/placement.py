"""Sharing layers out over devices, as ``device_map="auto"`` does."""

from collections.abc import Sequence
from itertools import accumulate

from hwledger.device.spec import DeviceSpec


def places(weights: Sequence[int], devices: Sequence[DeviceSpec]) -> tuple[int, ...]:
    """Return the device of each layer: contiguous runs, in proportion to the devices' usable memory.

    accelerate balances layers over devices of one size and fills unequal ones by their memory
    (accelerate ``utils/modeling.py`` ``get_balanced_memory``); whole layers only.
    """
    if len(devices) <= 1:
        return (0,) * len(weights)
    usable = [device.usable_bytes for device in devices]
    total = max(1, sum(weights))
    ends = [bound * total / sum(usable) for bound in accumulate(usable)]
    middles = [end - size / 2 for end, size in zip(accumulate(weights), weights, strict=True)]
    return tuple(
        next((i for i, end in enumerate(ends) if middle <= end), len(ends) - 1) for middle in middles
    )
