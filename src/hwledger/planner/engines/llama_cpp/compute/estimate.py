"""The compute buffers of one context: best figure and 80 % interval, per device and on the host."""

from dataclasses import dataclass
from typing import Final

from hwledger.planner.engines.llama_cpp.compute.builds import styles_of
from hwledger.planner.engines.llama_cpp.compute.intervals import (
    GraphKind,
    Range,
    kind_of,
    measured_structure,
    range_of,
    regime_of,
)
from hwledger.planner.engines.llama_cpp.compute.placement import (
    Offload,
    Placement,
    device_bytes,
    host_bytes,
)
from hwledger.planner.engines.llama_cpp.compute.rules import Place, Style
from hwledger.planner.engines.llama_cpp.compute.shape import GraphShape
from hwledger.planner.memory import Basis

HOST_RANGES: Final = {
    Style.OLDEST: Range(0.95, 1.05, "public logs of llama.cpp from 2024 and 2025"),
    Style.EARLY: Range(0.90, 1.05, "public logs of llama.cpp before b9500"),
    Style.CLASSIC: Range(0.995, 1.005, "llama.cpp b11063, libllama's own planner"),
    Style.MIXED: Range(0.995, 1.005, "llama.cpp b11549, libllama's own planner"),
}
"""Range of the host's buffer beside a GPU: it holds the graph's inputs alone."""

UNMEASURED: Final = (0.92, 1.10)
"""Factors on the interval of a structure that was not among those measured: two hidden vectors or so."""

UNLIKE: Final = "built unlike the measured models, so widened"
"""What the source of such a figure says."""

SPREAD: Final = {GraphKind.DENSE: (0.98, 1.05), GraphKind.EXPERTS: (0.95, 1.10)}
"""Factors on the interval where the graph is split over devices or weights are copied."""

WIDE: Final = (0.90, 1.50)
"""The same for kinds of graphs whose split was seen on few models."""


@dataclass(frozen=True, slots=True)
class ComputeEstimate:
    """One compute buffer.

    Attributes:
        size_bytes: best figure.
        low_bytes, high_bytes: 80 % interval.
        basis: always calibrated: closed form with a measured interval.
        source: engine builds that the interval was measured on.
    """

    size_bytes: int
    low_bytes: int
    high_bytes: int
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class ComputeBuffers:
    """The buffers of one context.

    Attributes:
        devices: one per device, in order; empty on the CPU.
        host: the host's buffer; on the CPU the whole graph.
    """

    devices: tuple[ComputeEstimate, ...]
    host: ComputeEstimate


def estimate_compute(
    shape: GraphShape, placement: Placement | None = None, build: int | None = None
) -> ComputeBuffers:
    """Return the compute buffers that llama.cpp reserves for ``shape``.

    Args:
        shape: the worst-case graph.
        placement: where it runs; one device with everything on it unless said otherwise.
        build: build number of llama.cpp; ``None``: the newest that is known.
    """
    spread = placement or Placement()
    styles = styles_of(build)
    answers = [one_style(shape, spread, style) for style in styles]
    return answers[0] if len(answers) == 1 else span(answers)


def one_style(shape: GraphShape, placement: Placement, style: Style) -> ComputeBuffers:
    """Return the buffers of a build whose style is known."""
    graph = range_of(regime_of(shape, style, placement.place))
    if not measured_structure(shape):
        graph = Range(graph.low * UNMEASURED[0], graph.high * UNMEASURED[1], f"{graph.source}; {UNLIKE}")
    split = placement.devices > 1 or placement.offload is not Offload.ALL or placement.copied_bytes > 0
    if split:
        low, high = SPREAD.get(kind_of(shape), WIDE)
        graph = Range(graph.low * low, graph.high * high, graph.source)
    devices = tuple(estimate(size, graph) for size in device_bytes(shape, placement, style))
    host = HOST_RANGES[style] if placement.place is Place.DEVICE else graph
    if split:
        host = Range(host.low * 0.97, host.high * 1.03, host.source)
    return ComputeBuffers(devices, estimate(host_bytes(shape, placement, style), host))


def estimate(size_bytes: float, ratio: Range) -> ComputeEstimate:
    """Return a figure with its interval."""
    return ComputeEstimate(
        size_bytes=round(size_bytes),
        low_bytes=int(size_bytes * ratio.low),
        high_bytes=round(size_bytes * ratio.high + 0.5),
        basis=Basis.CALIBRATED,
        source=ratio.source,
    )


def span(answers: list[ComputeBuffers]) -> ComputeBuffers:
    """Return the first answer with intervals that cover all of them."""
    devices = zip(*(answer.devices for answer in answers), strict=True)
    return ComputeBuffers(tuple(map(cover, devices)), cover(tuple(answer.host for answer in answers)))


def cover(estimates: tuple[ComputeEstimate, ...]) -> ComputeEstimate:
    """Return the first estimate with an interval that covers all."""
    return ComputeEstimate(
        size_bytes=estimates[0].size_bytes,
        low_bytes=min(one.low_bytes for one in estimates),
        high_bytes=max(one.high_bytes for one in estimates),
        basis=estimates[0].basis,
        source="; ".join(dict.fromkeys(one.source for one in estimates)),
    )
