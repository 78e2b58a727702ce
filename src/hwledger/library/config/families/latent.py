"""Latent-attention families: DeepSeek-V2 and -V3, V3.2 and GLM-5 with indexers, Kimi-K2, GLM-4.7-Flash.

Shapes: transformers 5.23.0 ``models/deepseek_v3/modeling_deepseek_v3.py`` and its kin. The
multi-token-prediction head of V3 is in the checkpoint and not in the class.
"""

from hwledger.library.config.blocks import dense_mlp, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts, sparse_layers
from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer, DenseMLP
from hwledger.model.mixers import Indexer, LatentAttention
from hwledger.model.tensors import Part, Split

INDEXED = "indexed_attention"
FULL = "full_attention"
LEADING_DENSE = {"glm4_moe_lite": 1}
"""Dense layers at the start where ``first_k_dense_replace`` is not a key of the class."""


def read(config: Config) -> Draft:
    """Read a decoder of latent attention and dense or routed experts.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    indexed = indexed_layers(config, count)
    experts = read_experts(config)
    leading = LEADING_DENSE.get(config.model_type, 0)
    sparse = sparse_layers(config, count, leading) if experts else [False] * count
    dense = None if all(sparse) else DenseMLP(width=config.integer("intermediate_size", least=1))
    for index in range(count):
        attention = read_latent(config, own_indexer=indexed is not None and indexed[index])
        kind = FULL if indexed is None else INDEXED
        _layer(draft, attention, experts if sparse[index] else dense, kind, index)
    draft.norm("model.norm", draft.hidden)
    _heads(draft, experts if any(sparse) else dense, indexed is not None)
    draft.rope_tables.add((config.integer("max_position_embeddings", default=4096), attention.rope_width))
    return draft


def read_latent(config: Config, *, own_indexer: bool) -> LatentAttention:
    """Return the latent attention of one layer.

    A ``q_lora_rank`` of null means that queries are not compressed, which differs from its absence:
    the class default is a rank.
    """
    indexer = None
    if own_indexer:
        indexer = Indexer(
            heads=config.integer("index_n_heads", least=1),
            key_width=config.integer("index_head_dim", least=1),
            top_k=config.integer("index_topk", least=1),
        )
    return LatentAttention(
        query_heads=config.integer("num_attention_heads", least=1),
        latent_rank=config.integer("kv_lora_rank", least=1),
        rope_width=config.integer("qk_rope_head_dim", least=1),
        nope_width=config.integer("qk_nope_head_dim", least=1),
        value_width=config.integer("v_head_dim", least=1),
        query_rank=config.optional_integer("q_lora_rank") or None,
        indexer=indexer,
        expanded=config.model_type == "minicpm3",
    )


def indexed_layers(config: Config, count: int) -> list[bool] | None:
    """Return for each layer whether it has an indexer of its own; ``None`` for a dense model.

    ``indexer_types`` says it outright; else ``index_topk_pattern`` (``F`` or ``S`` per layer), else every
    ``index_topk_freq``-th layer counted from ``index_skip_topk_offset`` (vLLM 0.33.0 ``deepseek_v2.py``).

    Raises:
        MalformedError: a list or pattern is shorter than the number of layers.
    """
    if config.optional_integer("index_topk") is None:
        return None
    types = config.sequence("indexer_types", length=count)
    if types is not None:
        return [entry == "full" for entry in types[:count]]
    pattern = config.value("index_topk_pattern")
    if isinstance(pattern, str) and pattern:
        if len(pattern) < count:
            raise config.unusable("index_topk_pattern", pattern, f"{count} letters, one per layer")
        return [letter.upper() == "F" for letter in pattern[:count]]
    frequency = config.integer("index_topk_freq", default=1, least=1)
    offset = config.integer("index_skip_topk_offset", default=2)
    return [max(index - offset + 1, 0) % frequency == 0 for index in range(count)]


def latent_attention(draft: Draft, attention: LatentAttention, name: str = "self_attn") -> None:
    """Add the projections and norms of one latent attention, its indexer included."""
    heads, bias = attention.query_heads, draft.config.flag("attention_bias")
    with draft.scope(f"{name}."):
        queries = heads * attention.expanded_key_width
        if attention.query_rank:
            draft.linear("q_a_proj", attention.query_rank, draft.hidden, Part.ATTENTION, bias=bias,
                         split=Split.REPLICATED)  # fmt: skip
            draft.norm("q_a_layernorm", attention.query_rank)
            draft.linear("q_b_proj", queries, attention.query_rank, Part.ATTENTION)
        else:
            draft.linear("q_proj", queries, draft.hidden, Part.ATTENTION)
        draft.linear("kv_a_proj_with_mqa", attention.elements_per_token, draft.hidden, Part.ATTENTION,
                     bias=bias, split=Split.REPLICATED)  # fmt: skip
        draft.norm("kv_a_layernorm", attention.latent_rank)
        width = attention.nope_width + attention.value_width
        draft.linear("kv_b_proj", heads * width, attention.latent_rank, Part.ATTENTION)
        draft.linear("o_proj", draft.hidden, heads * attention.value_width, Part.ATTENTION, bias=bias)
        if attention.indexer:
            _indexer(draft, attention.indexer, attention.query_rank or draft.hidden)


def _indexer(draft: Draft, indexer: Indexer, query_rank: int) -> None:
    with draft.scope("indexer."):
        width, whole = indexer.key_width, Split.REPLICATED
        draft.linear("wq_b", indexer.heads * width, query_rank, Part.INDEXER, split=whole)
        draft.linear("wk", width, draft.hidden, Part.INDEXER, split=whole)
        draft.norm("k_norm", width, bias=True)
        draft.linear("weights_proj", indexer.heads, draft.hidden, Part.INDEXER, split=whole)


def _layer(  # noqa: PLR0913 - a layer is what it is
    draft: Draft,
    attention: LatentAttention,
    channel: ChannelMixer | None,
    kind: str,
    index: int,
    *,
    mtp: bool = False,
) -> None:
    with draft.scope(f"model.layers.{index}.", index):
        latent_attention(draft, attention)
        if isinstance(channel, DenseMLP):
            dense_mlp(draft, channel, bias=draft.config.flag("mlp_bias"))
        elif channel is not None:
            routed_experts(draft, channel)
        draft.norm("input_layernorm", draft.hidden)
        draft.norm("post_attention_layernorm", draft.hidden)
    draft.layer(kind, attention, channel=channel, mtp=mtp)


def _heads(draft: Draft, channel: ChannelMixer | None, indexed: bool) -> None:  # noqa: FBT001 - private
    """Add the MTP heads: a sparse layer, a projection of two streams and norms.

    DeepSeek-V3's checkpoints hold copies of embedding and output matrix besides, GLM-5's do not
    (vLLM 0.33.0 ``model_executor/models/deepseek_mtp.py``).
    """
    config = draft.config
    count = config.integer("num_nextn_predict_layers", default=0)
    if count > config.layer_count():
        raise config.unusable("num_nextn_predict_layers", count, "at most the number of layers")
    copies = config.model_type in {"deepseek_v3", "deepseek_v32", "kimi_k2"}
    kind = INDEXED if indexed else FULL
    with draft.mtp():
        for index in range(len(draft.layers), len(draft.layers) + count):
            _layer(draft, read_latent(config, own_indexer=indexed), channel, kind, index, mtp=True)
            with draft.scope(f"model.layers.{index}.", index):
                draft.linear("eh_proj", draft.hidden, 2 * draft.hidden, Part.OTHER, split=Split.REPLICATED)
                for name in ("enorm", "hnorm", "shared_head.norm"):
                    draft.norm(name, draft.hidden)
                if copies:
                    shape = (draft.vocab, draft.hidden)
                    draft.add("embed_tokens.weight", shape, Part.EMBEDDING, split=Split.VOCAB)
                    draft.linear("shared_head.head", *shape, Part.LM_HEAD, split=Split.VOCAB)
