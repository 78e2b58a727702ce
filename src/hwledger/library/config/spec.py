"""From the content of a config.json to a ModelSpec."""

from collections.abc import Mapping
from typing import Any

from hwledger.errors import UnknownOptionError
from hwledger.library.config.draft import Draft
from hwledger.library.config.families import family_of, is_common, reader_of, type_by_class, wraps
from hwledger.library.config.geometry import HIDDEN
from hwledger.library.config.quantisation import read_quantisation
from hwledger.library.config.reader import Config
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec

UNKNOWN_WRAPPER = "unknown_wrapper"
TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")


def read_config(
    raw: Mapping[str, Any],
    *,
    where: str = "config.json",
    name: str = "",
    quant_raw: Mapping[str, Any] | None = None,
    file_format: str = "config",
) -> ModelSpec:
    """Return the model that a config describes.

    Args:
        raw: the parsed config.json.
        where: file name for error sentences and provenance.
        name: id of the model; the config's own ``_name_or_path`` where empty.
        quant_raw: the parsed hf_quant_config.json, where there is one.
        file_format: ``config``, ``safetensors``, ``mlx`` or ``catalogue``.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    config = _typed(Config(raw, where))
    reader, kind = reader_of(config)
    if kind and config.nested(*TEXT_CONFIGS) is not None:
        reader, _ = family_of(UNKNOWN_WRAPPER)
    draft = reader(config)
    if kind:
        draft.unknowns.append(_unlisted(config, kind))
    return ModelSpec(
        id=name or str(raw.get("_name_or_path") or where),
        architecture=config.model_type or "unknown",
        source=where,
        format=file_format,
        hidden_size=draft.hidden,
        vocab_size=draft.vocab,
        context_length=_context_length(draft.config, config),
        number_type=_plain_type(config, draft),
        layers=tuple(draft.layers),
        mtp_layers=tuple(draft.mtp_layers),
        encoder_layers=tuple(draft.encoder_layers),
        tensors=tuple(draft.tensors),
        mtp_tensors=tuple(draft.mtp_tensors),
        tied_embeddings=draft.tied,
        quantisation=read_quantisation(config, quant_raw, draft.unknowns),
        rope_tables=tuple(sorted(draft.rope_tables)),
        metadata=dict(raw),
        facts=config.facts,
        unknowns=tuple(draft.unknowns),
    )


def _typed(config: Config) -> Config:
    """Return a config under the listed type that its class names, where its own says less.

    That is a type without a row, and the type of a text model over a file that keeps the text model's keys
    one level below: Ministral 3 stated as ``ministral3`` in place of ``mistral3``.
    """
    listed = family_of(config.model_type)[1]
    inner = config.nested(*TEXT_CONFIGS)
    if listed and (inner is None or not is_common(config.model_type) or any(map(config.has, HIDDEN))):
        return config
    named = type_by_class(config.raw)
    if inner is not None and not wraps(named):
        named = UNKNOWN_WRAPPER if listed else ""
    if not named:
        return config
    typed = Config({**config.raw, "model_type": named}, config.where)
    typed.derived("model_type", named, "the class in architectures")
    return typed


def _unlisted(config: Config, kind: str) -> str:
    name = config.model_type or "no model_type"
    return f"architecture {name} is not known: it is read as {kind}, from the keys that it states"


def _context_length(text: Config, top: Config) -> int | None:
    keys = (
        "max_position_embeddings",
        "n_positions",
        "max_sequence_length",
        "seq_length",
        "model_max_length",
        "max_target_positions",
    )
    return text.optional_integer(*keys, least=1) or top.optional_integer(*keys, least=1)


def _plain_type(config: Config, draft: Draft) -> str:
    for source in (config, draft.config):
        stated = source.value("torch_dtype", "dtype")
        if isinstance(stated, str):
            try:
                return number_type(stated).name
            except UnknownOptionError:
                draft.unknowns.append(f"number type {stated!r} is not known: bf16 is assumed")
    config.derived("number_type", "bf16", "neither dtype nor torch_dtype is stated")
    return "bf16"
