"""Hybrids of gated delta nets and gated attention: Qwen3-Next, Qwen3.5 and later.

Shapes: transformers 5.23.0 ``models/qwen3_next/modeling_qwen3_next.py`` and ``models/qwen3_5``. The MTP
head is in the checkpoint and not in the class (vLLM 0.33.0 ``qwen3_next_mtp.py``, ``qwen3_5_mtp.py``).
"""

from hwledger.library.config.blocks import dense_mlp, grouped_attention, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts, sparse_layers
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP
from hwledger.model.mixers import FullAttention, GatedDeltaNet
from hwledger.model.number_types import number_type
from hwledger.model.tensors import Part, Split

FULL = "full_attention"
LINEAR = "linear_attention"
INTERVAL = 4
FLOAT_STATE = "float32"


def read(config: Config) -> Draft:
    """Read a decoder of gated delta nets and gated attention.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    kinds = layer_kinds(config, count)
    attention, delta = read_attention(config), read_delta(config)
    experts = read_experts(config)
    sparse = sparse_layers(config, count) if experts else [False] * count
    dense = None if all(sparse) else DenseMLP(width=config.integer("intermediate_size", least=1))
    for index, kind in enumerate(kinds):
        _layer(draft, attention if kind == FULL else delta, experts if sparse[index] else dense, index)
    draft.norm("model.norm", draft.hidden)
    _heads(draft, attention, experts if any(sparse) else dense)
    share = config.number("partial_rotary_factor", default=0.25)
    draft.rope_tables.add((config.integer("max_position_embeddings"), round(attention.key_width * share)))
    return draft


def layer_kinds(config: Config, count: int) -> list[str]:
    """Return the kind of each layer: stated, or every fourth one attends in full.

    Raises:
        MalformedError: a kind is not known, or the list is too short.
    """
    stated = config.sequence("layer_types", length=count)
    if stated is not None:
        for kind in stated[:count]:
            if kind not in {FULL, LINEAR}:
                raise config.unusable("layer_types", kind, f"{FULL} or {LINEAR}")
        return [str(kind) for kind in stated[:count]]
    interval = config.integer("full_attention_interval", default=INTERVAL, least=1)
    return [LINEAR if (index + 1) % interval else FULL for index in range(count)]


def read_attention(config: Config) -> FullAttention:
    """Return the attention of the full layers."""
    heads = config.integer("num_attention_heads", least=1)
    kv_heads = config.integer("num_key_value_heads", default=heads, least=1)
    if heads % kv_heads:
        raise config.unusable("num_key_value_heads", kv_heads, f"a divisor of the {heads} heads")
    width = config.integer("head_dim", least=1)
    return FullAttention(query_heads=heads, kv_heads=kv_heads, key_width=width, value_width=width)


def read_delta(config: Config) -> GatedDeltaNet:
    """Return the gated delta net of the linear layers; from Qwen3.5 on its state is float32."""
    default = None if config.model_type == "qwen3_next" else FLOAT_STATE
    state = config.value("mamba_ssm_dtype", default=default)
    return GatedDeltaNet(
        key_heads=config.integer("linear_num_key_heads", least=1),
        value_heads=config.integer("linear_num_value_heads", least=1),
        key_width=config.integer("linear_key_head_dim", least=1),
        value_width=config.integer("linear_value_head_dim", least=1),
        conv_kernel=config.integer("linear_conv_kernel_dim", least=1),
        state_type=number_type(str(state)).name if state else None,
    )


def _layer(
    draft: Draft,
    mixer: FullAttention | GatedDeltaNet,
    channel: ChannelMixer | None,
    index: int,
    *,
    mtp: bool = False,
) -> None:
    prefix = "mtp.layers" if mtp else "model.layers"
    number = index - len(draft.layers) if mtp else index
    with draft.scope(f"{prefix}.{number}.", index):
        if isinstance(mixer, FullAttention):
            bias = draft.config.flag("attention_bias")
            gate = draft.config.flag("attn_output_gate", default=True)
            grouped_attention(draft, mixer, qkv_bias=bias, out_bias=bias, gate=gate)
            draft.norm("self_attn.q_norm", mixer.key_width)
            draft.norm("self_attn.k_norm", mixer.key_width)
        else:
            _delta(draft, mixer)
        _channel(draft, channel)
        draft.norm("input_layernorm", draft.hidden)
        draft.norm("post_attention_layernorm", draft.hidden)
    draft.layer(FULL if isinstance(mixer, FullAttention) else LINEAR, mixer, channel=channel, mtp=mtp)


def _delta(draft: Draft, delta: GatedDeltaNet) -> None:
    """Add a gated delta net; Qwen3-Next fuses four projections into two."""
    values = delta.value_heads * delta.value_width
    channels = delta.conv_channels()
    fused = draft.config.model_type == "qwen3_next"
    projections = (
        (("in_proj_qkvz", channels + values), ("in_proj_ba", 2 * delta.value_heads))
        if fused
        else (
            ("in_proj_qkv", channels),
            ("in_proj_z", values),
            ("in_proj_b", delta.value_heads),
            ("in_proj_a", delta.value_heads),
        )
    )
    with draft.scope("linear_attn."):
        for name, rows in projections:
            draft.linear(name, rows, draft.hidden, Part.STATE)
        draft.add("conv1d.weight", (channels, 1, delta.conv_kernel), Part.STATE, split=Split.SHARDED)
        for name in ("dt_bias", "A_log"):
            draft.add(name, (delta.value_heads,), Part.STATE, split=Split.SHARDED)
        draft.norm("norm", delta.value_width)
        draft.linear("out_proj", draft.hidden, values, Part.STATE)


def _channel(draft: Draft, channel: ChannelMixer | None) -> None:
    if isinstance(channel, DenseMLP):
        dense_mlp(draft, channel)
    elif channel is not None:
        routed_experts(draft, channel, shared="shared_expert")
        draft.linear("mlp.shared_expert_gate", 1, draft.hidden, Part.SHARED_EXPERTS, split=Split.REPLICATED)


def _heads(draft: Draft, attention: FullAttention, channel: ChannelMixer | None) -> None:
    """Add the MTP head: full-attention layers behind a projection of two streams; nothing is copied."""
    config = draft.config
    default = 1 if config.model_type == "qwen3_next" else 0
    count = config.integer("mtp_num_hidden_layers", "num_nextn_predict_layers", default=default)
    if count > config.layer_count():
        raise config.unusable("mtp_num_hidden_layers", count, "at most the number of layers")
    if not count:
        return
    with draft.mtp():
        for index in range(len(draft.layers), len(draft.layers) + count):
            _layer(draft, attention, channel, index, mtp=True)
        draft.linear("mtp.fc", draft.hidden, 2 * draft.hidden, Part.OTHER, split=Split.REPLICATED)
        for name in ("mtp.norm", "mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden"):
            draft.norm(name, draft.hidden)
