"""Llama 4's text model. Source: transformers 5.23.0 ``models/llama4`` (configuration and modeling)."""

from hwledger.library.config.blocks import dense_mlp, grouped_attention, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts
from hwledger.model.mixers import ChunkedAttention, FullAttention

CHUNKED, FULL = "chunked_attention", "full_attention"


def read(config: Config) -> Draft:
    """Read chunked layers with full ones between, and experts in every ``interleave_moe_layer_step``-th."""
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    kinds, sparse = _kinds(config, count), _sparse(config, count)
    heads = config.integer("num_attention_heads", least=1)
    groups = config.integer("num_key_value_heads", default=heads, least=1)
    width = config.integer("head_dim", default=draft.hidden // heads, least=1)
    full = FullAttention(query_heads=heads, kv_heads=groups, key_width=width, value_width=width)
    chunked = ChunkedAttention(
        query_heads=heads, kv_heads=groups, key_width=width, value_width=width,
        chunk=config.integer("attention_chunk_size", default=8192, least=1),
    )  # fmt: skip
    dense = DenseMLP(width=config.integer("intermediate_size_mlp", default=16384, least=1))
    bias = config.flag("attention_bias")
    for index, kind in enumerate(kinds):
        channel: ChannelMixer = dense
        with draft.scope(f"model.layers.{index}.", index):
            grouped_attention(draft, full, qkv_bias=bias, out_bias=bias)
            if index in sparse:
                channel = moe = _experts(config)
                routed_experts(draft, moe, name="feed_forward", router="router", shared="shared_expert")
            else:
                dense_mlp(draft, dense, name="feed_forward")
            draft.norm("input_layernorm", draft.hidden)
            draft.norm("post_attention_layernorm", draft.hidden)
        draft.layer(kind, chunked if kind == CHUNKED else full, channel=channel)
    draft.norm("model.norm", draft.hidden)
    return draft


def _kinds(config: Config, count: int) -> list[str]:
    """Return the kinds: stated, or from ``no_rope_layers`` (0: full), or every fourth layer full."""
    stated = config.sequence("layer_types", length=count)
    if stated is not None:
        return [str(kind) for kind in stated[:count]]
    rope = config.sequence("no_rope_layers") or []
    if rope:
        rope = config.sequence("no_rope_layers", length=count) or []
        return [CHUNKED if turns else FULL for turns in rope[:count]]
    interval = config.integer("no_rope_layer_interval", default=4, least=1)
    return [FULL if (index + 1) % interval == 0 else CHUNKED for index in range(count)]


def _sparse(config: Config, count: int) -> set[int]:
    listed = config.sequence("moe_layers")
    if listed is not None:
        return {int(index) for index in listed if isinstance(index, int)}
    step = config.integer("interleave_moe_layer_step", default=1)
    return set(range(step - 1, count, step)) if step else set()


def _experts(config: Config) -> MixtureOfExperts:
    width = config.integer("intermediate_size", least=1)
    return MixtureOfExperts(
        experts=config.integer("num_local_experts", default=16, least=1),
        active_experts=config.integer("num_experts_per_tok", default=1, least=1),
        expert_width=width,
        shared_width=width,
    )
