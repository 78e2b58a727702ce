"""Heads and widths: how each family states the geometry of attention and the width of its MLP."""

from collections.abc import Mapping

from hwledger.library.config.draft import Draft
from hwledger.library.config.pattern import CHUNKED, SLIDING, window_of
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import Traits
from hwledger.model.mixers import ChunkedAttention, FullAttention, KeyValueMixer, SlidingAttention

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "multi_query_group_num",
    "num_attention_groups",
    "num_query_groups",
)
HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model", "dim")
MLP_WIDTHS = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "ff_intermediate_size", "dff")


def read_attention(config: Config, traits: Traits, kind: str, index: int = 0) -> KeyValueMixer:
    """Return the attention of one layer: heads, widths and window.

    Sliding layers may state their own geometry (``swa_…`` keys, ``attention_other_setting``), and
    each layer its own number of heads (``num_attention_heads_per_layer``).

    Raises:
        MalformedError: heads or widths are absent, absurd or do not divide.
    """
    sliding = kind == SLIDING
    other = config.nested("attention_other_setting") if sliding else None
    heads = _heads(config, other, sliding=sliding, index=index)
    width = _head_width(config, traits, other, sliding=sliding)
    kv_heads = _kv_heads(config, traits, other, heads, sliding=sliding)
    value = config.optional_integer("v_head_dim", least=1) or width
    if sliding:
        value = config.optional_integer("swa_v_head_dim", least=1) or value
    if heads % kv_heads:
        raise config.unusable(
            "num_key_value_heads", kv_heads, f"a divisor of num_attention_heads, which is {heads}"
        )
    return _mixer(config, kind, query_heads=heads, kv_heads=kv_heads, key_width=width, value_width=value)


def read_width(config: Config, traits: Traits) -> int:
    """Return the width of the dense MLP; four hidden sizes where nothing states it (GPT-2)."""
    stated = config.optional_integer(*MLP_WIDTHS, least=1)
    if stated is None:
        factor = traits.width_factor
        times = int(factor) if factor.isdigit() else config.integer(factor, default=4, least=1)
        return times * config.integer(*HIDDEN, least=1)
    share, _, of = traits.width_share.partition("/")
    return stated * int(share) // int(of)


def add_rope(draft: Draft, head_width: int, kind: str) -> None:
    """Note the rotary table of a layer: positions, and the elements of a head that rotate.

    Source: vLLM 0.33.0 ``model_executor/layers/rotary_embedding/__init__.py`` ``get_rope``.
    """
    config = draft.config
    positions = config.optional_integer(
        "max_position_embeddings", "n_positions", "seq_length", "max_seq_len", least=1
    )
    if positions is None:
        return
    rotary = config.optional_integer("rotary_dim", least=1)
    draft.rope_tables.add((positions, rotary or int(head_width * _rotary_share(config, kind))))


def _rotary_share(config: Config, kind: str) -> float:
    """Share of a head that rotates; ``rope_parameters`` may state it per kind of layer."""
    rope = config.value("rope_parameters")
    if isinstance(rope, Mapping):
        for table in (rope.get(kind), rope):
            share = table.get("partial_rotary_factor") if isinstance(table, Mapping) else None
            if isinstance(share, (int, float)) and 0 < share <= 1:
                return float(share)
    share = config.number("partial_rotary_factor", "rotary_pct", "rotary_percent", default=1.0)
    if not 0 < share <= 1:
        raise config.unusable("partial_rotary_factor", share, "above 0 and at most 1")
    return share


def _mixer(config: Config, kind: str, **geometry: int) -> KeyValueMixer:
    if kind == SLIDING and (window := window_of(config)):
        return SlidingAttention(window=window, **geometry)
    if kind == CHUNKED:
        return ChunkedAttention(chunk=config.integer("attention_chunk_size", least=1), **geometry)
    return FullAttention(**geometry)


def _heads(config: Config, other: Config | None, *, sliding: bool, index: int) -> int:
    per_layer = config.sequence("num_attention_heads_per_layer", length=index + 1)
    if per_layer is not None:
        heads = per_layer[index]
        if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
            raise config.unusable("num_attention_heads_per_layer", heads, "positive whole numbers")
        return heads
    if other is not None and (heads := other.optional_integer("num_attention_heads", least=1)):
        return heads
    if sliding:
        own = config.optional_integer("swa_num_attention_heads", "num_sliding_attention_heads", least=1)
        if own:
            return own
    return config.integer(*HEADS, least=1)


def _head_width(config: Config, traits: Traits, other: Config | None, *, sliding: bool) -> int:
    if other is not None and (width := other.optional_integer("head_dim", least=1)):
        return width
    if sliding and (width := config.optional_integer("swa_head_dim", least=1)):
        return width
    stated = config.optional_integer("head_dim", "kv_channels", least=1)
    if stated is not None and traits.kv != "heads":  # the older families split hidden_size evenly
        return stated
    hidden, heads = config.integer(*HIDDEN, least=1), config.integer(*HEADS, least=1)
    if hidden < heads:
        raise config.unusable("num_attention_heads", heads, f"at most hidden_size, which is {hidden}")
    if hidden % heads and any(config.has(key) for key in (*HIDDEN, *HEADS)):
        raise config.unusable("num_attention_heads", heads, f"a divisor of hidden_size, which is {hidden}")
    return int(config.derived("head_dim", hidden // heads, "hidden_size / num_attention_heads"))


def _kv_heads(  # noqa: PLR0911 - one return per rule
    config: Config, traits: Traits, other: Config | None, heads: int, *, sliding: bool
) -> int:
    if traits.kv == "heads":
        return heads
    if traits.kv == "multi_query":
        return 1 if config.flag("multi_query", default=True) else heads
    if traits.kv == "falcon":
        return _falcon_kv_heads(config, heads)
    if other is not None and (own := other.optional_integer(*KV_HEADS, least=1)):
        return own
    if sliding and (own := config.optional_integer("swa_num_key_value_heads", least=1)):
        return own
    if "multi_query_attention" in config.raw and not config.flag("multi_query_attention"):
        return heads
    shared = config.integer(*KV_HEADS, default=heads, least=1)
    return shared * (int(traits.sliding_kv) if sliding else 1)


def _falcon_kv_heads(config: Config, heads: int) -> int:
    """Falcon: 7B has one KV head, 40B and 180B state theirs, 1B (ALiBi) has all."""
    if config.flag("new_decoder_architecture"):
        return config.integer("num_kv_heads", "n_head_kv", default=heads, least=1)
    return 1 if config.flag("multi_query", default=True) else heads
