"""ERNIE 4.5 VL's text model: beside the experts of the text each sparse layer has some for pictures.

Shapes: transformers 5.24.0 ``models/ernie4_5_vl_moe/modeling_ernie4_5_vl_moe.py``. The keys of experts are
pairs, text first: a token passes either half, and both are loaded.
"""

from typing import Any

from hwledger.library.config.draft import Draft
from hwledger.library.config.families import decoder
from hwledger.library.config.reader import Config
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.tensors import Part, Split

_PAIRS = ("moe_num_experts", "moe_intermediate_size", "moe_layer_start_index", "moe_layer_end_index",
          "moe_capacity")  # fmt: skip
_LIKE = "ernie4_5_moe"


def read(config: Config) -> Draft:
    """Read the text model with both kinds of experts.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    text, pictures = _halves(config)
    draft = decoder.read(text)
    for layer in draft.layers:
        if isinstance(layer.channel, MixtureOfExperts):
            with draft.scope(f"model.layers.{layer.index}.mlp.vision_moe.", layer.index):
                _experts(draft, pictures)
    return draft


def _halves(config: Config) -> tuple[Config, Config]:
    first: dict[str, Any] = {**config.raw}
    second: dict[str, Any] = {**config.raw}
    for key in _PAIRS:
        value = config.raw.get(key)
        if isinstance(value, list) and value:
            first[key], second[key] = value[0], value[-1]
    made = [
        Config({**raw, "model_type": _LIKE}, config.where, path=config.path, facts=config.facts)
        for raw in (first, second)
    ]
    return made[0], made[1]


def _experts(draft: Draft, pictures: Config) -> None:
    count = pictures.integer("moe_num_experts", least=1)
    width = pictures.integer("moe_intermediate_size", least=1)
    draft.linear("gate", count, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
    draft.add("gate.moe_statics.e_score_correction_bias", (count,), Part.ROUTER)
    for name in ("gate_proj", "up_proj"):
        draft.linear(f"experts.*.{name}", width, draft.hidden, Part.EXPERTS, copies=count)
    draft.linear("experts.*.down_proj", draft.hidden, width, Part.EXPERTS, copies=count)
