"""The common decoder: Llama and the many families that differ from it in a few traits."""

from dataclasses import replace

from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts, sparse_layers
from hwledger.library.config.families import decoder_blocks as blocks
from hwledger.library.config.geometry import add_rope, read_attention, read_width
from hwledger.library.config.pattern import SLIDING, layer_kinds
from hwledger.library.config.reader import MAX_LAYERS, Config
from hwledger.library.config.traits import Names, Traits, holds, names_of, traits_of
from hwledger.model.channel import ChannelMixer, DenseMLP
from hwledger.model.tensors import Part, Split


def read(config: Config) -> Draft:
    """Read a decoder of attention and MLP layers, as the traits of its ``model_type`` say.

    Source: transformers 5.23.0 ``models/<type>/modeling_<type>.py``, per row of traits.csv.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    traits = traits_of(config.model_type)
    add_decoder(draft, traits, names_of(traits.names))
    return draft


def add_decoder(draft: Draft, traits: Traits, names: Names) -> None:
    """Add embedding, layers, final norm and output matrix of a decoder to a draft."""
    if not holds(traits.norm_if, draft.config):
        traits = replace(traits, norm="none")
    _embedding(draft, traits, names)
    add_layers(draft, traits, names)
    if holds(traits.final_norm, draft.config) and traits.norm != "none":
        draft.norm(names.final_norm, draft.hidden, bias=traits.norm == "bias")
    blocks.extras(draft, traits.extra_model, {"hidden": draft.hidden}, Part.OTHER)


def add_layers(draft: Draft, traits: Traits, names: Names) -> None:
    """Add the layers of a decoder to a draft."""
    config = draft.config
    count = config.layer_count()
    kinds = layer_kinds(config, count, traits.pattern)
    gated = holds(traits.gated, config)
    experts = None
    if holds(traits.experts, config):
        experts = read_experts(
            config, gated=gated, width_key=traits.expert_width, shared_key=_shared_key(traits, config)
        )
    sparse = sparse_layers(config, count, int(traits.dense)) if experts else [False] * count
    dense = None if all(sparse) else DenseMLP(width=read_width(config, traits), gated=gated)
    for index, kind in enumerate(kinds):
        _layer(draft, traits, names, index, kind, experts if sparse[index] else dense)
    _mtp_heads(draft, traits, names, kinds[-1], experts if sparse[-1] else dense)


def _shared_key(traits: Traits, config: Config) -> str:
    key, _, condition = traits.shared_width.partition("?")
    return key if traits.shared != "none" and holds(condition or "yes", config) else "none"


def _layer(  # noqa: PLR0913, PLR0917 - a layer is what it is
    draft: Draft,
    traits: Traits,
    names: Names,
    index: int,
    kind: str,
    channel: ChannelMixer | None,
    *,
    mtp: bool = False,
) -> None:
    attention = read_attention(draft.config, traits, kind, index)
    with draft.scope(f"{names.layer}{index}.", index):
        blocks.attention(draft, traits, names, attention, sliding=kind == SLIDING)
        blocks.channel(draft, traits, names, channel)
        blocks.norms(draft, traits)
        blocks.extras(draft, traits.extra_layer, {"hidden": draft.hidden}, Part.OTHER)
    draft.layer(kind, attention, channel=channel, mtp=mtp)
    if traits.positions == "rope":
        add_rope(draft, attention.key_width, kind)


def _mtp_heads(draft: Draft, traits: Traits, names: Names, kind: str, channel: ChannelMixer | None) -> None:
    """Add the MTP heads that the file states: a layer like the last one, a projection of 2 h and norms.

    GLM-4.5's heads carry copies of the embedding and the output matrix (``copies``), MiMo's and
    ERNIE's do not (``plain``). Source: vLLM 0.33.0 ``model_executor/models/glm4_moe_mtp.py``,
    ``mimo_mtp.py``, ``ernie_mtp.py``.
    """
    heads = draft.config.optional_integer("num_nextn_predict_layers") or 0
    if not heads:
        return
    if heads > MAX_LAYERS:
        raise draft.config.unusable("num_nextn_predict_layers", heads, f"at most {MAX_LAYERS}")
    if traits.mtp == "none":
        draft.unknowns.append(f"{heads} MTP heads are in the file and not counted")
        return
    hidden = draft.hidden
    with draft.mtp():
        for index in range(len(draft.layers), len(draft.layers) + heads):
            _layer(draft, traits, names, index, kind, channel, mtp=True)
            with draft.scope(f"{names.layer}{index}.", index):
                draft.linear("eh_proj", hidden, 2 * hidden, Part.OTHER)
                for name in ("enorm", "hnorm", "shared_head.norm"):
                    draft.norm(name, hidden)
                if traits.mtp == "copies":
                    shape = (draft.vocab, hidden)
                    draft.add("embed_tokens.weight", shape, Part.EMBEDDING, split=Split.VOCAB)
                    draft.linear("shared_head.head", *shape, Part.LM_HEAD, split=Split.VOCAB)


def _embedding(draft: Draft, traits: Traits, names: Names) -> None:
    config = draft.config
    if traits.tied == "yes":
        config.derived("tie_word_embeddings", True, "checkpoints of this family have no output matrix")
    width = config.integer("word_embed_proj_dim", default=draft.hidden, least=1)
    if width == draft.hidden:
        draft.embed(
            names.embed,
            head=names.head,
            tied=True if traits.tied == "yes" else None,
            head_bias=holds(traits.head_bias, config),
        )
    else:  # OPT-350M: the embedding is narrower than the residual stream
        draft.tied = config.flag("tie_word_embeddings", default=True)
        stem = names.embed.rpartition(".")[0]
        draft.add(f"{names.embed}.weight", (draft.vocab, width), Part.EMBEDDING, split=Split.VOCAB)
        draft.linear(f"{stem}.project_in", draft.hidden, width, Part.OTHER, split=Split.REPLICATED)
        draft.linear(f"{stem}.project_out", width, draft.hidden, Part.OTHER, split=Split.REPLICATED)
        if not draft.tied:
            draft.linear(names.head, draft.vocab, width, Part.LM_HEAD, split=Split.VOCAB)
    if holds(traits.embed_norm, config):
        draft.norm(names.embed_norm, draft.hidden, bias=traits.norm == "bias")
    _positions(draft, traits, names)


def _positions(draft: Draft, traits: Traits, names: Names) -> None:
    """Add the learned positions; ``learned+2`` has two rows before the first, as in OPT."""
    how, _, before = traits.positions.partition("+")
    if how != "learned":
        return
    rows = draft.config.integer("max_position_embeddings", "n_positions", "max_seq_len", least=1)
    shape = (rows + int(before or 0), draft.hidden)
    draft.add(f"{names.positions}.weight", shape, Part.EMBEDDING)
