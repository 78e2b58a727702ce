"""Gemma 3n's text model. Source: transformers 5.23.0 ``models/gemma3n`` (configuration and modeling)."""

from hwledger.library.config.blocks import dense_mlp
from hwledger.library.config.draft import Draft
from hwledger.library.config.families.gemma4 import (
    SLIDING,
    add_attention,
    add_per_layer_embedding,
    add_per_layer_input,
    layer_kinds,
    shared_caches,
)
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention, SlidingAttention
from hwledger.model.tensors import Part, Split

_PATTERN = 5  # four sliding layers, then a full one


def read(config: Config) -> Draft:
    """Read the decoder: several copies of the residual stream (AltUp), low-rank residuals (LAuReL)."""
    draft = Draft(config)
    draft.embed()
    streams = config.integer("altup_num_inputs", default=4, least=1)
    kinds = layer_kinds(config, _PATTERN, last_full=False)
    sources = shared_caches(kinds, config.integer("num_kv_shared_layers", default=0))
    for index, kind in enumerate(kinds):
        attention, mlp = _attention(config, kind, sources[index]), DenseMLP(width=_width(config, index))
        with draft.scope(f"model.layers.{index}.", index):
            add_attention(draft, attention, reuses_keys=False)
            dense_mlp(draft, mlp)
            for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
                draft.norm(f"{name}_layernorm", draft.hidden)
            add_per_layer_input(draft)
            _add_streams(draft, streams)
        draft.layer(kind, attention, channel=mlp)
    draft.norm("model.norm", draft.hidden)
    add_per_layer_embedding(draft)
    for name in ("altup_projections", "altup_unembed_projections"):
        draft.linear(f"model.{name}.*", draft.hidden, draft.hidden, Part.OTHER, copies=streams - 1)
    return draft


def _attention(config: Config, kind: str, source: int | None) -> FullAttention | SlidingAttention:
    heads, width = config.integer("num_attention_heads", least=1), config.integer("head_dim", least=1)
    groups = config.integer("num_key_value_heads", default=heads, least=1)
    if kind == SLIDING:
        return SlidingAttention(
            query_heads=heads, kv_heads=groups, key_width=width, value_width=width,
            shares_cache_of=source, window=config.integer("sliding_window", default=512, least=1),
        )  # fmt: skip
    return FullAttention(
        query_heads=heads, kv_heads=groups, key_width=width, value_width=width, shares_cache_of=source
    )


def _width(config: Config, index: int) -> int:
    """Width of one layer's MLP: a list has one per layer."""
    if not isinstance(config.value("intermediate_size"), list):
        return config.integer("intermediate_size", least=1)
    widths = config.sequence("intermediate_size", length=config.layer_count()) or []
    width = widths[index]
    if type(width) is not int or not 1 <= width <= 1 << 40:
        raise config.unusable("intermediate_size", width, "a whole number from 1 to 2**40")
    return width


def _add_streams(draft: Draft, streams: int) -> None:
    rank, hidden = draft.config.integer("laurel_rank", default=64, least=1), draft.hidden
    draft.add("altup.correct_output_scale", (hidden,), Part.OTHER)
    for name, out, inputs in (
        ("altup.correction_coefs", streams, streams),
        ("altup.prediction_coefs", streams**2, streams),
        ("altup.modality_router", streams, hidden),
        ("laurel.linear_left", rank, hidden),
        ("laurel.linear_right", hidden, rank),
    ):
        draft.linear(name, out, inputs, Part.OTHER, split=Split.REPLICATED)
    draft.norm("altup.router_norm", hidden)
    draft.norm("laurel.post_laurel_norm", hidden)
