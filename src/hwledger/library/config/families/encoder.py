"""Encoders: BERT, RoBERTa and its kin, ModernBERT. They keep no cache; their layers are encoder layers.

Source: transformers 5.23.0 ``models/{bert,roberta,modernbert}/modeling_*.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.encoder_decoder import encoder_layer
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP
from hwledger.model.mixers import FullAttention
from hwledger.model.tensors import Part, Split

# Which of the class names carry the pooler, and which the head that predicts words.
_UNPOOLED = ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForTokenClassification", "ForQuestionAnswering")
_PREDICTING = ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForPreTraining")


def bert(config: Config) -> Draft:
    """Read BERT and its kin: learned positions and segments, LayerNorms behind each block."""
    draft = Draft(config)
    draft.tied = True
    with draft.scope("embeddings."):
        draft.add("word_embeddings.weight", (draft.vocab, draft.hidden), Part.EMBEDDING, split=Split.VOCAB)
        positions = config.integer("max_position_embeddings", least=1)
        draft.add("position_embeddings.weight", (positions, draft.hidden), Part.EMBEDDING)
        segments = config.integer("type_vocab_size", default=2)
        draft.add("token_type_embeddings.weight", (segments, draft.hidden), Part.EMBEDDING)
        draft.norm("LayerNorm", draft.hidden, bias=True)
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1), gated=False)
    attention = _attention(draft)
    for index in range(config.layer_count()):
        with draft.scope(f"encoder.layer.{index}."):
            _bert_layer(draft, mlp)
        draft.encoder_layers.append(encoder_layer(index, attention, mlp))
    _bert_head(draft)
    return draft


def _attention(draft: Draft) -> FullAttention:
    heads = draft.config.integer("num_attention_heads", least=1)
    width = draft.hidden // heads
    return FullAttention(query_heads=heads, kv_heads=heads, key_width=width, value_width=width)


def _bert_layer(draft: Draft, mlp: DenseMLP) -> None:
    for name in ("query", "key", "value"):
        draft.linear(f"attention.self.{name}", draft.hidden, draft.hidden, Part.ATTENTION, bias=True)
    draft.linear("attention.output.dense", draft.hidden, draft.hidden, Part.ATTENTION, bias=True)
    draft.norm("attention.output.LayerNorm", draft.hidden, bias=True)
    draft.linear("intermediate.dense", mlp.width, draft.hidden, Part.MLP, bias=True)
    draft.linear("output.dense", draft.hidden, mlp.width, Part.MLP, bias=True)
    draft.norm("output.LayerNorm", draft.hidden, bias=True)


def class_name(config: Config) -> str:
    """Return the first class that the file names; empty where it names none."""
    classes = config.value("architectures")
    return str(classes[0]) if isinstance(classes, list) and classes else ""


def _bert_head(draft: Draft) -> None:
    name = class_name(draft.config)
    roberta = draft.config.model_type != "bert"
    if not name.endswith(_UNPOOLED) and not (roberta and name.endswith("ForSequenceClassification")):
        draft.linear("pooler.dense", draft.hidden, draft.hidden, Part.OTHER, bias=True)
    if name.endswith(_PREDICTING):
        draft.linear("cls.predictions.transform.dense", draft.hidden, draft.hidden, Part.OTHER, bias=True)
        draft.norm("cls.predictions.transform.LayerNorm", draft.hidden, bias=True)
        draft.add("cls.predictions.bias", (draft.vocab,), Part.LM_HEAD)
    if name.endswith("ForPreTraining"):
        draft.linear("cls.seq_relationship", 2, draft.hidden, Part.OTHER, bias=True)
    _task_head(draft, name)


def _task_head(draft: Draft, name: str) -> None:
    labels = draft.config.value("id2label")
    count = (
        len(labels) if isinstance(labels, dict) else draft.config.integer("num_labels", default=2, least=1)
    )
    roberta = draft.config.model_type != "bert"
    if name.endswith("ForSequenceClassification") and roberta:
        draft.linear("classifier.dense", draft.hidden, draft.hidden, Part.OTHER, bias=True)
        draft.linear("classifier.out_proj", count, draft.hidden, Part.OTHER, bias=True)
    elif name.endswith(("ForSequenceClassification", "ForTokenClassification")):
        draft.linear("classifier", count, draft.hidden, Part.OTHER, bias=True)
    elif name.endswith("ForQuestionAnswering"):
        draft.linear("qa_outputs", 2, draft.hidden, Part.OTHER, bias=True)


def modernbert(config: Config) -> Draft:
    """Read ModernBERT: rotary positions, gated MLPs, local attention in two of three layers."""
    draft = Draft(config)
    draft.tied = True
    draft.add(
        "embeddings.tok_embeddings.weight", (draft.vocab, draft.hidden), Part.EMBEDDING, split=Split.VOCAB
    )
    draft.norm("embeddings.norm", draft.hidden, bias=config.flag("norm_bias"))
    mlp = DenseMLP(width=config.integer("intermediate_size", least=1))
    attention, every = _attention(draft), config.integer("global_attn_every_n_layers", default=3, least=1)
    stated = config.sequence("layer_types")
    for index in range(config.layer_count()):
        with draft.scope(f"layers.{index}."):
            _modernbert_layer(draft, mlp, first=index == 0)
        kind = "full_attention" if index % every == 0 else "sliding_attention"
        kind = str(stated[index]) if stated and index < len(stated) else kind
        draft.encoder_layers.append(encoder_layer(index, attention, mlp, kind))
    draft.norm("final_norm", draft.hidden, bias=config.flag("norm_bias"))
    if class_name(config).endswith("ForMaskedLM"):
        draft.linear(
            "head.dense", draft.hidden, draft.hidden, Part.OTHER, bias=config.flag("classifier_bias")
        )
        draft.norm("head.norm", draft.hidden, bias=config.flag("norm_bias"))
        if config.flag("decoder_bias", default=True):
            draft.add("decoder.bias", (draft.vocab,), Part.LM_HEAD)
    return draft


def _modernbert_layer(draft: Draft, mlp: DenseMLP, *, first: bool) -> None:
    config = draft.config
    bias, norm_bias = config.flag("attention_bias"), config.flag("norm_bias")
    if not first:
        draft.norm("attn_norm", draft.hidden, bias=norm_bias)
    draft.linear("attn.Wqkv", 3 * draft.hidden, draft.hidden, Part.ATTENTION, bias=bias)
    draft.linear("attn.Wo", draft.hidden, draft.hidden, Part.ATTENTION, bias=bias)
    draft.norm("mlp_norm", draft.hidden, bias=norm_bias)
    draft.linear("mlp.Wi", 2 * mlp.width, draft.hidden, Part.MLP, bias=config.flag("mlp_bias"))
    draft.linear("mlp.Wo", draft.hidden, mlp.width, Part.MLP, bias=config.flag("mlp_bias"))
