"""JetMoe: queries and outputs are experts too, over keys and values that all experts share."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.mixers import FullAttention
from hwledger.model.tensors import Part, Split


def read(config: Config) -> Draft:
    """Read a JetMoe: mixtures of experts for attention and MLP in every layer.

    Source: transformers 5.23.0 ``models/jetmoe/modeling_jetmoe.py`` ``JetMoeMoA`` and ``JetMoeMoE``.
    """
    draft = Draft(config)
    draft.embed()
    moe = read_experts(config, shared_key="none")
    if moe is None:
        raise config.unusable("num_local_experts", 0, "at least 1")
    kv_heads = config.integer("num_key_value_heads", least=1)
    width = config.integer("head_dim", "kv_channels", least=1)
    attention = FullAttention(
        query_heads=kv_heads * moe.active_experts, kv_heads=kv_heads, key_width=width, value_width=width
    )
    for index in range(config.layer_count()):
        with draft.scope(f"model.layers.{index}.", index):
            _layer(draft, attention, moe)
        draft.layer("full_attention", attention, channel=moe)
        add_rope(draft, width, "full_attention")
    draft.norm("model.norm", draft.hidden)
    return draft


def _layer(draft: Draft, attention: FullAttention, moe: MixtureOfExperts) -> None:
    inner = attention.kv_heads * attention.key_width
    _mixture(draft, "self_attention.experts", moe.experts, inner, inner)
    draft.linear("self_attention.kv_proj", 2 * inner, draft.hidden, Part.ATTENTION, split=Split.KV_HEADS)
    _mixture(draft, "mlp", moe.experts, 2 * moe.expert_width, moe.expert_width)
    for name in ("input_layernorm", "post_attention_layernorm"):
        draft.norm(name, draft.hidden)


def _mixture(draft: Draft, name: str, experts: int, rows: int, inner: int) -> None:
    """Add one mixture: an input and an output matrix per expert, a router and one bias."""
    draft.linear(f"{name}.input_linear", rows, draft.hidden, Part.EXPERTS, copies=experts)
    draft.linear(f"{name}.output_linear", draft.hidden, inner, Part.EXPERTS, copies=experts)
    draft.linear(f"{name}.router.layer", experts, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
    draft.add(f"{name}.bias", (draft.hidden,), Part.OTHER)
