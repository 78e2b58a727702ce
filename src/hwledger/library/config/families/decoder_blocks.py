"""The blocks of the common decoder: attention, channel mixer and norms, as traits and names say."""

from collections.abc import Mapping

from hwledger.library.config.draft import Draft
from hwledger.library.config.traits import Names, Traits, holds
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts
from hwledger.model.mixers import KeyValueMixer
from hwledger.model.tensors import Part, Split


def attention(draft: Draft, traits: Traits, names: Names, mixer: KeyValueMixer, *, sliding: bool) -> None:
    """Add the projections of one attention layer with its norms, sinks and gate."""
    config = draft.config
    queries = mixer.query_heads * mixer.key_width
    keys, values = mixer.kv_heads * mixer.key_width, mixer.kv_heads * mixer.value_width
    inner = mixer.query_heads * mixer.value_width
    bias = holds(traits.qkv_bias, config)
    with draft.scope(f"{names.attention}."):
        if names.qkv:
            draft.linear(names.qkv, queries + keys + values, draft.hidden, Part.ATTENTION, bias=bias)
        else:
            draft.linear(names.query, queries, draft.hidden, Part.ATTENTION, bias=bias)
            for name, rows in ((names.key, keys), (names.value, values)):
                draft.linear(name, rows, draft.hidden, Part.ATTENTION, bias=bias, split=Split.KV_HEADS)
        draft.linear(names.out, draft.hidden, inner, Part.ATTENTION, bias=holds(traits.out_bias, config))
        _query_key_norms(draft, traits, names, mixer)
        if traits.sinks == "yes" or (traits.sinks == "sliding" and sliding):
            draft.add("sinks", (mixer.query_heads,), Part.ATTENTION, split=Split.SHARDED)
        if traits.output_gate != "none":
            rows = inner if traits.output_gate == "full" else mixer.query_heads
            draft.linear("g_proj", rows, draft.hidden, Part.ATTENTION)
        widths = {
            "hidden": draft.hidden,
            "heads": mixer.query_heads,
            "head": mixer.key_width,
            "attention": inner,
        }
        extras(draft, traits.extra_attention, widths, Part.ATTENTION)


def channel(draft: Draft, traits: Traits, names: Names, mixer: ChannelMixer | None) -> None:
    """Add the MLP or the experts of one layer."""
    if isinstance(mixer, MixtureOfExperts):
        _experts(draft, traits, mixer)
    elif mixer is not None:
        bias = holds(traits.mlp_bias, draft.config)
        with draft.scope(names.mlp):
            _dense(draft, names, mixer, Part.MLP, bias=bias)
            extras(draft, traits.extra_mlp, {"inner": mixer.width, "hidden": draft.hidden}, Part.MLP)


def norms(draft: Draft, traits: Traits) -> None:
    """Add the norms of one layer, none where the family's norms have no parameters."""
    if traits.norm == "none":
        return
    for name in traits.norms.split("+"):
        stem, _, condition = name.partition("?")
        if holds(condition or "yes", draft.config):
            draft.norm(stem, draft.hidden, bias=traits.norm == "bias")


def extras(draft: Draft, text: str, widths: Mapping[str, int], part: Part) -> None:
    """Add the parameters that a family has beside the common ones, ``name:width`` joined by ``+``."""
    for item in filter(None, text.split("+")):
        name, _, width = item.partition(":")
        size = widths[width] if width in widths else int(width)
        draft.add(name, (size,), part)


def _query_key_norms(draft: Draft, traits: Traits, names: Names, mixer: KeyValueMixer) -> None:
    if traits.qk_norm == "none" or not holds(traits.qk_norm_if, draft.config):
        return
    for name, heads in ((names.query_norm, mixer.query_heads), (names.key_norm, mixer.kv_heads)):
        width = mixer.key_width * (heads if traits.qk_norm == "full" else 1)
        draft.norm(name, width, bias=holds(traits.qk_norm_bias, draft.config))


def _dense(draft: Draft, names: Names, mlp: DenseMLP, part: Part, *, bias: bool = False) -> None:
    if mlp.gated and names.gate_up:
        draft.linear(names.gate_up, 2 * mlp.width, draft.hidden, part, bias=bias)
    else:
        for name in (names.gate, names.up) if mlp.gated else (names.up,):
            draft.linear(name, mlp.width, draft.hidden, part, bias=bias)
    draft.linear(names.down, draft.hidden, mlp.width, part, bias=bias)


def _experts(draft: Draft, traits: Traits, moe: MixtureOfExperts) -> None:
    """Add router, experts (as copies of one) and shared experts under the family's block name."""
    config = draft.config
    with draft.scope(f"{traits.moe}."):
        router_bias = holds(traits.router_bias, config)
        draft.linear(
            traits.router, moe.experts, draft.hidden, Part.ROUTER, bias=router_bias, split=Split.REPLICATED
        )
        correction, _, condition = traits.correction.partition("?")
        if correction and holds(condition or "yes", config):
            draft.add(correction, (moe.experts,), Part.ROUTER)
        with draft.scope("experts.*."):
            _expert(draft, moe, bias=holds(traits.expert_bias, config))
        if moe.shared_width:
            with draft.scope(f"{traits.shared}."):
                shared = DenseMLP(width=moe.shared_width, gated=moe.gated)
                _dense(draft, Names(), shared, Part.SHARED_EXPERTS, bias=holds(traits.mlp_bias, config))
            if holds(traits.shared_gate, config):
                draft.linear(
                    "shared_expert_gate", 1, draft.hidden, Part.SHARED_EXPERTS, split=Split.REPLICATED
                )


def _expert(draft: Draft, moe: MixtureOfExperts, *, bias: bool) -> None:
    width, hidden = moe.expert_width, draft.hidden
    for name in ("gate_proj", "up_proj") if moe.gated else ("up_proj",):
        draft.linear(name, width, hidden, Part.EXPERTS, bias=bias, copies=moe.experts)
    draft.linear("down_proj", hidden, width, Part.EXPERTS, bias=bias, copies=moe.experts)
