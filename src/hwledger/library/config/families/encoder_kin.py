"""Encoders that differ from BERT: Nomic, GTE, DistilBERT, MPNet, ELECTRA and ALBERT.

Source: transformers 5.24.0 ``models/{nomic_bert,gte,distilbert,mpnet,electra,albert}/modeling_*.py``.
"""

from dataclasses import dataclass

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.encoder import class_name
from hwledger.library.config.families.encoder_decoder import encoder_layer
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention
from hwledger.model.tensors import Part, Split


@dataclass(frozen=True, slots=True)
class _Kind:
    """What sets a kin of BERT apart.

    Attributes:
        learned: it has learned positions; rotary ones take no parameters.
        segments: it has an embedding of segments, whose default number this is; 0: none.
        gated: the MLP has a gate.
        bias: attention has biases.
        mlp_bias: biases of the MLP's input and of its output.
        pooler: the plain model has a dense layer over its first token.
        classifies: a classifier has a dense layer before its labels.
        buckets: relative distances with a table of their own (MPNet); 0: none.
    """

    learned: bool = True
    segments: int = 2
    gated: bool = False
    bias: bool = True
    mlp_bias: tuple[bool, bool] = (True, True)
    pooler: bool = False
    classifies: bool = False
    buckets: int = 0


_KINDS = {
    "nomic_bert": _Kind(learned=False, gated=True, bias=False, mlp_bias=(False, False)),
    "gte": _Kind(learned=False, segments=1, gated=True, mlp_bias=(False, True)),
    "new": _Kind(learned=False, segments=1, gated=True, mlp_bias=(False, True)),
    "distilbert": _Kind(segments=0, classifies=True),
    "mpnet": _Kind(segments=0, pooler=True, classifies=True, buckets=32),
    "electra": _Kind(classifies=True),
    "albert": _Kind(pooler=True),
}
_PREDICTING = ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForPreTraining")


def read(config: Config) -> Draft:
    """Read an encoder of the table above; it keeps no cache.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    kind, draft = _KINDS[config.model_type], Draft(config)
    draft.tied = True
    inner = _embeddings(draft, kind)
    mlp = DenseMLP(width=_width(draft), gated=kind.gated)
    heads = config.integer("num_attention_heads", "n_heads", "n_head", least=1)
    width = draft.hidden // heads
    attention = FullAttention(query_heads=heads, kv_heads=heads, key_width=width, value_width=width)
    count = config.layer_count()
    shared = config.integer("num_hidden_groups", default=count, least=1)  # ALBERT's layers share weights
    for index in range(count):
        if index < shared:
            with draft.scope(f"encoder.layer.{index}."):
                _layer(draft, kind, mlp)
        draft.encoder_layers.append(encoder_layer(index, attention, mlp))
    if kind.buckets:
        rows = config.integer("relative_attention_num_buckets", default=kind.buckets, least=1)
        draft.add("encoder.relative_attention_bias.weight", (rows, heads), Part.ATTENTION)
    _head(draft, kind, inner)
    return draft


def _width(draft: Draft) -> int:
    stated = draft.config.optional_integer("intermediate_size", "n_inner", "hidden_dim", least=1)
    return stated or 4 * draft.hidden


def _embeddings(draft: Draft, kind: _Kind) -> int:
    """Add the embeddings and return their width, which ELECTRA and ALBERT widen by a matrix."""
    config = draft.config
    width = config.integer("embedding_size", default=draft.hidden, least=1)
    with draft.scope("embeddings."):
        draft.add("word_embeddings.weight", (draft.vocab, width), Part.EMBEDDING, split=Split.VOCAB)
        if kind.learned:
            positions = config.integer("max_position_embeddings", least=1)
            draft.add("position_embeddings.weight", (positions, width), Part.EMBEDDING)
        if kind.segments:
            segments = config.integer("type_vocab_size", default=kind.segments)
            draft.add("token_type_embeddings.weight", (segments, width), Part.EMBEDDING)
        draft.norm("LayerNorm", width, bias=True)
    if width != draft.hidden or config.model_type == "albert":
        draft.linear("embeddings_project", draft.hidden, width, Part.OTHER, bias=True)
    return width


def _layer(draft: Draft, kind: _Kind, mlp: DenseMLP) -> None:
    for name in ("query", "key", "value", "output"):
        draft.linear(f"attention.{name}", draft.hidden, draft.hidden, Part.ATTENTION, bias=kind.bias)
    draft.norm("attention.LayerNorm", draft.hidden, bias=True)
    for name in ("gate_proj", "up_proj") if mlp.gated else ("up_proj",):
        draft.linear(f"mlp.{name}", mlp.width, draft.hidden, Part.MLP, bias=kind.mlp_bias[0])
    draft.linear("mlp.down_proj", draft.hidden, mlp.width, Part.MLP, bias=kind.mlp_bias[1])
    draft.norm("output.LayerNorm", draft.hidden, bias=True)


def _head(draft: Draft, kind: _Kind, inner: int) -> None:
    name, config = class_name(draft.config), draft.config
    if name.endswith(_PREDICTING):
        draft.linear("predictions.dense", inner, draft.hidden, Part.OTHER, bias=True)
        draft.norm("predictions.LayerNorm", inner, bias=True)
        draft.add("predictions.bias", (draft.vocab,), Part.LM_HEAD)
    elif name.endswith(("ForSequenceClassification", "ForTokenClassification")):
        labels = config.value("id2label")
        count = len(labels) if isinstance(labels, dict) else config.integer("num_labels", default=2, least=1)
        if kind.classifies and name.endswith("ForSequenceClassification"):
            draft.linear("classifier.dense", draft.hidden, draft.hidden, Part.OTHER, bias=True)
        draft.linear("classifier.out_proj", count, draft.hidden, Part.OTHER, bias=True)
    if kind.pooler and not name.endswith((*_PREDICTING[:3], "ForTokenClassification")):
        draft.linear("pooler.dense", draft.hidden, draft.hidden, Part.OTHER, bias=True)
