"""How close the closed forms come to measured contexts: one row per regime."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from hwledger.planner.engines.llama_cpp.compute.builds import styles_of
from hwledger.planner.engines.llama_cpp.compute.estimate import (
    ComputeBuffers,
    ComputeEstimate,
    estimate_compute,
)
from hwledger.planner.engines.llama_cpp.compute.intervals import kind_of
from hwledger.planner.engines.llama_cpp.compute.placement import Placement
from hwledger.planner.engines.llama_cpp.compute.shape import GraphShape

EXACT: Final = 1e-4
"""Relative error below which a figure counts as exact (a context of 32 MiB: 3 kB of small inputs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredContext:
    """A context whose compute buffers an engine reported.

    Attributes:
        model: name, to tell cases of one model from those of others.
        shape: the graph.
        build: build number of llama.cpp.
        placement: where it ran.
        device_bytes: one figure per device, in order; empty where only the host's is known.
        host_bytes: the host's buffer; ``None`` where unknown.
    """

    model: str
    shape: GraphShape
    build: int
    placement: Placement
    device_bytes: tuple[int, ...] = ()
    host_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyRow:
    """Agreement within one regime.

    Attributes:
        regime: style, place, flash attention, outputs and kind of graph, in words.
        count: figures compared.
        exact: those within 0.01 %.
        median, worst: absolute relative errors.
        inside: share within the stated interval.
        width: mean width of the interval over the figure.
    """

    regime: str
    count: int
    exact: int
    median: float
    worst: float
    inside: float
    width: float


Pair = tuple[ComputeEstimate, int]


def accuracy_rows(cases: Iterable[MeasuredContext]) -> tuple[AccuracyRow, ...]:
    """Return one row per regime, sorted by name; hosts beside a device have rows of their own."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for case in cases:
        buffers = estimate_compute(case.shape, case.placement, case.build)
        name = regime_name(case)
        pairs[name].extend(zip(buffers.devices, case.device_bytes, strict=False))
        pairs[host_name(case, name)].extend(host_pairs(case, buffers))
    return tuple(row_of(name, found) for name, found in sorted(pairs.items()) if found)


def host_pairs(case: MeasuredContext, buffers: ComputeBuffers) -> list[Pair]:
    """Return the host's figure beside the measured one, where there is one."""
    return [] if case.host_bytes is None else [(buffers.host, case.host_bytes)]


def regime_name(case: MeasuredContext) -> str:
    """Return the words for a case's regime."""
    shape, placement = case.shape, case.placement
    style = styles_of(case.build)[0].value
    place = "CPU" if not placement.devices else "1 device" if placement.devices == 1 else "several devices"
    attention = "flash attention" if shape.flash_attention else "no flash attention"
    outputs = "all outputs" if shape.n_outputs == shape.n_tokens else "few outputs"
    return f"{style}, {place}, {attention}, {outputs}, {kind_of(shape).value}"


def host_name(case: MeasuredContext, name: str) -> str:
    """Return the name of the row that a host figure belongs to."""
    return name if not case.placement.devices else f"{styles_of(case.build)[0].value}, host beside devices"


def row_of(name: str, pairs: list[Pair]) -> AccuracyRow:
    """Return the row over these figures."""
    errors = [abs(one.size_bytes / measured - 1) for one, measured in pairs]
    widths = [(one.high_bytes - one.low_bytes) / max(1, one.size_bytes) for one, _ in pairs]
    return AccuracyRow(
        regime=name,
        count=len(pairs),
        exact=sum(error <= EXACT for error in errors),
        median=median(errors),
        worst=max(errors),
        inside=fmean(one.low_bytes <= measured <= one.high_bytes for one, measured in pairs),
        width=fmean(widths),
    )
