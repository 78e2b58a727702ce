"""Kimi-Linear and Kimi-K3: Kimi delta attention, with latent attention on every few layers.

Shapes: vLLM 0.33.0 ``model_executor/layers/mamba/gdn/kimi_gdn_linear_attn.py`` and arXiv 2510.26692. No
class of transformers 5.23.0 builds these models, so their counts are not checked against one.
"""

from hwledger.library.config.blocks import dense_mlp
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts, sparse_layers
from hwledger.library.config.families.latent import latent_attention, read_latent
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts
from hwledger.model.mixers import KimiDeltaAttention, LatentAttention
from hwledger.model.tensors import Part, Split

FULL = "full_attention"
LINEAR = "linear_attention"


def read(config: Config) -> Draft:
    """Read a decoder of delta and latent attention.

    Raises:
        MalformedError: a needed key is missing, or a layer is in neither or both of the lists.
    """
    text = config.nested("text_config") or config
    linear = text.nested("linear_attn_config")
    if linear is None:
        raise text.unusable("linear_attn_config", None, "an object with kda_layers and full_attn_layers")
    draft = Draft(text)
    draft.embed()
    latent, delta = read_latent(text, own_indexer=False), _delta(linear)
    count = text.layer_count()
    experts = read_experts(text)
    sparse = sparse_layers(text, count) if experts else [False] * count
    dense = None if all(sparse) else DenseMLP(width=text.integer("intermediate_size", least=1))
    for index, attends in enumerate(_attending(linear, count)):
        channel = experts if sparse[index] else dense
        _layer(draft, latent if attends else delta, channel, index)
    draft.norm("model.norm", draft.hidden)
    draft.unknowns.append(f"no reference counts {config.model_type}: its weights follow the published shapes")
    if config.nested("vision_config") is not None:
        draft.unknowns.append("the vision tower is not counted")
    return draft


def _attending(linear: Config, count: int) -> list[bool]:
    """Return whether each layer attends in full; the lists count layers from 1."""
    full = set(linear.sequence("full_attn_layers") or [])
    delta = set(linear.sequence("kda_layers") or [])
    if full & delta or full | delta != set(range(1, count + 1)):
        raise linear.unusable("full_attn_layers", sorted(full), f"with kda_layers each of 1 to {count} once")
    return [index + 1 in full for index in range(count)]


def _delta(linear: Config) -> KimiDeltaAttention:
    return KimiDeltaAttention(
        heads=linear.integer("num_heads", least=1),
        head_width=linear.integer("head_dim", least=1),
        conv_kernel=linear.integer("short_conv_kernel_size", least=1),
        state_type="f32",
    )


def _layer(
    draft: Draft, mixer: KimiDeltaAttention | LatentAttention, channel: ChannelMixer | None, index: int
) -> None:
    with draft.scope(f"model.layers.{index}.", index):
        if isinstance(mixer, LatentAttention):
            latent_attention(draft, mixer)
            if draft.config.flag("mla_use_output_gate"):
                width = mixer.query_heads * mixer.value_width
                draft.linear("self_attn.g_proj", width, draft.hidden, Part.ATTENTION)
        else:
            _delta_attention(draft, mixer)
        if isinstance(channel, DenseMLP):
            dense_mlp(draft, channel)
        elif channel is not None:
            _experts(draft, channel)
        draft.norm("input_layernorm", draft.hidden)
        draft.norm("post_attention_layernorm", draft.hidden)
    draft.layer(FULL if isinstance(mixer, LatentAttention) else LINEAR, mixer, channel=channel)


def _delta_attention(draft: Draft, delta: KimiDeltaAttention) -> None:
    """Add projections, convolutions and gates of one delta attention."""
    width, rank, part = delta.heads * delta.head_width, delta.head_width, Part.STATE
    linear = draft.config.nested("linear_attn_config")
    with draft.scope("self_attn."):
        for name in ("q", "k", "v"):
            draft.linear(f"{name}_proj", width, draft.hidden, part)
            draft.add(f"{name}_conv1d.weight", (width, 1, delta.conv_kernel), part, split=Split.SHARDED)
        draft.linear("f_a_proj", rank, draft.hidden, part, split=Split.REPLICATED)
        draft.linear("f_b_proj", width, rank, part)
        if linear is not None and linear.flag("use_full_rank_gate"):
            draft.linear("g_proj", width, draft.hidden, part)
        else:
            draft.linear("g_a_proj", rank, draft.hidden, part, split=Split.REPLICATED)
            draft.linear("g_b_proj", width, rank, part)
        draft.linear("b_proj", delta.heads, draft.hidden, part)
        draft.add("A_log", (delta.heads,), part, split=Split.SHARDED)
        draft.add("dt_bias", (width,), part, split=Split.SHARDED)
        draft.norm("o_norm", delta.head_width)
        draft.linear("o_proj", draft.hidden, width, part)


def _experts(draft: Draft, moe: MixtureOfExperts) -> None:
    """Add router, experts and shared experts; K3's routed experts work in a narrower latent."""
    width = draft.config.integer("routed_expert_hidden_size", default=draft.hidden, least=1)
    with draft.scope("block_sparse_moe."):
        draft.linear("gate", moe.experts, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
        if width != draft.hidden:
            draft.linear("fc1_latent_proj", width, draft.hidden, Part.SHARED_EXPERTS, split=Split.REPLICATED)
            draft.linear("fc2_latent_proj", draft.hidden, width, Part.SHARED_EXPERTS, split=Split.REPLICATED)
        for name in ("w1", "w3"):
            draft.linear(f"experts.*.{name}", moe.expert_width, width, Part.EXPERTS, copies=moe.experts)
        draft.linear("experts.*.w2", width, moe.expert_width, Part.EXPERTS, copies=moe.experts)
        if moe.shared_width:
            shared = DenseMLP(width=moe.shared_width)
            dense_mlp(draft, shared, name="shared_experts", part=Part.SHARED_EXPERTS)
