"""Zamba2: Mamba-2 layers, and a few attention blocks that many layers share."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.state_blocks import (
    LINEAR,
    add_mamba2,
    attention_of,
    kinds_of,
    state_type,
)
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention, Mamba2
from hwledger.model.tensors import Part, Split

_HYBRID = "hybrid"
# where the file names none
_DEFAULT = [
    LINEAR,
    *([LINEAR] * 5 + [_HYBRID]) * 7,
    *[LINEAR] * 4,
    _HYBRID,
    *[LINEAR] * 3,
    _HYBRID,
    LINEAR,
    LINEAR,
]


def read(config: Config) -> Draft:
    """Read a Zamba2: hybrid layer ``j`` uses shared block ``j mod num_mem_blocks`` with its own adapters.

    The weights of a shared block count once, in the first layer that uses it; every hybrid layer
    has its own keys and values. Source: transformers 5.23.0 ``models/zamba2/modeling_zamba2.py``.
    """
    draft = Draft(config)
    hidden = draft.hidden
    draft.embed(tied=config.flag("tie_word_embeddings", default=True))
    kinds = kinds_of(config, "layers_block_type", (LINEAR, _HYBRID)) or _DEFAULT
    blocks = config.integer("num_mem_blocks", default=1, least=1)
    heads = config.integer("num_attention_heads", least=1)
    attention = attention_of(config, 2 * hidden // heads)
    mamba = _mamba(config)
    mlp = DenseMLP(width=config.integer("intermediate_size", "ffn_hidden_size", default=4 * hidden, least=1))
    hybrids = [index for index, kind in enumerate(kinds) if kind == _HYBRID]
    for index, kind in enumerate(kinds):
        with draft.scope(f"model.layers.{index}.", index):
            if kind == _HYBRID:
                number = hybrids.index(index)
                draft.linear("linear", hidden, hidden, Part.OTHER)
                if number < blocks:
                    users = range(number, len(hybrids), blocks)
                    with draft.scope("shared_transformer."):
                        _shared(draft, attention, mlp, users)
            with draft.scope("mamba_decoder." if kind == _HYBRID else ""):
                conv_bias, bias = config.flag("use_conv_bias", default=True), config.flag("add_bias_linear")
                add_mamba2(draft, mamba, conv_bias=conv_bias, in_bias=bias, out_bias=bias)
                draft.norm("input_layernorm", hidden)
        if kind == _HYBRID:
            draft.layer(kind, attention, mamba, channel=mlp)
        else:
            draft.layer(kind, mamba)
    if config.flag("use_mem_rope"):
        add_rope(draft, attention.key_width, "full_attention")
    draft.norm("model.final_layernorm", hidden)
    return draft


def _mamba(config: Config) -> Mamba2:
    inner = config.integer("mamba_expand", default=2, least=1) * config.integer("hidden_size", least=1)
    heads = config.integer("n_mamba_heads", default=8, least=1)
    if inner % heads:
        raise config.unusable("n_mamba_heads", heads, f"a divisor of the inner width, {inner}")
    return Mamba2(
        heads=heads,
        head_width=inner // heads,
        state_size=config.integer("mamba_d_state", default=64, least=1),
        groups=config.integer("mamba_ngroups", default=1, least=1),
        conv_kernel=config.integer("mamba_d_conv", default=4, least=1),
        state_type=state_type(config),
    )


def _shared(draft: Draft, attention: FullAttention, mlp: DenseMLP, users: range) -> None:
    """Add one shared block and the adapters of the hybrid layers that use it."""
    config, hidden = draft.config, draft.hidden
    rank = config.integer("adapter_rank", default=128, least=1)
    bias = config.flag("add_bias_linear")
    rows = attention.query_heads * attention.key_width
    keys = attention.kv_heads * attention.key_width
    for name, out in (("q", rows), ("k", keys), ("v", keys)):
        split = Split.SHARDED if name == "q" else Split.KV_HEADS
        draft.linear(f"self_attn.{name}_proj", out, 2 * hidden, Part.ATTENTION, split=split)
    draft.linear("self_attn.o_proj", hidden, rows, Part.ATTENTION)
    draft.linear("feed_forward.gate_up_proj", 2 * mlp.width, hidden, Part.MLP, bias=bias)
    draft.linear("feed_forward.down_proj", hidden, mlp.width, Part.MLP, bias=bias)
    for user in users:
        name = f"feed_forward.gate_up_proj_adapter_list.{user}"
        draft.linear(f"{name}.0", rank, hidden, Part.MLP)
        draft.linear(f"{name}.1", 2 * mlp.width, rank, Part.MLP)
        if config.flag("use_shared_attention_adapter"):
            for letter in "qkv":
                name = f"self_attn.linear_{letter}_adapter_list.{user}"
                draft.linear(f"{name}.0", rank, 2 * hidden, Part.ATTENTION)
                draft.linear(f"{name}.1", 2 * hidden, rank, Part.ATTENTION)
    draft.norm("input_layernorm", 2 * hidden)
    draft.norm("pre_ff_layernorm", hidden)
