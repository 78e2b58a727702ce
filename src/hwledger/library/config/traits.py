"""Traits: the few ways in which the common decoders differ, one row per ``model_type`` in traits.csv."""

import csv
import json
from dataclasses import dataclass, fields
from functools import cache

from hwledger.library.config.reader import Config
from hwledger.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets one decoder family apart from Llama; the defaults are Llama's.

    A *condition* is ``yes``, ``no``, a config key that decides (``attention_bias``), or one that
    decides the other way round (``!no_bias``); ``&`` joins several.

    Attributes:
        names: scheme of tensor names in checkpoint_names.json.
        tied: ``yes`` where no checkpoint has an output matrix, whatever the file says.
        norm: parameters of a norm: ``weight``, ``bias`` (weight and bias) or ``none``.
        norm_if: condition for norms to have parameters.
        norms: names of the norms of a layer, joined by ``+``.
        final_norm: condition for the norm after the last layer.
        embed_norm: condition for a norm after the embedding.
        qkv_bias, out_bias, mlp_bias, head_bias: conditions for biases.
        qk_norm: norms of queries and keys: ``none``, ``head`` (one width of a head for all heads),
            ``full`` (all heads) or ``key`` (one per key head).
        qk_norm_if: condition for them.
        qk_norm_bias: condition for their bias.
        sinks: one learned sink per query head: ``no``, ``yes``, or ``sliding`` layers only.
        sliding_kv: factor on the KV heads of sliding layers, where no ``swa_`` key states them.
        output_gate: ``none``, ``head`` (one value per head) or ``full`` (one per element).
        gated: the MLP has a gate matrix.
        width_factor: MLP width in hidden sizes, or the key that states them, where no key states the width.
        width_share: numerator/denominator of the stated MLP width that a matrix has.
        positions: ``rope``, ``none``, or ``learned`` with rows before the first (``learned+2``).
        kv: rule for the KV heads: ``stated`` (else all heads), ``heads``, ``multi_query``, ``falcon``.
        pattern: which layers slide; see ``layer_kinds``.
        experts: condition for reading the expert keys.
        dense: leading dense layers, where no key says how many.
        router: name of the router within the MoE block.
        router_bias, expert_bias: conditions.
        correction: a parameter with one value per expert beside the router, ``name?condition``; empty:
            none, or a buffer that transformers does not count.
        expert_width, shared_width: config keys of these widths; empty: the common ones in ``experts``. The
            shared one may hang on a condition, ``key?condition``; a dense MLP beside the experts (Grok,
            Arctic) is one that all tokens share.
        shared: name of the shared experts, ``none`` where the family has none.
        shared_gate: condition for their gate.
        moe: name of the MoE block.
        mtp: what MTP heads hold beside a layer: ``none`` (unknown), ``plain`` or ``copies``.
        extra_attention, extra_mlp, extra_layer, extra_model: parameters of no other kind, as
            ``name:width`` joined by ``+``; a width is a number, ``heads``, ``head``, ``hidden``,
            ``inner`` (MLP width) or ``attention`` (width of all heads).
    """

    names: str = "llama"
    tied: str = ""
    norm: str = "weight"
    norm_if: str = "yes"
    norms: str = "input_layernorm+post_attention_layernorm"
    final_norm: str = "yes"
    embed_norm: str = "no"
    qkv_bias: str = "attention_bias"
    out_bias: str = "attention_bias"
    mlp_bias: str = "mlp_bias"
    head_bias: str = "no"
    qk_norm: str = "none"
    qk_norm_if: str = "yes"
    qk_norm_bias: str = "no"
    sinks: str = "no"
    sliding_kv: str = "1"
    output_gate: str = "none"
    gated: str = "yes"
    width_factor: str = "4"
    width_share: str = "1/1"
    positions: str = "rope"
    kv: str = "stated"
    pattern: str = "full"
    experts: str = "yes"
    dense: str = "0"
    router: str = "gate"
    router_bias: str = "no"
    expert_bias: str = "no"
    correction: str = ""
    expert_width: str = ""
    shared_width: str = ""
    shared: str = "shared_experts"
    shared_gate: str = "no"
    moe: str = "mlp"
    mtp: str = "none"
    extra_attention: str = ""
    extra_mlp: str = ""
    extra_layer: str = ""
    extra_model: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """Tensor names of one checkpoint layout; ``qkv`` and ``gate_up`` are set where they are fused."""

    embed: str = "model.embed_tokens"
    layer: str = "model.layers."
    attention: str = "self_attn"
    query: str = "q_proj"
    key: str = "k_proj"
    value: str = "v_proj"
    out: str = "o_proj"
    qkv: str = ""
    mlp: str = "mlp."
    gate: str = "gate_proj"
    up: str = "up_proj"
    gate_up: str = ""
    down: str = "down_proj"
    final_norm: str = "model.norm"
    head: str = "lm_head"
    embed_norm: str = "model.embed_norm"
    positions: str = "model.embed_positions"
    query_norm: str = "q_norm"
    key_norm: str = "k_norm"


@cache
def traits_of(model_type: str) -> Traits:
    """Return the traits of ``model_type``; those of Llama where it is not listed.

    An unlisted one gets query and key norms where the widespread key ``use_qk_norm`` asks for them.
    """
    text = shipped_text("hwledger.library.config", "data/traits.csv")
    known = {each.name for each in fields(Traits)}
    for row in csv.DictReader(text.splitlines()):
        if row["model_type"] == model_type:
            stated = dict(item.split("=", 1) for item in row["traits"].split())
            if unknown := set(stated) - known:
                raise ValueError(f"traits.csv: {model_type} has unknown traits {sorted(unknown)}")
            return Traits(names=row["names"], **stated)
    return Traits(qk_norm="head", qk_norm_if="use_qk_norm")


@cache
def has_traits(model_type: str) -> bool:
    """Return whether traits.csv has a row for ``model_type``."""
    text = shipped_text("hwledger.library.config", "data/traits.csv")
    return f"\n{model_type}," in text


@cache
def names_of(scheme: str) -> Names:
    """Return the tensor names of a scheme."""
    text = shipped_text("hwledger.library.config", "data/checkpoint_names.json")
    return Names(**json.loads(text).get(scheme, {}))


def holds(condition: str, config: Config) -> bool:
    """Return whether a condition of the traits is met by a config."""
    if "&" in condition:
        return all(holds(each, config) for each in condition.split("&"))
    if condition in ("yes", "no"):
        return condition == "yes"
    if condition.startswith("!"):
        return not config.flag(condition[1:])
    return config.flag(condition)
