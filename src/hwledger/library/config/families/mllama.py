"""Llama 3.2 Vision's text model. Source: transformers 5.23.0 ``models/mllama/modeling_mllama.py``."""

from hwledger.library.config.blocks import dense_mlp, grouped_attention
from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import CrossAttention, FullAttention
from hwledger.model.tensors import Part, Split

_EXTRA_ROWS = 8  # rows of the embedding for image tokens, which the output matrix lacks
_DEFAULT_CROSS = (3, 8, 13, 18, 23, 28, 33, 38)
_IMAGE_TOKENS = 4 * 1601  # four tiles of 1601 patches, the class token included


def read(config: Config) -> Draft:
    """Read self-attention layers, with layers in between that attend to the image alone."""
    draft = Draft(config)
    rows = draft.vocab + _EXTRA_ROWS
    draft.add("model.embed_tokens.weight", (rows, draft.hidden), Part.EMBEDDING, split=Split.VOCAB)
    draft.linear("lm_head", draft.vocab, draft.hidden, Part.LM_HEAD, split=Split.VOCAB)
    heads = config.integer("num_attention_heads", least=1)
    groups = config.integer("num_key_value_heads", default=heads, least=1)
    width = draft.hidden // heads
    attention = FullAttention(query_heads=heads, kv_heads=groups, key_width=width, value_width=width)
    cross = CrossAttention(
        query_heads=heads, kv_heads=groups, key_width=width, value_width=width, source_tokens=_IMAGE_TOKENS
    )
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    crossing = set(config.sequence("cross_attention_layers") or _DEFAULT_CROSS)
    for index in range(config.layer_count()):
        with draft.scope(f"model.layers.{index}.", index):
            _add_layer(draft, attention, mlp, crosses=index in crossing)
        draft.layer(
            "cross_attention" if index in crossing else "full_attention",
            cross if index in crossing else attention,
            channel=mlp,
        )
    draft.norm("model.norm", draft.hidden)
    return draft


def _add_layer(draft: Draft, attention: FullAttention, mlp: DenseMLP, *, crosses: bool) -> None:
    grouped_attention(draft, attention, name="cross_attn" if crosses else "self_attn")
    dense_mlp(draft, mlp)
    draft.norm("input_layernorm", draft.hidden)
    draft.norm("post_attention_layernorm", draft.hidden)
    if crosses:
        draft.norm("cross_attn.q_norm", attention.key_width)
        draft.norm("cross_attn.k_norm", attention.key_width)
        draft.add("cross_attn_attn_gate", (1,), Part.OTHER)
        draft.add("cross_attn_mlp_gate", (1,), Part.OTHER)
