"""Gemma 4's text model. Source: transformers 5.23.0 ``models/gemma4`` (configuration and modeling)."""

from hwledger.library.config.blocks import dense_mlp
from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP, MixtureOfExperts
from hwledger.model.mixers import FullAttention, SlidingAttention
from hwledger.model.tensors import Part, Split

SLIDING, FULL = "sliding_attention", "full_attention"
_PATTERN = 6  # five sliding layers, then a full one


def read(config: Config) -> Draft:
    """Read the decoder: two head widths, shared caches, per-layer embeddings, experts beside the MLP."""
    draft = Draft(config)
    draft.embed()
    kinds = layer_kinds(config, _PATTERN)
    sources = shared_caches(kinds, config.integer("num_kv_shared_layers", default=0))
    moe = _experts(config)
    for index, kind in enumerate(kinds):
        attention = _attention(config, kind, sources[index])
        wide = config.flag("use_double_wide_mlp") and sources[index] is not None
        mlp = DenseMLP(width=config.integer("intermediate_size", least=1) * (2 if wide else 1))
        with draft.scope(f"model.layers.{index}.", index):
            add_attention(draft, attention, reuses_keys=config.flag("attention_k_eq_v") and kind == FULL)
            dense_mlp(draft, mlp)
            for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
                draft.norm(f"{name}_layernorm", draft.hidden)
            add_per_layer_input(draft)
            if moe:
                _add_experts(draft, moe)
        channel: ChannelMixer = moe or mlp
        draft.layer(kind, attention, channel=channel)
    draft.norm("model.norm", draft.hidden)
    add_per_layer_embedding(draft)
    return draft


def layer_kinds(config: Config, pattern: int, *, last_full: bool = True) -> list[str]:
    """Return the kind of each layer: stated, or one in ``pattern`` full, and the last with ``last_full``."""
    count = config.layer_count()
    stated = config.sequence("layer_types", length=count)
    if stated is None:
        kinds = [FULL if (index + 1) % pattern == 0 else SLIDING for index in range(count)]
        config.derived("layer_types", f"{pattern - 1}:1", f"every layer is sliding but each {pattern}th")
    else:
        kinds = [str(kind) for kind in stated[:count]]
        for kind in kinds:
            if kind not in (SLIDING, FULL):
                raise config.unusable("layer_types", kind, f"{SLIDING} or {FULL}")
    if last_full:
        kinds[-1] = FULL
    return kinds


def shared_caches(kinds: list[str], shared: int) -> list[int | None]:
    """Return, per layer, the earlier layer whose cache it reads: the last own one of its kind."""
    first = len(kinds) - shared if 0 < shared < len(kinds) else len(kinds)
    last = {kind: index for index, kind in enumerate(kinds[:first])}
    return [last.get(kind) if index >= first else None for index, kind in enumerate(kinds)]


def _attention(config: Config, kind: str, source: int | None) -> FullAttention | SlidingAttention:
    heads = config.integer("num_attention_heads", least=1)
    groups = config.integer("num_key_value_heads", default=heads, least=1)
    if kind == SLIDING:
        width = config.integer("head_dim", default=256, least=1)
        return SlidingAttention(
            query_heads=heads, kv_heads=groups, key_width=width, value_width=width,
            shares_cache_of=source, window=config.integer("sliding_window", default=512, least=1),
        )  # fmt: skip
    width = config.integer("global_head_dim", default=512, least=1)
    if config.flag("attention_k_eq_v"):
        groups = config.optional_integer("num_global_key_value_heads", least=1) or groups
    return FullAttention(
        query_heads=heads, kv_heads=groups, key_width=width, value_width=width, shares_cache_of=source
    )


def add_attention(draft: Draft, attention: FullAttention | SlidingAttention, *, reuses_keys: bool) -> None:
    """Add the projections; a layer that reads another's cache has no keys and values of its own."""
    bias, part, width = draft.config.flag("attention_bias"), Part.ATTENTION, attention.key_width
    draft.linear("self_attn.q_proj", attention.query_heads * width, draft.hidden, part, bias=bias)
    draft.norm("self_attn.q_norm", width)
    if attention.shares_cache_of is None:
        draft.norm("self_attn.k_norm", width)
        for name in ("k_proj",) if reuses_keys else ("k_proj", "v_proj"):
            draft.linear(
                f"self_attn.{name}", attention.kv_heads * width, draft.hidden, part, bias=bias,
                split=Split.KV_HEADS,
            )  # fmt: skip
    draft.linear("self_attn.o_proj", draft.hidden, attention.query_heads * width, part, bias=bias)


def add_per_layer_input(draft: Draft) -> None:
    """Add what mixes a layer's slice of the per-layer embedding into the stream, where there is one."""
    width = draft.config.optional_integer("hidden_size_per_layer_input")
    if width:
        draft.linear("per_layer_input_gate", width, draft.hidden, Part.OTHER, split=Split.REPLICATED)
        draft.linear("per_layer_projection", draft.hidden, width, Part.OTHER, split=Split.REPLICATED)
        draft.norm("post_per_layer_input_norm", draft.hidden)


def add_per_layer_embedding(draft: Draft) -> None:
    """Add the embedding that each layer reads its own slice of, and its projection from the main one."""
    config = draft.config
    width, layers = config.optional_integer("hidden_size_per_layer_input"), config.layer_count()
    if not width:
        return
    rows = config.integer("vocab_size_per_layer_input", default=draft.vocab, least=1)
    draft.add(
        "model.embed_tokens_per_layer.weight",
        (rows, layers * width),
        Part.PER_LAYER_EMBEDDING,
        split=Split.VOCAB,
    )
    draft.linear("model.per_layer_model_projection", layers * width, draft.hidden, Part.OTHER)
    draft.norm("model.per_layer_projection_norm", width)


def _experts(config: Config) -> MixtureOfExperts | None:
    if not config.flag("enable_moe_block"):
        return None
    return MixtureOfExperts(
        experts=config.integer("num_experts", least=1),
        active_experts=config.integer("top_k_experts", least=1),
        expert_width=config.integer("moe_intermediate_size", "expert_intermediate_size", least=1),
        shared_width=config.integer("intermediate_size", least=1),
    )


def _add_experts(draft: Draft, moe: MixtureOfExperts) -> None:
    """Add routed experts beside the dense block, with a scaled router and three norms of their own."""
    draft.add("router.scale", (draft.hidden,), Part.ROUTER)
    draft.add("router.per_expert_scale", (moe.experts,), Part.ROUTER)
    draft.linear("router.proj", moe.experts, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
    for name in ("gate_proj", "up_proj"):
        draft.linear(f"experts.*.{name}", moe.expert_width, draft.hidden, Part.EXPERTS, copies=moe.experts)
    draft.linear("experts.*.down_proj", draft.hidden, moe.expert_width, Part.EXPERTS, copies=moe.experts)
    for name in (
        "post_feedforward_layernorm_1",
        "post_feedforward_layernorm_2",
        "pre_feedforward_layernorm_2",
    ):
        draft.norm(name, draft.hidden)
