"""The common decoder: Llama and the many families that differ from it in a few traits."""

from hwledger.library.config.blocks import dense_mlp, grouped_attention
from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention


def read(config: Config) -> Draft:
    """Read a decoder whose layers are attention and a gated MLP between RMS norms."""
    draft = Draft(config)
    draft.embed()
    heads = config.integer("num_attention_heads", "n_head", "num_heads", least=1)
    width = config.integer("head_dim", default=draft.hidden // heads, least=1)
    attention = FullAttention(
        query_heads=heads,
        kv_heads=config.integer("num_key_value_heads", default=heads),
        key_width=width,
        value_width=width,
    )
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    for index in range(config.layer_count()):
        with draft.scope(f"model.layers.{index}.", index):
            grouped_attention(draft, attention, qkv_bias=config.flag("attention_bias"))
            dense_mlp(draft, mlp)
            draft.norm("input_layernorm", draft.hidden)
            draft.norm("post_attention_layernorm", draft.hidden)
        draft.layer("full_attention", attention, channel=mlp)
    draft.norm("model.norm", draft.hidden)
    return draft
