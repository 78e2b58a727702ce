"""Traits of a layer's graph that its widths do not tell: from its tensors, else from the architecture."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final
from weakref import finalize

from hwledger.model.layers import LayerSpec
from hwledger.model.spec import ModelSpec
from hwledger.shipped import shipped_text

FUSED_NAMES: Final = tuple(
    f"{name}.weight" for name in ("attn_qkv", "qkv_proj", "query_key_value", "c_attn", "Wqkv")
)
"""Matrices that hold queries, keys and values together, in GGUF and in checkpoints."""

QUERY_NAMES: Final = ("attn_q.weight", "self_attn.q_proj.weight")
"""The query matrix of a layer; twice the queries' width where it carries an output gate."""

FIRST_NORMS: Final = ("attn_norm.weight", "input_layernorm.weight")
"""The norm in front of attention."""

SECOND_NORMS: Final = (
    "ffn_norm.weight", "post_attention_norm.weight", "post_attention_layernorm.weight",
    "pre_feedforward_layernorm.weight", "pre_ff_layernorm.weight",
)  # fmt: skip
"""Norms behind attention; a layer with a first norm alone runs both blocks in parallel."""


@dataclass(frozen=True, slots=True)
class LayerTraits:
    """What the tensors of one layer say.

    Attributes:
        fused: queries, keys and values come from one matrix.
        query_rows: rows of the query matrix; 0 where unknown.
        gated: the architecture gates attention's output, whatever the rows.
        parallel: one norm feeds both attention and the feed-forward block.
        post_norm: there is no norm in front of attention.
    """

    fused: bool = False
    query_rows: int = 0
    gated: bool = False
    parallel: bool = False
    post_norm: bool = False


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """The traits of a model's layers; layers that say nothing share ``default``.

    ``distinct`` holds one layer of each mixer, channel mixer and traits, with its traits.
    """

    layers: Mapping[int, LayerTraits]
    default: LayerTraits
    distinct: tuple[tuple[LayerSpec, LayerTraits], ...] = ()

    def of(self, layer: int) -> LayerTraits:
        """Return the traits of one layer."""
        return self.layers.get(layer, self.default)


_known: dict[int, ModelTraits] = {}


def traits_of(spec: ModelSpec) -> ModelTraits:
    """Return the traits of a model's layers, read once per model."""
    if id(spec) not in _known:  # a spec is not hashable: its metadata is a plain mapping
        traits = read_traits(spec)
        _known[id(spec)] = replace(traits, distinct=_distinct(spec, traits))
        finalize(spec, _known.pop, id(spec), None)
    return _known[id(spec)]


def _distinct(spec: ModelSpec, traits: ModelTraits) -> tuple[tuple[LayerSpec, LayerTraits], ...]:
    found = {
        (layer.mixers, layer.channel, traits.of(layer.index)): (layer, traits.of(layer.index))
        for layer in reversed(spec.layers)
    }
    return tuple(sorted(found.values(), key=lambda pair: pair[0].index))


def read_traits(spec: ModelSpec) -> ModelTraits:
    """Return the traits of a model's layers: by tensor names, by architecture where no tensors are known."""
    if any(tensor.layer is not None for tensor in spec.tensors):
        return ModelTraits(tensor_traits(spec), LayerTraits())
    names = architecture_traits().get(spec.architecture, frozenset())
    default = LayerTraits(
        fused="fused" in names,
        gated="gated" in names,
        parallel="parallel" in names,
        post_norm="post_norm" in names,
    )
    return ModelTraits({}, default)


def tensor_traits(spec: ModelSpec) -> dict[int, LayerTraits]:
    """Return what the names and shapes of each layer's tensors say."""
    fused, first, second = set(), set(), set()
    rows: dict[int, int] = {}
    for tensor in spec.tensors:
        if tensor.layer is None:
            continue
        if tensor.name.endswith(FUSED_NAMES):
            fused.add(tensor.layer)
        elif tensor.name.endswith(QUERY_NAMES):
            rows[tensor.layer] = tensor.shape[0]
        elif tensor.name.endswith(FIRST_NORMS):
            first.add(tensor.layer)
        elif tensor.name.endswith(SECOND_NORMS):
            second.add(tensor.layer)
    return {
        layer: LayerTraits(
            fused=layer in fused,
            query_rows=rows.get(layer, 0),
            parallel=layer in first and layer not in second,
            post_norm=layer in second and layer not in first,
        )
        for layer in fused | first | second | set(rows)
    }


@cache
def architecture_traits() -> dict[str, frozenset[str]]:
    """Return the traits that an architecture's graph code fixes (``data/graph_traits.csv``)."""
    text = shipped_text("hwledger.planner.engines.llama_cpp", "data/graph_traits.csv")
    found: dict[str, frozenset[str]] = {}
    for row in csv.DictReader(text.splitlines()):
        found[row["architecture"]] = found.get(row["architecture"], frozenset()) | {row["trait"]}
    return found
