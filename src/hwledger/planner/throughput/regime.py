"""Regimes: kinds of cases that are about equally hard to predict; each has its own interval."""

from typing import Final

from hwledger.planner.throughput.silicon import Silicon
from hwledger.planner.throughput.work import Work

VENDORS: Final = ("NVIDIA", "Apple", "AMD")
DEEP: Final = 8192
"""From this depth on attention counts, and few devices were measured there."""


def regime_of(quantity: str, silicon: Silicon, work: Work, *, devices: int = 1, depth: float = 0.0) -> str:
    """Return the regime of a figure.

    Args:
        quantity: ``decode`` or ``prefill``.
        silicon: the device.
        work: the model.
        devices: how many share the layers.
        depth: tokens in the cache beforehand.
    """
    if devices > 1:
        return f"{quantity}, several devices"
    if depth >= DEEP:
        return f"{quantity}, long context"
    if work.experts:
        return f"{quantity}, MoE"
    if silicon.memory == "HBM":
        return f"{quantity}, dense, HBM"
    return f"{quantity}, dense, {silicon.vendor if silicon.vendor in VENDORS else 'others'}"
