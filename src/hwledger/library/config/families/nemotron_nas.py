"""Nemotron-NAS (DeciLM): a search gave every layer its own attention and MLP, or none."""

from collections.abc import Mapping

from hwledger.library.config.draft import Draft
from hwledger.library.config.families import decoder_blocks as blocks
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import names_of, traits_of
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention
from hwledger.model.tensors import Part
from hwledger.units import round_up

_MULTIPLE = 256  # the MLP width is rounded up to this


def read(config: Config) -> Draft:
    """Read a model with ``block_configs``: KV heads and MLP width per layer, either may be absent.

    Source: vLLM 0.33.0 ``model_executor/models/nemotron_nas.py`` ``_ffn_mult_to_intermediate_size``
    and ``DeciLMDecoderLayer``.

    Raises:
        MalformedError: a layer's block is missing or unusable.
    """
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    entries = config.sequence("block_configs", length=count)
    if entries is None:
        raise config.unusable("block_configs", None, "a list with one entry per layer")
    for index in range(count):
        entry = entries[index]
        if not isinstance(entry, Mapping):
            raise config.unusable("block_configs", entry, "a list of objects")
        block = Config(entry, config.where, path=f"{config.path}block_configs[{index}].", facts=config.facts)
        with draft.scope(f"model.layers.{index}.", index):
            _layer(draft, block)
    draft.norm("model.norm", draft.hidden)
    return draft


def _layer(draft: Draft, block: Config) -> None:
    traits = traits_of("nemotron-nas")
    names = names_of("llama")
    hidden = draft.hidden
    mixers: list[FullAttention] = []
    attention = block.nested("attention")
    if attention and attention.flag("replace_with_linear"):
        draft.linear("self_attn.linear_attn", hidden, hidden, Part.ATTENTION)
    elif attention and not attention.flag("no_op"):
        mixers.append(_attention(draft.config, attention))
        blocks.attention(draft, traits, names, mixers[0], sliding=False)
        add_rope(draft, mixers[0].key_width, "full_attention")
    if attention and not attention.flag("no_op"):
        draft.norm("input_layernorm", hidden)
    mlp = _mlp(draft, block.nested("ffn"))
    if mlp is not None:
        blocks.channel(draft, traits, names, mlp)
    draft.layer("full_attention" if mixers else "mlp", *mixers, channel=mlp)


def _attention(config: Config, block: Config) -> FullAttention:
    heads = config.integer("num_attention_heads", least=1)
    group = block.integer("n_heads_in_group", least=1)
    if heads % group:
        raise block.unusable("n_heads_in_group", group, f"a divisor of num_attention_heads, {heads}")
    width = config.integer("head_dim", default=config.integer("hidden_size", least=1) // heads, least=1)
    return FullAttention(query_heads=heads, kv_heads=heads // group, key_width=width, value_width=width)


def _mlp(draft: Draft, block: Config | None) -> DenseMLP | None:
    if block is None or block.flag("no_op"):
        return None
    draft.norm("post_attention_layernorm", draft.hidden)
    if block.flag("replace_with_linear"):
        draft.linear("mlp.linear_mlp", draft.hidden, draft.hidden, Part.MLP)
        return None
    stated = block.optional_integer("intermediate_size", least=1)
    factor = block.number("ffn_mult", default=0.0)
    if stated is None and factor <= 0:
        raise block.unusable("ffn_mult", factor, "above 0")
    return DenseMLP(width=stated or round_up(int(2 * factor * draft.hidden / 3), _MULTIPLE))
