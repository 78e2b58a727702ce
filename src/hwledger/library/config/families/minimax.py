"""MiniMax-Text-01 and MiniMax-M1: lightning attention with softmax attention in between, experts everywhere.

Shapes: transformers 5.24.0 ``models/minimax/modeling_minimax.py``; the state is float32 (vLLM 0.33.0
``model_executor/layers/mamba/linear_attn.py``).
"""

from hwledger.library.config.blocks import grouped_attention, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.families.state_blocks import FULL, LINEAR, attention_of, kinds_of
from hwledger.library.config.geometry import add_rope
from hwledger.library.config.reader import Config
from hwledger.model.mixers import FullAttention, LightningAttention
from hwledger.model.tensors import Part


def read(config: Config) -> Draft:
    """Read a MiniMax; without a list every second layer is softmax attention.

    Raises:
        MalformedError: a list is too short, or there are no experts.
    """
    draft = Draft(config)
    draft.embed()
    attention = attention_of(config)
    lightning = LightningAttention(
        heads=attention.query_heads, head_width=attention.key_width, state_type="float32"
    )
    experts = read_experts(config, width_key="intermediate_size", shared_key="none")
    if experts is None:
        raise config.unusable("num_local_experts", None, "a number of experts")
    for index, kind in enumerate(_kinds(config)):
        with draft.scope(f"model.layers.{index}.", index):
            if kind == FULL:
                grouped_attention(draft, attention)
                add_rope(draft, attention.key_width, kind)
            else:
                _lightning(draft, attention)
            routed_experts(draft, experts, name="block_sparse_moe")
            draft.norm("input_layernorm", draft.hidden)
            draft.norm("post_attention_layernorm", draft.hidden)
        draft.layer(kind, attention if kind == FULL else lightning, channel=experts)
    draft.norm("model.norm", draft.hidden)
    return draft


def _kinds(config: Config) -> list[str]:
    count = config.layer_count()
    if (stated := kinds_of(config, "layer_types", (FULL, LINEAR))) is not None:
        if len(stated) != count:
            raise config.unusable("layer_types", f"{len(stated)} entries", f"{count} entries, one per layer")
        return stated
    flags = config.sequence("attn_type_list", length=count)
    if flags is not None:  # the files of the first release: 1 is softmax attention
        return [FULL if flag == 1 else LINEAR for flag in flags[:count]]
    return [LINEAR if index % 2 == 0 else FULL for index in range(count)]


def _lightning(draft: Draft, attention: FullAttention) -> None:
    inner = attention.query_heads * attention.key_width
    with draft.scope("self_attn."):
        draft.linear("qkv_proj", 3 * inner, draft.hidden, Part.STATE)
        draft.linear("output_gate", inner, draft.hidden, Part.STATE)
        draft.linear("out_proj", draft.hidden, inner, Part.STATE)
        draft.norm("norm", inner)
