"""Encoder-decoders: Whisper, BART and its kin, T5 and its kin.

Source: transformers 5.24.0 ``modeling_*.py`` of whisper, bart, mbart, m2m_100, pegasus, marian, blenderbot
and t5.
"""

from dataclasses import dataclass

from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import CrossAttention, FullAttention
from hwledger.model.tensors import Part, Split

_OFFSET = 2  # rows that BART's learned positions keep free
_DECODER_ONLY = "ForCausalLM"


@dataclass(frozen=True, slots=True)
class _Stack:
    """What sets a kin of BART apart: rows of positions before the first (``None``: no table), norms."""

    offset: int | None = _OFFSET
    embed_norm: bool = True
    final_norm: bool = False


_STACKS = {
    "mbart": _Stack(final_norm=True),
    "m2m_100": _Stack(offset=None, embed_norm=False, final_norm=True),  # also NLLB
    "pegasus": _Stack(offset=0, embed_norm=False, final_norm=True),
    "blenderbot": _Stack(offset=0, embed_norm=False, final_norm=True),
    "blenderbot-small": _Stack(offset=0),
    "marian": _Stack(offset=0, embed_norm=False),
}


def bart(config: Config) -> Draft:
    """Read BART and its kin, which differ in their positions and in the norms around their stacks."""
    draft, stack = Draft(config), _STACKS.get(config.model_type, _Stack())
    draft.tied = True
    draft.add("shared.weight", (draft.vocab, draft.hidden), Part.EMBEDDING, split=Split.VOCAB)
    positions = config.integer("max_position_embeddings", least=1)
    for side in _sides(config):
        if stack.offset is not None:
            shape = (positions + stack.offset, draft.hidden)
            draft.add(f"{side}.embed_positions.weight", shape, Part.EMBEDDING)
        if stack.embed_norm:
            draft.norm(f"{side}.layernorm_embedding", draft.hidden, bias=True)
        if stack.final_norm:
            draft.norm(f"{side}.layer_norm", draft.hidden, bias=True)
    _add_stacks(draft, positions, key_bias=True)
    return draft


def whisper(config: Config) -> Draft:
    """Read Whisper: two convolutions over the spectrogram, then BART's layers without a bias on keys."""
    draft = Draft(config)
    draft.tied = True
    source = config.integer("max_source_positions", least=1)
    target = config.integer("max_target_positions", least=1)
    hidden = draft.hidden
    draft.add("model.decoder.embed_tokens.weight", (draft.vocab, hidden), Part.EMBEDDING, split=Split.VOCAB)
    draft.add("model.decoder.embed_positions.weight", (target, hidden), Part.EMBEDDING)
    for side in _sides(config):
        draft.norm(f"{side}.layer_norm", hidden, bias=True)
    if "encoder" in _sides(config):
        bins = config.integer("num_mel_bins", least=1)
        for name, inputs in (("conv1", bins), ("conv2", hidden)):
            draft.add(f"model.encoder.{name}.weight", (hidden, inputs, 3), Part.OTHER)
            draft.add(f"model.encoder.{name}.bias", (hidden,), Part.OTHER)
        draft.add("model.encoder.embed_positions.weight", (source, hidden), Part.EMBEDDING)
    _add_stacks(draft, source, key_bias=False)
    return draft


def _sides(config: Config) -> tuple[str, ...]:
    """Return the stacks that the stated class builds: a decoder alone where it is a ``…ForCausalLM``."""
    classes = config.value("architectures") or [""]
    alone = isinstance(classes, list) and str(classes[0]).endswith(_DECODER_ONLY)
    return ("decoder",) if alone else ("encoder", "decoder")


def _add_stacks(draft: Draft, source_tokens: int, *, key_bias: bool) -> None:
    config = draft.config
    for side in _sides(config):
        heads = config.integer(f"{side}_attention_heads", least=1)
        width = draft.hidden // heads
        mlp = DenseMLP(width=config.integer(f"{side}_ffn_dim", least=1), gated=False)
        attention = FullAttention(query_heads=heads, kv_heads=heads, key_width=width, value_width=width)
        cross = CrossAttention(
            query_heads=heads, kv_heads=heads, key_width=width, value_width=width, source_tokens=source_tokens
        )
        for index in range(config.layer_count(f"{side}_layers")):
            decodes = side == "decoder"
            with draft.scope(f"model.{side}.layers.{index}."):
                for name in ("self_attn", "encoder_attn") if decodes else ("self_attn",):
                    _add_attention(draft, name, index if decodes else None, key_bias=key_bias)
                _add_mlp(draft, mlp, index if decodes else None)
            if decodes:
                draft.layer("full_attention", attention, cross, channel=mlp)
            else:
                draft.encoder_layers.append(encoder_layer(index, attention, mlp))


def encoder_layer(
    index: int, attention: FullAttention, mlp: DenseMLP, kind: str = "full_attention"
) -> LayerSpec:
    """Return an encoder layer; it keeps no cache."""
    return LayerSpec(index=index, kind=kind, mixers=(attention,), channel=mlp)


def _add_attention(draft: Draft, name: str, layer: int | None, *, key_bias: bool) -> None:
    with draft.scope("", layer):
        for matrix in ("k_proj", "v_proj", "q_proj", "out_proj"):
            bias = key_bias or matrix != "k_proj"
            draft.linear(f"{name}.{matrix}", draft.hidden, draft.hidden, Part.ATTENTION, bias=bias)
        draft.norm(f"{name}_layer_norm", draft.hidden, bias=True)


def _add_mlp(draft: Draft, mlp: DenseMLP, layer: int | None) -> None:
    with draft.scope("", layer):
        draft.linear("fc1", mlp.width, draft.hidden, Part.MLP, bias=True)
        draft.linear("fc2", draft.hidden, mlp.width, Part.MLP, bias=True)
        draft.norm("final_layer_norm", draft.hidden, bias=True)


_T5_TOKENS = 512  # T5 has relative positions; this is the length it was trained with


def t5(config: Config) -> Draft:
    """Read T5, mT5, UMT5 and Flan-T5: relative positions, RMS norms, heads wider or narrower than hidden."""
    draft = Draft(config)
    draft.tied = True  # transformers 5 ties whatever the file says: ``false`` only turns a scale off
    draft.add("shared.weight", (draft.vocab, draft.hidden), Part.EMBEDDING, split=Split.VOCAB)
    heads = config.integer("num_heads", least=1)
    width = config.integer("d_kv", least=1)
    attention = FullAttention(query_heads=heads, kv_heads=heads, key_width=width, value_width=width)
    tokens = config.integer("n_positions", default=_T5_TOKENS, least=1)
    cross = CrossAttention(
        query_heads=heads, kv_heads=heads, key_width=width, value_width=width, source_tokens=tokens
    )
    gated = config.text("feed_forward_proj", default="relu").startswith("gated")
    mlp = DenseMLP(width=config.integer("d_ff", least=1), gated=gated)
    layers = config.layer_count("num_layers", "num_hidden_layers")
    _t5_stack(draft, "encoder", layers, attention, mlp)
    for index in range(layers):
        draft.encoder_layers.append(encoder_layer(index, attention, mlp))
    decoders = config.optional_integer("num_decoder_layers", least=1) or layers
    _t5_stack(draft, "decoder", decoders, attention, mlp)
    for _ in range(decoders):
        draft.layer("full_attention", attention, cross, channel=mlp)
    return draft


def _t5_stack(draft: Draft, side: str, layers: int, attention: FullAttention, mlp: DenseMLP) -> None:
    """Add one stack; every layer of UMT5, the first one of the others, has its own table of distances."""
    decodes, config = side == "decoder", draft.config
    buckets = config.integer("relative_attention_num_buckets", default=32, least=1)
    for index in range(layers):
        with draft.scope(f"{side}.block.{index}.layer.", index if decodes else None):
            blocks = ("0.SelfAttention", "1.EncDecAttention") if decodes else ("0.SelfAttention",)
            for name in blocks:
                _t5_attention(draft, name, attention)
            if index == 0 or config.model_type == "umt5":
                table = "0.SelfAttention.relative_attention_bias.weight"
                draft.add(table, (buckets, attention.query_heads), Part.ATTENTION)
            place = len(blocks)
            for matrix in ("wi_0", "wi_1") if mlp.gated else ("wi",):
                draft.linear(f"{place}.DenseReluDense.{matrix}", mlp.width, draft.hidden, Part.MLP)
            draft.linear(f"{place}.DenseReluDense.wo", draft.hidden, mlp.width, Part.MLP)
            draft.norm(f"{place}.layer_norm", draft.hidden)
    draft.norm(f"{side}.final_layer_norm", draft.hidden)


def _t5_attention(draft: Draft, name: str, attention: FullAttention) -> None:
    inner = attention.query_heads * attention.key_width
    for matrix in ("q", "k", "v"):
        draft.linear(f"{name}.{matrix}", inner, draft.hidden, Part.ATTENTION)
    draft.linear(f"{name}.o", draft.hidden, inner, Part.ATTENTION)
    draft.norm(f"{name.split('.', maxsplit=1)[0]}.layer_norm", draft.hidden)
