"""LFM2 and LFM2-MoE: gated short convolutions between a few attention layers."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.families.state_blocks import FULL, add_convolution, attention_of, kinds_of
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts
from hwledger.model.mixers import ShortConvolution
from hwledger.model.tensors import Part, Split
from hwledger.units import round_up

_CONV = "conv"


def read(config: Config) -> Draft:
    """Read an LFM2, dense or with experts after the first dense layers.

    Source: transformers 5.23.0 ``models/lfm2/modeling_lfm2.py`` and ``models/lfm2_moe/``.

    Raises:
        MalformedError: ``layer_types`` names an unknown kind or has another length than the model.
    """
    draft = Draft(config)
    tied = config.flag("tie_embedding", "tie_word_embeddings", default=True)
    draft.embed(tied=tied)
    kinds = _kinds(config)
    dense = DenseMLP(width=_width(config))
    experts = None
    if config.model_type == "lfm2_moe":
        experts = read_experts(config, width_key="moe_intermediate_size", shared_key="none")
    leading = config.integer("num_dense_layers", default=2) if experts else len(kinds)
    for index, kind in enumerate(kinds):
        channel: ChannelMixer = experts if experts and index >= leading else dense
        with draft.scope(f"model.layers.{index}.", index):
            _layer(draft, kind, channel)
    draft.norm("model.embedding_norm", draft.hidden)
    return draft


def _kinds(config: Config) -> list[str]:
    count = config.layer_count()
    kinds = kinds_of(config, "layer_types", (FULL, _CONV))
    if kinds is None:
        chosen = config.sequence("full_attn_idxs")
        return [FULL if chosen is None or index in chosen else _CONV for index in range(count)]
    if len(kinds) != count:
        raise config.unusable("layer_types", f"{len(kinds)} entries", f"{count} entries, one per layer")
    return kinds


def _width(config: Config) -> int:
    """Two thirds of the stated width, times a factor, rounded up, where the file says to adjust it."""
    width = config.integer("block_ff_dim", "intermediate_size", least=1)
    if config.model_type == "lfm2_moe" or not config.flag("block_auto_adjust_ff_dim", default=True):
        return width
    factor = config.number("block_ffn_dim_multiplier", default=1.0)
    adjusted = int(factor * int(2 * width / 3))
    if adjusted < 1:
        raise config.unusable("block_ffn_dim_multiplier", factor, "above 0")
    return round_up(adjusted, config.integer("block_multiple_of", default=256, least=1))


def _layer(draft: Draft, kind: str, channel: ChannelMixer) -> None:
    config, hidden = draft.config, draft.hidden
    if kind == FULL:
        attention = attention_of(config)
        rows = attention.query_heads * attention.key_width
        keys = attention.kv_heads * attention.key_width
        with draft.scope("self_attn."):
            draft.linear("q_proj", rows, hidden, Part.ATTENTION)
            draft.linear("k_proj", keys, hidden, Part.ATTENTION, split=Split.KV_HEADS)
            draft.linear("v_proj", keys, hidden, Part.ATTENTION, split=Split.KV_HEADS)
            draft.linear("out_proj", hidden, rows, Part.ATTENTION)
            draft.norm("q_layernorm", attention.key_width)
            draft.norm("k_layernorm", attention.key_width)
        add_rope(draft, attention.key_width, kind)
        draft.layer(kind, attention, channel=channel)
    else:
        bias, kernel = config.flag("conv_bias"), config.integer("conv_L_cache", default=3, least=1)
        with draft.scope("conv."):
            add_convolution(draft, "conv", hidden, kernel, bias=bias)
            draft.linear("in_proj", 3 * hidden, hidden, Part.STATE, bias=bias)
            draft.linear("out_proj", hidden, hidden, Part.STATE, bias=bias)
        draft.layer(kind, ShortConvolution(channels=hidden, conv_kernel=kernel), channel=channel)
    with draft.scope("feed_forward."):
        _channel(draft, channel)
    draft.norm("operator_norm", hidden)
    draft.norm("ffn_norm", hidden)


def _channel(draft: Draft, channel: ChannelMixer) -> None:
    hidden, part, name, copies = draft.hidden, Part.MLP, "", 1
    if isinstance(channel, MixtureOfExperts):
        draft.linear("gate", channel.experts, hidden, Part.ROUTER, split=Split.REPLICATED)
        part, name, copies, width = Part.EXPERTS, "experts.*.", channel.experts, channel.expert_width
    else:
        width = channel.width
    draft.linear(f"{name}w1", width, hidden, part, copies=copies)
    draft.linear(f"{name}w3", width, hidden, part, copies=copies)
    draft.linear(f"{name}w2", hidden, width, part, copies=copies)
