"""RecurrentGemma (Griffin): gated linear recurrences with windowed attention in every third layer.

Shapes: transformers 5.24.0 ``models/recurrent_gemma/modeling_recurrent_gemma.py``.
"""

from hwledger.library.config.blocks import dense_mlp, grouped_attention
from hwledger.library.config.draft import Draft
from hwledger.library.config.families.state_blocks import LINEAR, add_convolution, attention_of
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.pattern import SLIDING
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import GatedLinearRecurrence, SlidingAttention
from hwledger.model.tensors import Part, Split

_BLOCKS = ["recurrent", "recurrent", "attention"]


def read(config: Config) -> Draft:
    """Read a RecurrentGemma; ``block_types`` repeats over the layers.

    Raises:
        MalformedError: ``block_types`` names another block, or the heads do not divide.
    """
    draft = Draft(config)
    draft.embed(tied=config.flag("tie_word_embeddings", default=True))
    attention, recurrence = _attention(config), _recurrence(config)
    mlp = DenseMLP(width=config.integer("intermediate_size", least=2) // 2)
    blocks = _blocks(config)
    for index in range(config.layer_count()):
        recurs = blocks[index % len(blocks)] == "recurrent"
        with draft.scope(f"model.layers.{index}.", index):
            if recurs:
                _add_recurrence(draft, recurrence, attention.query_heads)
            else:
                bias = config.flag("attention_bias")
                grouped_attention(draft, attention, name="temporal_block", qkv_bias=bias, out_bias=True)
                add_rope(draft, attention.key_width, SLIDING)
            dense_mlp(draft, mlp, name="mlp_block", bias=True)
            draft.norm("temporal_pre_norm", draft.hidden)
            draft.norm("channel_pre_norm", draft.hidden)
        draft.layer(LINEAR if recurs else SLIDING, recurrence if recurs else attention, channel=mlp)
    draft.norm("model.final_norm", draft.hidden)
    return draft


def _blocks(config: Config) -> list[str]:
    blocks = config.sequence("block_types", "_block_types") or _BLOCKS
    if any(block not in ("recurrent", "attention") for block in blocks):
        raise config.unusable("block_types", blocks, "a list of recurrent and attention")
    return blocks


def _attention(config: Config) -> SlidingAttention:
    full = attention_of(config)
    window = config.integer("attention_window_size", "sliding_window", default=2048, least=1)
    return SlidingAttention(
        query_heads=full.query_heads,
        kv_heads=full.kv_heads,
        key_width=full.key_width,
        value_width=full.value_width,
        window=window,
    )


def _recurrence(config: Config) -> GatedLinearRecurrence:
    width = config.optional_integer("lru_width", least=1) or config.integer("hidden_size", least=1)
    taps = config.integer("conv1d_width", default=4, least=1)
    return GatedLinearRecurrence(width=width, conv_kernel=taps, state_type="float32")


def _add_recurrence(draft: Draft, recurrence: GatedLinearRecurrence, heads: int) -> None:
    """Add two input projections, a convolution, the recurrence with its block-diagonal gates, the output."""
    width, block = recurrence.width, recurrence.width // heads
    with draft.scope("temporal_block."):
        draft.linear("linear_y", width, draft.hidden, Part.STATE, bias=True)
        draft.linear("linear_x", width, draft.hidden, Part.STATE, bias=True)
        draft.linear("linear_out", draft.hidden, width, Part.STATE, bias=True)
        add_convolution(draft, "conv_1d", width, recurrence.conv_kernel, bias=True)
        draft.add("rg_lru.recurrent_param", (width,), Part.STATE, split=Split.SHARDED)
        for gate in ("input_gate", "recurrent_gate"):
            draft.add(f"rg_lru.{gate}_weight", (heads, block, block), Part.STATE, split=Split.SHARDED)
            draft.add(f"rg_lru.{gate}_bias", (heads, block), Part.STATE, split=Split.SHARDED)
