"""Building blocks that many families share; each adds the tensors of one block to a draft."""

from hwledger.library.config.draft import Draft
from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.mixers import FullAttention, SlidingAttention
from hwledger.model.tensors import Part, Split


def grouped_attention(  # noqa: PLR0913 - the knobs that families really turn
    draft: Draft,
    attention: FullAttention | SlidingAttention,
    *,
    name: str = "self_attn",
    qkv_bias: bool = False,
    out_bias: bool = False,
    gate: bool = False,
    hidden: int | None = None,
) -> None:
    """Add separate q, k, v and o projections; ``gate`` doubles q for an output gate."""
    width = hidden or draft.hidden
    queries = attention.query_heads * attention.key_width
    part = Part.ATTENTION
    draft.linear(f"{name}.q_proj", queries * (2 if gate else 1), width, part, bias=qkv_bias)
    draft.linear(
        f"{name}.k_proj",
        attention.kv_heads * attention.key_width,
        width,
        part,
        bias=qkv_bias,
        split=Split.KV_HEADS,
    )
    draft.linear(
        f"{name}.v_proj",
        attention.kv_heads * attention.value_width,
        width,
        part,
        bias=qkv_bias,
        split=Split.KV_HEADS,
    )
    draft.linear(f"{name}.o_proj", width, attention.query_heads * attention.value_width, part, bias=out_bias)


def dense_mlp(
    draft: Draft, mlp: DenseMLP, *, name: str = "mlp", bias: bool = False, part: Part = Part.MLP
) -> None:
    """Add gate (where gated), up and down projections."""
    names = ("gate_proj", "up_proj") if mlp.gated else ("up_proj",)
    for matrix in names:
        draft.linear(f"{name}.{matrix}", mlp.width, draft.hidden, part, bias=bias)
    draft.linear(f"{name}.down_proj", draft.hidden, mlp.width, part, bias=bias)


def routed_experts(  # noqa: PLR0913 - the knobs that families really turn
    draft: Draft,
    moe: MixtureOfExperts,
    *,
    name: str = "mlp",
    router: str = "gate",
    router_bias: bool = False,
    expert_bias: bool = False,
    shared: str = "shared_experts",
) -> None:
    """Add the router, the routed experts (as copies of one) and the shared experts."""
    draft.linear(
        f"{name}.{router}", moe.experts, draft.hidden, Part.ROUTER, bias=router_bias, split=Split.REPLICATED
    )
    expert = f"{name}.experts.*"
    names = ("gate_proj", "up_proj") if moe.gated else ("up_proj",)
    for matrix in names:
        draft.linear(
            f"{expert}.{matrix}",
            moe.expert_width,
            draft.hidden,
            Part.EXPERTS,
            bias=expert_bias,
            copies=moe.experts,
        )
    draft.linear(
        f"{expert}.down_proj",
        draft.hidden,
        moe.expert_width,
        Part.EXPERTS,
        bias=expert_bias,
        copies=moe.experts,
    )
    if moe.shared_width:
        dense_mlp(
            draft,
            DenseMLP(width=moe.shared_width, gated=moe.gated),
            name=f"{name}.{shared}",
            part=Part.SHARED_EXPERTS,
        )
