"""DeepSeek-V4: a window of full records beside a compressed cache, hyper-connections, hashed routing.

Shapes: transformers 5.23.0 ``models/deepseek_v4/modeling_deepseek_v4.py``. ``deepseek_ref`` is the same
model in a shorter file.
"""

from hwledger.library.config.blocks import routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.reader import Config
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.mixers import CompressedAttention, Indexer
from hwledger.model.tensors import Part, Split

SPARSE_RATIO, HEAVY_RATIO = 4, 128
KINDS = {
    0: "sliding_attention",
    1: "sliding_attention",
    SPARSE_RATIO: "compressed_sparse_attention",
    HEAVY_RATIO: "heavily_compressed_attention",
}
RATIOS = {"sliding_attention": 0, KINDS[SPARSE_RATIO]: SPARSE_RATIO, KINDS[HEAVY_RATIO]: HEAVY_RATIO}


def read(config: Config) -> Draft:
    """Read a DeepSeek-V4 decoder and its MTP heads.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    draft.embed()
    count = config.layer_count()
    heads = config.integer("num_nextn_predict_layers", default=0)
    if heads > count:
        raise config.unusable("num_nextn_predict_layers", heads, "at most the number of layers")
    experts = read_experts(config)
    if experts is None:
        raise config.unusable("n_routed_experts", None, "at least 1")
    ratios = layer_ratios(config, count)
    for index, ratio in enumerate(ratios[:count]):
        _layer(draft, experts, ratio, index)
    draft.norm("model.norm", draft.hidden)
    _stream_head(draft, "model.hc_head.")
    _heads(draft, experts, (ratios[count:] + [0] * heads)[:heads])
    return draft


def layer_ratios(config: Config, count: int) -> list[int]:
    """Return the compression ratio of each layer, and of MTP heads where the list goes on.

    ``layer_types`` goes before ``compress_ratios``; without either, two heavily compressed layers are
    followed by turns of both kinds (transformers 5.23.0 ``configuration_deepseek_v4.py``).

    Raises:
        MalformedError: a list is too short or has an entry that is not known.
    """
    if config.has("layer_types"):
        types = config.sequence("layer_types", length=count) or []
        if any(not isinstance(each, str) or each not in RATIOS for each in types):
            raise config.unusable("layer_types", types, f"a list of {', '.join(RATIOS)}")
        return [RATIOS[each] for each in types[:count]]
    if config.has("compress_ratios"):
        ratios = config.sequence("compress_ratios", length=count) or []
        if any(isinstance(each, bool) or not isinstance(each, int) or each not in KINDS for each in ratios):
            raise config.unusable("compress_ratios", ratios, "a list of 0, 1, 4 and 128")
        return ratios
    turns = [SPARSE_RATIO if index % 2 else HEAVY_RATIO for index in range(max(count - 2, 0))]
    return [HEAVY_RATIO] * min(count, 2) + turns


def read_compressed(config: Config, ratio: int) -> CompressedAttention:
    """Return the attention of a layer of this ratio."""
    width = config.integer("head_dim", least=1)
    indexer = None
    if ratio == SPARSE_RATIO:
        indexer = Indexer(
            heads=config.integer("index_n_heads", least=1),
            key_width=config.integer("index_head_dim", least=1),
            top_k=config.integer("index_topk", least=1),
        )
    return CompressedAttention(
        query_heads=config.integer("num_attention_heads", least=1),
        head_width=width,
        rope_width=config.integer("qk_rope_head_dim", default=width // 8, least=1),
        window=config.integer("sliding_window", least=1),
        ratio=ratio,
        indexer=indexer,
    )


def _layer(draft: Draft, experts: MixtureOfExperts, ratio: int, index: int, *, mtp: bool = False) -> None:
    attention = read_compressed(draft.config, ratio)
    with draft.scope(f"model.layers.{index}.", index):
        _attention(draft, attention)
        routed_experts(draft, experts)
        for name in ("input_layernorm", "post_attention_layernorm"):
            draft.norm(name, draft.hidden)
        for name in ("attn_hc", "ffn_hc"):
            _hyper_connection(draft, name)
    draft.layer(KINDS[ratio], attention, channel=experts, mtp=mtp)
    positions = draft.config.integer("max_position_embeddings", default=4096)
    draft.rope_tables.add((positions, attention.rope_width))


def _attention(draft: Draft, attention: CompressedAttention) -> None:
    """Compressed queries, one shared key-value record, sinks and a grouped output projection."""
    config, part = draft.config, Part.ATTENTION
    rank = config.integer("q_lora_rank", least=1)
    groups = config.integer("o_groups", least=1)
    inner = attention.query_heads * attention.head_width
    if inner % groups:
        raise config.unusable("o_groups", groups, f"a divisor of {inner}, the width of all heads")
    output = groups * config.integer("o_lora_rank", least=1)
    with draft.scope("self_attn."):
        draft.linear("q_a_proj", rank, draft.hidden, part, split=Split.REPLICATED)
        draft.norm("q_a_norm", rank)
        draft.linear("q_b_proj", inner, rank, part)
        draft.linear("kv_proj", attention.head_width, draft.hidden, part, split=Split.REPLICATED)
        draft.norm("kv_norm", attention.head_width)
        draft.linear("o_a_proj", output, inner // groups, part)
        draft.linear("o_b_proj", draft.hidden, output, part)
        draft.add("sinks", (attention.query_heads,), part, split=Split.SHARDED)
        if attention.ratio > 1:
            folds = 2 if attention.indexer else 1
            _compressor(draft, "compressor.", attention.head_width, attention.ratio, folds, part)
        if attention.indexer:
            _indexer(draft, attention.indexer, attention.ratio, rank)


def _compressor(draft: Draft, prefix: str, width: int, ratio: int, folds: int, part: Part) -> None:  # noqa: PLR0913, PLR0917 - sizes of one block
    """Overlapping windows (``folds`` 2) need keys and gates twice as wide."""
    with draft.scope(prefix):
        for name in ("kv_proj", "gate_proj"):
            draft.linear(name, folds * width, draft.hidden, part, split=Split.REPLICATED)
        draft.add("position_bias", (ratio, folds * width), part)
        draft.norm("kv_norm", width)


def _indexer(draft: Draft, indexer: Indexer, ratio: int, rank: int) -> None:
    prefix, whole = "compressor.indexer.", Split.REPLICATED
    _compressor(draft, prefix, indexer.key_width, ratio, 2, Part.INDEXER)
    with draft.scope(prefix):
        draft.linear("q_b_proj", indexer.heads * indexer.key_width, rank, Part.INDEXER, split=whole)
        draft.linear("scorer.weights_proj", indexer.heads, draft.hidden, Part.INDEXER, split=whole)


def _hyper_connection(draft: Draft, name: str) -> None:
    """Weights that mix ``n`` residual streams: n in, n out and n × n between (arXiv 2409.19606)."""
    streams = draft.config.integer("hc_mult", least=1)
    rows = (2 + streams) * streams
    draft.add(f"{name}.fn", (rows, streams * draft.hidden), Part.OTHER)
    draft.add(f"{name}.base", (rows,), Part.OTHER)
    draft.add(f"{name}.scale", (3,), Part.OTHER)


def _stream_head(draft: Draft, prefix: str) -> None:
    """Add the weights that fold the residual streams into one before the output matrix."""
    streams = draft.config.integer("hc_mult", least=1)
    draft.add(f"{prefix}hc_fn", (streams, streams * draft.hidden), Part.OTHER)
    draft.add(f"{prefix}hc_base", (streams,), Part.OTHER)
    draft.add(f"{prefix}hc_scale", (1,), Part.OTHER)


def _heads(draft: Draft, experts: MixtureOfExperts, ratios: list[int]) -> None:
    """Add the MTP heads; embedding and output matrix are the model's own."""
    first = len(draft.layers)
    with draft.mtp():
        for index, ratio in enumerate(ratios, first):
            _layer(draft, experts, ratio, index, mtp=True)
            with draft.scope(f"model.layers.{index}.", index):
                for name in ("e_proj", "h_proj"):
                    draft.linear(name, draft.hidden, draft.hidden, Part.OTHER, split=Split.REPLICATED)
                for name in ("enorm", "hnorm", "norm"):
                    draft.norm(name, draft.hidden)
                _stream_head(draft, "hc_head.")
