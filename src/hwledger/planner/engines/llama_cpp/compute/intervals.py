"""How far the closed forms may be off: a table of ratios, per kind of graph.

The table (``data/compute_intervals.csv``) holds the range of measured over computed bytes, widened by a
margin per kind so that a model that was left out of the fit still falls inside.
"""

import csv
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from hwledger.planner.engines.llama_cpp.compute.rules import Place, Style
from hwledger.planner.engines.llama_cpp.compute.shape import GraphShape, StateKind
from hwledger.shipped import shipped_text


class GraphKind(StrEnum):
    """Kinds of graphs that differ in how well a closed form describes them."""

    DENSE = "dense"
    EXPERTS = "experts"
    LATENT = "latent"
    HYBRID = "hybrid"
    RECURRENT = "recurrent"
    PER_LAYER_INPUT = "per_layer_input"


@dataclass(frozen=True, slots=True)
class Regime:
    """What an interval belongs to.

    Attributes:
        style: graph style, from the build.
        place: device or CPU.
        flash_attention: with or without.
        outputs: ``all`` tokens' logits are computed, or ``few``.
        kind: kind of graph.
    """

    style: Style
    place: Place
    flash_attention: bool
    outputs: str
    kind: GraphKind


@dataclass(frozen=True, slots=True)
class Range:
    """Measured over computed bytes, smallest and largest, and where that was seen."""

    low: float
    high: float
    source: str


def kind_of(shape: GraphShape) -> GraphKind:
    """Return the kind of a graph, from its structure."""
    if any(layer.attention and layer.attention.latent_query for layer in shape.layers):
        return GraphKind.LATENT
    if shape.per_layer_input:
        return GraphKind.PER_LAYER_INPUT
    if any(layer.state for layer in shape.layers):
        mixed = any(layer.attention for layer in shape.layers)
        return GraphKind.HYBRID if mixed else GraphKind.RECURRENT
    experts = any(block.experts_used for layer in shape.layers for block in layer.feed_forward)
    return GraphKind.EXPERTS if experts else GraphKind.DENSE


def regime_of(shape: GraphShape, style: Style, place: Place) -> Regime:
    """Return the regime of one graph."""
    outputs = "all" if shape.n_outputs == shape.n_tokens else "few"
    return Regime(style, place, shape.flash_attention, outputs, kind_of(shape))


def range_of(regime: Regime) -> Range:
    """Return the range of a regime; every regime has one in the table.

    The oldest builds share the rows of the early ones.
    """
    style = Style.EARLY if regime.style is Style.OLDEST else regime.style
    return ranges()[replace(regime, style=style)]


def measured_structure(shape: GraphShape) -> bool:
    """Return whether models built like this were among those measured.

    Not so: parallel blocks, blocks without a norm in front, ungated blocks in attention layers, and
    recurrent mixers without a closed form of their own.
    """
    return not any(
        layer.parallel
        or layer.post_norm
        or (layer.attention is not None and not all(block.gated for block in layer.feed_forward))
        or (layer.state is not None and layer.state.kind is StateKind.OTHER)
        for layer in shape.layers
    )


@cache
def ranges() -> dict[Regime, Range]:
    """Return the whole table."""
    text = shipped_text("hwledger.planner.engines.llama_cpp", "data/compute_intervals.csv")
    return {read_regime(row): read_range(row) for row in csv.DictReader(text.splitlines())}


def read_regime(row: dict[str, str]) -> Regime:
    """Return the regime that a row of the table is about."""
    return Regime(
        Style(row["style"]),
        Place(row["place"]),
        row["flash_attention"] == "on",
        row["outputs"],
        GraphKind(row["kind"]),
    )


def read_range(row: dict[str, str]) -> Range:
    """Return the range that a row of the table states."""
    return Range(float(row["low"]), float(row["high"]), row["source"])
