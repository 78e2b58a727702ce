"""Kinds of cases that are about equally hard to predict: regimes, which are reported, and their groups.

A group is a kind of hardware in a situation; each has its own interval.
"""

from typing import Final

from hwledger.planner.throughput.silicon import Silicon
from hwledger.planner.throughput.work import Work

VENDORS: Final = ("NVIDIA", "Apple", "AMD")
DEEP: Final = 8192
"""From this depth on attention counts, and few devices were measured there."""
HARDWARE: Final = ("HBM", *VENDORS, "others")
DENSE: Final = "dense"
SITUATIONS: Final = ("run by ollama or others", "several devices", "long context", "MoE", DENSE)


def hardware_of(silicon: Silicon) -> str:
    """Return the kind of hardware: stacked memory, else the vendor."""
    if silicon.memory == "HBM":
        return "HBM"
    return silicon.vendor if silicon.vendor in VENDORS else "others"


def situation_of(work: Work, *, devices: int = 1, depth: float = 0.0, wrapped: bool = False) -> str:
    """Return what makes a case hard, the hardest first.

    Args:
        work: the model.
        devices: how many share the layers.
        depth: tokens in the cache beforehand.
        wrapped: run by a program around the engine.
    """
    facts = (wrapped, devices > 1, depth >= DEEP, bool(work.experts), True)
    return next(name for name, fact in zip(SITUATIONS, facts, strict=True) if fact)


def regime_of(quantity: str, hardware: str, situation: str) -> str:
    """Return the regime of a figure: ``decode`` or ``prefill``, and what is said of it in tables."""
    return f"{quantity}, {situation}, {hardware}" if situation == DENSE else f"{quantity}, {situation}"


def group_of(quantity: str, hardware: str, situation: str) -> str:
    """Return the name of a group, which intervals go by."""
    return f"{quantity}, {situation}, {hardware}"
