"""Mamba, Falcon-Mamba and Mamba-2: no attention and no MLP."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.state_blocks import (
    LINEAR,
    add_mamba1,
    add_mamba2,
    state_type,
    step_rank,
)
from hwledger.library.config.reader import Config
from hwledger.model.mixers import Mamba1, Mamba2


def mamba1(config: Config) -> Draft:
    """Read a Mamba-1; a stated ``intermediate_size`` wins over ``expand``, as in Falcon-Mamba 7B.

    Source: transformers 5.23.0 ``models/mamba/modeling_mamba.py``; the width:
    vLLM 0.33.0 ``model_executor/models/mamba.py`` ``MambaDecoderLayer``.
    """
    draft = Draft(config)
    draft.embed("backbone.embeddings")
    inner = config.optional_integer("intermediate_size", least=1)
    inner = inner or config.integer("expand", default=2, least=1) * draft.hidden
    rank = step_rank(config, "time_step_rank")
    mixer = Mamba1(
        inner_width=inner,
        state_size=config.integer("state_size", default=16, least=1),
        conv_kernel=config.integer("conv_kernel", default=4, least=1),
        state_type=state_type(config),
    )
    bias, conv_bias = config.flag("use_bias"), config.flag("use_conv_bias", default=True)
    for index in range(config.layer_count()):
        with draft.scope(f"backbone.layers.{index}.", index):
            draft.norm("norm", draft.hidden)
            add_mamba1(draft, mixer, rank, name="mixer", conv_bias=conv_bias, bias=bias)
        draft.layer(LINEAR, mixer)
    draft.norm("backbone.norm_f", draft.hidden)
    return draft


def mamba2(config: Config) -> Draft:
    """Read a Mamba-2; heads times head width is the inner width.

    Source: transformers 5.23.0 ``models/mamba2/configuration_mamba2.py`` and ``modeling_mamba2.py``.

    Raises:
        MalformedError: heads and head width contradict ``expand``.
    """
    draft = Draft(config)
    draft.embed("backbone.embeddings")
    mixer = Mamba2(
        heads=config.integer("num_heads", default=128, least=1),
        head_width=config.integer("head_dim", default=64, least=1),
        state_size=config.integer("state_size", default=128, least=1),
        groups=config.integer("n_groups", default=8, least=1),
        conv_kernel=config.integer("conv_kernel", default=4, least=1),
        state_type=state_type(config),
    )
    inner = config.integer("expand", default=2, least=1) * draft.hidden
    if mixer.inner_width != inner:
        raise config.unusable("num_heads", mixer.heads, f"such that num_heads x head_dim is {inner}")
    bias, conv_bias = config.flag("use_bias"), config.flag("use_conv_bias", default=True)
    for index in range(config.layer_count()):
        with draft.scope(f"backbone.layers.{index}.", index):
            draft.norm("norm", draft.hidden)
            add_mamba2(draft, mixer, name="mixer", conv_bias=conv_bias, in_bias=bias, out_bias=bias)
        draft.layer(LINEAR, mixer)
    draft.norm("backbone.norm_f", draft.hidden)
    return draft
