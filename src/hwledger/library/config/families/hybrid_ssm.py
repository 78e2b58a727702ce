"""Jamba, Bamba, Granite 4 and Falcon-H1: state layers and attention, each layer with an MLP or experts."""

from hwledger.library.config.blocks import dense_mlp, grouped_attention, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.families.state_blocks import (
    FULL,
    LINEAR,
    add_mamba1,
    add_mamba2,
    attention_of,
    kinds_of,
    mamba2_of,
    state_type,
    step_rank,
)
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.mixers import Mamba1, Mamba2
from hwledger.model.tensors import Part


def jamba(config: Config) -> Draft:
    """Read a Jamba: attention and experts each return after a period, from an offset on.

    Source: transformers 5.23.0 ``models/jamba/configuration_jamba.py`` and ``modeling_jamba.py``.
    """
    draft = Draft(config)
    draft.embed()
    attention, rank = attention_of(config), step_rank(config, "mamba_dt_rank")
    mamba = Mamba1(
        inner_width=config.integer("mamba_expand", default=2, least=1) * draft.hidden,
        state_size=config.integer("mamba_d_state", default=16, least=1),
        conv_kernel=config.integer("mamba_d_conv", default=4, least=1),
        state_type=state_type(config),
    )
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    experts = read_experts(config) if config.integer("num_experts", default=16) > 1 else None
    for index in range(config.layer_count()):
        channel = experts if experts and _returns(config, "expert_layer", index, 2, 1) else mlp
        attends = _returns(config, "attn_layer", index, 8, 4)
        with draft.scope(f"model.layers.{index}.", index):
            if attends:
                grouped_attention(draft, attention)
            else:
                add_mamba1(
                    draft,
                    mamba,
                    rank,
                    name="mamba",
                    conv_bias=config.flag("mamba_conv_bias", default=True),
                    bias=config.flag("mamba_proj_bias"),
                    norms=True,
                )
            _channel(draft, channel)
            _norms(draft)
        mixer = attention if attends else mamba
        draft.layer(FULL if attends else LINEAR, mixer, channel=channel)
    draft.norm("model.final_layernorm", draft.hidden)
    return draft


def bamba(config: Config) -> Draft:
    """Read a Bamba: Mamba-2 but for the attention layers that ``attn_layer_indices`` lists.

    Source: transformers 5.23.0 ``models/bamba/configuration_bamba.py`` and ``modeling_bamba.py``.
    """
    draft = Draft(config)
    draft.embed()
    chosen = config.sequence("attn_layer_indices") or []
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    for index in range(config.layer_count()):
        with draft.scope(f"model.layers.{index}.", index):
            _mixed(draft, FULL if index in chosen else LINEAR, mlp, rope=True)
            dense_mlp(draft, mlp, name="feed_forward", bias=config.flag("mlp_bias"))
            _norms(draft)
    draft.norm("model.final_layernorm", draft.hidden)
    return draft


def granite(config: Config) -> Draft:
    """Read a Granite 4: experts where there are any, and a shared MLP in every layer.

    Source: transformers 5.23.0 ``models/granitemoehybrid/modeling_granitemoehybrid.py``.

    Raises:
        MalformedError: ``layer_types`` names an unknown kind or has another length than the model.
    """
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    kinds = kinds_of(config, "layer_types", (LINEAR, FULL)) or [LINEAR] * count
    if len(kinds) != count:
        raise config.unusable("layer_types", f"{len(kinds)} entries", f"{count} entries, one per layer")
    shared = config.integer("shared_intermediate_size", default=1024, least=1)
    experts = read_experts(config, width_key="intermediate_size", shared_key="shared_intermediate_size")
    channel = experts or DenseMLP(width=shared)
    rope = config.text("position_embedding_type") == "rope"
    part = Part.SHARED_EXPERTS if experts else Part.MLP
    for index, kind in enumerate(kinds):
        with draft.scope(f"model.layers.{index}.", index):
            _mixed(draft, kind, channel, rope=rope)
            if experts:
                routed_only = MixtureOfExperts(
                    experts=experts.experts,
                    active_experts=experts.active_experts,
                    expert_width=experts.expert_width,
                )
                routed_experts(draft, routed_only, name="block_sparse_moe", router="router")
            draft.linear("shared_mlp.input_linear", 2 * shared, draft.hidden, part)
            draft.linear("shared_mlp.output_linear", draft.hidden, shared, part)
            draft.norm("input_layernorm", draft.hidden)
            draft.norm("post_attention_layernorm", draft.hidden)
    draft.norm("model.norm", draft.hidden)
    return draft


def falcon_h1(config: Config) -> Draft:
    """Read a Falcon-H1: attention and Mamba-2 side by side in every layer.

    Source: transformers 5.23.0 ``models/falcon_h1/modeling_falcon_h1.py``.
    """
    draft = Draft(config)
    draft.embed()
    attention, mamba = attention_of(config), mamba2_of(config)
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    bias = config.flag("attention_bias")
    for index in range(config.layer_count()):
        with draft.scope(f"model.layers.{index}.", index):
            grouped_attention(draft, attention, qkv_bias=bias, out_bias=bias)
            add_mamba2(
                draft,
                mamba,
                conv_bias=config.flag("mamba_conv_bias", default=True),
                in_bias=config.flag("mamba_proj_bias"),
                out_bias=config.flag("projectors_bias"),
                norm=config.flag("mamba_rms_norm"),
            )
            dense_mlp(draft, mlp, name="feed_forward", bias=config.flag("mlp_bias"))
            _norms(draft)
        draft.layer("hybrid", attention, mamba, channel=mlp)
    add_rope(draft, attention.key_width, FULL)
    draft.norm("model.final_layernorm", draft.hidden)
    return draft


def _mixed(draft: Draft, kind: str, channel: DenseMLP | MixtureOfExperts, *, rope: bool) -> None:
    """Add attention or Mamba-2 and append the layer."""
    config = draft.config
    if kind == FULL:
        attention = attention_of(config)
        bias = config.flag("attention_bias")
        grouped_attention(draft, attention, qkv_bias=bias, out_bias=bias)
        draft.layer(kind, attention, channel=channel)
        if rope:
            add_rope(draft, attention.key_width, kind)
        return
    mamba: Mamba2 = mamba2_of(config)
    bias = config.flag("mamba_proj_bias")
    conv_bias = config.flag("mamba_conv_bias", default=True)
    add_mamba2(draft, mamba, conv_bias=conv_bias, in_bias=bias, out_bias=bias)
    draft.layer(kind, mamba, channel=channel)


def _returns(config: Config, stem: str, index: int, period: int, offset: int) -> bool:
    every = config.integer(f"{stem}_period", default=period, least=1)
    first = config.integer(f"{stem}_offset", default=offset)
    if first >= every:
        raise config.unusable(f"{stem}_offset", first, f"below {stem}_period, which is {every}")
    return index % every == first


def _channel(draft: Draft, channel: DenseMLP | MixtureOfExperts) -> None:
    if isinstance(channel, MixtureOfExperts):
        routed_experts(draft, channel, name="feed_forward", router="router")
    else:
        dense_mlp(draft, channel, name="feed_forward")


def _norms(draft: Draft) -> None:
    draft.norm("input_layernorm", draft.hidden)
    draft.norm("pre_ff_layernorm", draft.hidden)
