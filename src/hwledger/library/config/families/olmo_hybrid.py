"""OLMo Hybrid: gated delta nets with OLMo's attention in every fourth layer.

Shapes: transformers 5.24.0 ``models/olmo_hybrid/modeling_olmo_hybrid.py``.
"""

from hwledger.library.config.blocks import dense_mlp, grouped_attention
from hwledger.library.config.draft import Draft
from hwledger.library.config.families.gated_delta import FULL, layer_kinds, read_delta
from hwledger.library.config.families.state_blocks import attention_of
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention, GatedDeltaNet
from hwledger.model.tensors import Part, Split


def read(config: Config) -> Draft:
    """Read an OLMo Hybrid.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    draft.embed()
    attention, delta = attention_of(config), read_delta(config)
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    for index, kind in enumerate(layer_kinds(config, config.layer_count())):
        with draft.scope(f"model.layers.{index}.", index):
            if kind == FULL:
                _attention(draft, attention)
            else:
                _delta(draft, delta)
            dense_mlp(draft, mlp)
            draft.norm("post_attention_layernorm", draft.hidden)
            draft.norm("post_feedforward_layernorm" if kind == FULL else "input_layernorm", draft.hidden)
        draft.layer(kind, attention if kind == FULL else delta, channel=mlp)
    draft.norm("model.norm", draft.hidden)
    if any(layer.kind == FULL for layer in draft.layers):
        add_rope(draft, attention.key_width, FULL)
    return draft


def _attention(draft: Draft, attention: FullAttention) -> None:
    bias = draft.config.flag("attention_bias")
    grouped_attention(draft, attention, qkv_bias=bias, out_bias=bias)
    draft.norm("self_attn.q_norm", attention.query_heads * attention.key_width)
    draft.norm("self_attn.k_norm", attention.kv_heads * attention.key_width)


def _delta(draft: Draft, delta: GatedDeltaNet) -> None:
    keys, values = delta.key_heads * delta.key_width, delta.value_heads * delta.value_width
    heads = delta.value_heads
    with draft.scope("linear_attn."):
        for name, rows in (("q_proj", keys), ("k_proj", keys), ("v_proj", values), ("g_proj", values),
                           ("a_proj", heads), ("b_proj", heads)):  # fmt: skip
            draft.linear(name, rows, draft.hidden, Part.STATE)
        shape = (delta.conv_channels(), 1, delta.conv_kernel)
        draft.add("conv1d.weight", shape, Part.STATE, split=Split.SHARDED)
        for name in ("dt_bias", "A_log"):
            draft.add(name, (heads,), Part.STATE, split=Split.SHARDED)
        draft.norm("o_norm", delta.value_width)
        draft.linear("o_proj", draft.hidden, values, Part.STATE)
