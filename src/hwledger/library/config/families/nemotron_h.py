"""Nemotron-H and Nemotron 3: every layer is one block, a Mamba-2, an attention, an MLP or experts."""

from dataclasses import dataclass

from hwledger.library.config.blocks import dense_mlp, grouped_attention
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.families.state_blocks import (
    FULL,
    LINEAR,
    add_mamba2,
    attention_of,
    kinds_of,
    state_type,
)
from hwledger.library.config.reader import MAX_LAYERS, Config
from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.mixers import Mamba2
from hwledger.model.tensors import Part, Split

_LETTERS = {"M": LINEAR, "E": "moe", "*": FULL, "-": "mlp"}
_KINDS = tuple(_LETTERS.values())
_MTP_KINDS = (FULL, "moe")  # where the file names none


@dataclass(frozen=True)
class _Blocks:
    """The four blocks that a layer may be; ``None`` where the model uses none of the kind."""

    mamba: Mamba2
    experts: MixtureOfExperts | None
    mlp: DenseMLP


def read(config: Config) -> Draft:
    """Read a Nemotron-H; the list of layers is as long as the model, whatever ``num_hidden_layers`` says.

    Source: transformers 5.23.0 ``models/nemotron_h/configuration_nemotron_h.py`` and
    ``modeling_nemotron_h.py``; MTP: vLLM 0.33.0 ``model_executor/models/nemotron_h_mtp.py``.

    Raises:
        MalformedError: the pattern has an unknown letter or kind, or a needed key is unusable.
    """
    draft = Draft(config)
    draft.embed("model.embeddings")
    kinds = _kinds(config, "layers_block_type", "hybrid_override_pattern")
    kinds = kinds or [LINEAR, "moe", FULL, "mlp"]
    heads = config.optional_integer("num_nextn_predict_layers") or 0
    head = _kinds(config, "mtp_layers_block_type", "mtp_hybrid_override_pattern") or list(_MTP_KINDS)
    if heads * len(head) > MAX_LAYERS:
        raise config.unusable("num_nextn_predict_layers", heads, f"at most {MAX_LAYERS} layers in all")
    blocks = _Blocks(
        mamba=_mamba(config),
        experts=_experts(config) if "moe" in kinds + head * heads else None,
        mlp=DenseMLP(width=config.integer("intermediate_size", least=1), gated=False),
    )
    for index, kind in enumerate(kinds):
        with draft.scope(f"model.layers.{index}.", index):
            _layer(draft, kind, blocks)
    draft.norm("model.norm_f", draft.hidden)
    with draft.mtp():
        for number in range(heads):
            _mtp_head(draft, number * len(head), head, blocks)
    return draft


def _kinds(config: Config, key: str, letters: str) -> list[str] | None:
    """Kinds from the list ``key``, else from the string ``letters``."""
    stated = kinds_of(config, key, _KINDS)
    if stated is not None:
        return stated
    pattern = config.text(letters)
    if letters in config.raw and config.raw[letters] is not None and not pattern:
        raise config.unusable(letters, pattern, "one letter per layer")
    if len(pattern) > MAX_LAYERS or any(letter not in _LETTERS for letter in pattern):
        raise config.unusable(letters, pattern, "one of M, E, * and - per layer, at most 4096")
    return [_LETTERS[letter] for letter in pattern] or None


def _mamba(config: Config) -> Mamba2:
    return Mamba2(
        heads=config.integer("mamba_num_heads", default=128, least=1),
        head_width=config.integer("mamba_head_dim", default=64, least=1),
        state_size=config.integer("ssm_state_size", default=128, least=1),
        groups=config.integer("mamba_n_groups", "n_groups", default=8, least=1),
        conv_kernel=config.integer("mamba_d_conv", "conv_kernel", default=4, least=1),
        state_type=state_type(config),
    )


def _experts(config: Config) -> MixtureOfExperts:
    moe = read_experts(
        config,
        gated=False,
        width_key="moe_intermediate_size",
        shared_key="moe_shared_expert_intermediate_size",
    )
    if moe is None:
        raise config.unusable("n_routed_experts", None, "above 0: the pattern has layers of experts")
    return moe


def _layer(draft: Draft, kind: str, blocks: _Blocks, *, mtp: bool = False) -> None:
    config = draft.config
    draft.norm("norm", draft.hidden)
    if kind == LINEAR:
        bias = config.flag("use_bias")
        conv_bias = config.flag("mamba_conv_bias", "use_conv_bias", default=True)
        add_mamba2(draft, blocks.mamba, name="mixer", conv_bias=conv_bias, in_bias=bias, out_bias=bias)
        draft.layer(kind, blocks.mamba, mtp=mtp)
    elif kind == FULL:
        attention = attention_of(config)
        # no biases, whatever attention_bias says: both implementations ignore it
        grouped_attention(draft, attention, name="mixer")
        draft.layer(kind, attention, mtp=mtp)
    elif kind == "moe" and blocks.experts is not None:
        _add_experts(draft, blocks.experts)
        draft.layer(kind, channel=blocks.experts, mtp=mtp)
    else:
        dense_mlp(draft, blocks.mlp, name="mixer", bias=config.flag("mlp_bias"))
        draft.layer(kind, channel=blocks.mlp, mtp=mtp)


def _add_experts(draft: Draft, moe: MixtureOfExperts) -> None:
    """Add router, experts (in a narrower space where ``moe_latent_size`` says so) and shared expert."""
    config = draft.config
    latent = config.optional_integer("moe_latent_size", least=1)
    width, count = latent or draft.hidden, moe.experts
    bias = config.flag("mlp_bias")
    with draft.scope("mixer."):
        draft.linear("gate", count, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
        draft.linear("experts.*.up_proj", moe.expert_width, width, Part.EXPERTS, copies=count)
        draft.linear("experts.*.down_proj", width, moe.expert_width, Part.EXPERTS, copies=count)
        shared = DenseMLP(width=moe.shared_width, gated=False)
        dense_mlp(draft, shared, name="shared_experts", bias=bias, part=Part.SHARED_EXPERTS)
        if latent:
            draft.linear("fc1_latent_proj", latent, draft.hidden, Part.MLP, bias=bias, split=Split.REPLICATED)
            draft.linear("fc2_latent_proj", draft.hidden, latent, Part.MLP, bias=bias, split=Split.REPLICATED)


def _mtp_head(draft: Draft, first: int, kinds: list[str], blocks: _Blocks) -> None:
    """Add one MTP head: its layers, the fusion before the first and a norm after the last."""
    hidden = draft.hidden
    for offset, kind in enumerate(kinds):
        with draft.scope(f"mtp.layers.{first + offset}.", len(draft.layers) + first + offset):
            if offset == 0:
                draft.norm("enorm", hidden)
                draft.norm("hnorm", hidden)
                draft.linear("eh_proj", hidden, 2 * hidden, Part.OTHER)
            _layer(draft, kind, blocks, mtp=True)
            if offset == len(kinds) - 1:
                draft.norm("final_layernorm", hidden)
