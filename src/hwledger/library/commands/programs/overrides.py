"""What a command changes of a model's config: its length counts, the rest is said."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hwledger.library.commands.draft import Draft, whole
from hwledger.library.commands.table import Item

_LENGTHS: Final = frozenset(
    {
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "model_max_length",
        "max_sequence_length",
    }
)
"""Keys of a config that the length is read from (vLLM 0.33.0 ``vllm/config/model.py``)."""

_ROPE: Final = frozenset({"rope_scaling", "rope_parameters"})
_NESTED: Final = frozenset({"text_config", "llm_config", "language_config"})
_HARMLESS: Final = frozenset(
    {"rope_theta", "partial_rotary_factor", "eos_token_id", "bos_token_id", "pad_token_id"}
)
_UNSCALED: Final = frozenset({"default", "llama3", "longrope", "su", "mrope"})
TRAINED: Final = "trained"
"""Name of a draft's value: the length that the overridden model has."""


def object_of(text: str) -> dict[str, Any]:
    """Return a JSON object; empty where ``text`` is none."""
    try:
        given = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def override(draft: Draft, item: Item, *, scales: bool = True) -> None:
    """Enter an override of the config, as an object or as one dotted key.

    Args:
        draft: what is read so far; its value ``trained`` becomes the length.
        item: the flag.
        scales: scaling with a length of its own changes the length; SGLang keeps the config's.
    """
    given = _dotted(item.key, item.value) if item.key else object_of(item.value)
    if not given:
        draft.note(f"{item.said[:80]} can change the memory and is not planned")
    for key, value in _flat(given):
        if key in _LENGTHS and whole(str(value)):
            draft.values[TRAINED] = str(value)
    for key, value in _flat(given):
        if key in _ROPE and isinstance(value, Mapping):
            rope(draft, value, item.said, scales=scales)
        elif key not in _LENGTHS | _HARMLESS:
            draft.note(f"{key[:60]} of {item.said[:80]} can change the memory and is not planned")


def rope(draft: Draft, given: Mapping[str, Any], said: str, *, scales: bool = True) -> None:
    """Enter a scaling of the positions: YaRN multiplies the length that the model was trained with first.

    vLLM 0.33.0 ``vllm/config/model.py`` ``_get_and_verify_max_len``; SGLang 0.5.23
    ``sglang/srt/configs/model_config.py`` ``get_context_length``.
    """
    kind = str(given.get("rope_type") or given.get("type") or "default").lower()
    factor, first = given.get("factor"), given.get("original_max_position_embeddings")
    if kind in _UNSCALED or (first and not scales):
        return
    length = first or draft.values.get(TRAINED)
    if isinstance(factor, int | float) and 0 < factor < 1e6 and length and whole(str(length)):  # noqa: PLR2004 - no length
        draft.values[TRAINED] = str(int(int(str(length)) * factor))
    else:
        draft.values["stretched"] = said


def settle_length(draft: Draft) -> None:
    """Enter the length of an overridden model where the command states none itself."""
    if "max_model_len" in draft.options:
        return
    if length := draft.values.get(TRAINED):
        draft.options["max_model_len"] = length
        draft.note(f"the config is overridden to {int(length):,} tokens, which is what it takes untold")
    elif said := draft.values.get("stretched"):
        draft.note(f"{said[:80]} stretches the model's length: give max_model_len to plan it")


def _dotted(key: str, value: str) -> dict[str, Any]:
    *outer, last = key.split(".")[:8]
    try:
        given: Any = {last: json.loads(value)}
    except (ValueError, RecursionError):
        given = {last: value}
    for name in reversed(outer):
        given = {name: given}
    return dict(given)


def _flat(given: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of a nested text model among them."""
    for key, value in given.items():
        if key in _NESTED and isinstance(value, Mapping) and depth < 2:  # noqa: PLR2004 - no model nests deeper
            yield from _flat(value, depth + 1)
        else:
            yield str(key), value
