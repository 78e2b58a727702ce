"""The physical model: the time of a step is a sum of terms, each a size times fitted multipliers.

A term is a time at the device's peak (bytes over bandwidth, operations over rate) or a count (layers, in
microseconds), times exp of the sum of its effects: constants per backend, vendor, family, number type …
that ``tools/fit_throughput.py`` fits to measurements. An effect that was never fitted is 0: a family that
was never measured is like its kind's average.
"""

from dataclasses import dataclass
from typing import Final

from hwledger.planner.throughput.setting import Setting
from hwledger.planner.throughput.silicon import Silicon

MICROSECOND: Final = 1e-6
MATRICES_PER_LAYER: Final = 7.0
"""Matrices of a plain decoder layer: q, k, v, o, gate, up, down; the unit in which launches are counted."""
USUAL_WIDTH: Final = 128.0
"""Width of a head that attention kernels are made for."""

Effects = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the time of a step.

    Attributes:
        name: ``weights``, ``experts``, ``cache``, ``layers``, ``matrices`` …
        seconds: at the device's peak, or one microsecond per count.
        effects: names of the constants that scale it, each with its weight.
    """

    name: str
    seconds: float
    effects: Effects


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of a model that one device runs.

    Attributes:
        layers: share of the layers, routed experts left out.
        experts: share of the routed experts.
        cache: share of KV cache and state.
        head: 1 where the device has the output matrix, else 0.
    """

    layers: float = 1.0
    experts: float = 1.0
    cache: float = 1.0
    head: float = 1.0

    def __add__(self, other: "Share") -> "Share":
        return Share(
            layers=self.layers + other.layers, experts=self.experts + other.experts,
            cache=self.cache + other.cache, head=self.head + other.head,
        )  # fmt: skip


WHOLE: Final = Share()
NOTHING: Final = Share(layers=0.0, experts=0.0, cache=0.0, head=0.0)


def on(silicon: Silicon, setting: Setting) -> str:
    """Return the vendor and the backend, which many constants go by."""
    return f"{silicon.vendor} {setting.backend}"


def effects_of(letter: str, silicon: Silicon, setting: Setting) -> Effects:
    """Return a constant, its deviation by vendor and backend, and by family."""
    return (
        (letter, 1.0),
        (f"{letter}.on:{on(silicon, setting)}", 1.0),
        (f"{letter}.family:{silicon.family}", 1.0),
    )


def present(*effects: tuple[str, float]) -> Effects:
    """Return the effects whose weight is not 0."""
    return tuple(one for one in effects if one[1])


def is_hbm(silicon: Silicon) -> float:
    """Return 1 for stacked memory, which one stream does not fill, else 0."""
    return 1.0 if silicon.memory == "HBM" else 0.0
