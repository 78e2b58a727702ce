"""Families: how each architecture's config encodes its layers and tensors.

``families.csv`` maps a ``model_type`` to the module and function that reads it. The other
types are read by ``decoder.read``, the common decoder, as their row in ``traits.csv`` says; one without a
row is read as the kin whose keys it states, else as Llama would be, and said to be so.
"""

import csv
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import has_traits
from hwledger.shipped import shipped_text

Family = Callable[[Config], Draft]
COMMON = "decoder:read"
COMMON_DECODER = "a common decoder"
WRAPPERS = frozenset({"multimodal", "vision_wrappers", "audio_wrappers"})
LIKE = (
    (("kv_lora_rank", "qk_rope_head_dim"), "deepseek_v3", "a decoder of latent attention"),
    (("type_vocab_size", "num_attention_heads"), "roberta", "an encoder like BERT"),
)
"""Keys that only one kind of model states, whose reader it is, and what that reader reads."""


@cache
def family_of(model_type: str) -> tuple[Family, bool]:
    """Return the reader of ``model_type`` and whether the type is listed."""
    listed = _readers()
    module, _, function = listed.get(model_type, COMMON).partition(":")
    reader = getattr(import_module(f"hwledger.library.config.families.{module}"), function)
    return reader, model_type in listed or has_traits(model_type)


@cache
def _readers() -> dict[str, str]:
    text = shipped_text("hwledger.library.config", "data/families.csv")
    return {row["model_type"]: row["reader"] for row in csv.DictReader(text.splitlines())}


def wraps(model_type: str) -> bool:
    """Return whether a type is that of a text model with other parts around it."""
    return _readers().get(model_type, "").partition(":")[0] in WRAPPERS


def is_common(model_type: str) -> bool:
    """Return whether a type is read by the common decoder, from keys at the top of its file."""
    return _readers().get(model_type, COMMON) == COMMON


@cache
def listed_types() -> dict[str, str]:
    """Return the types that have a row, by their letters and digits alone (``grok1``: ``grok-1``)."""
    families = shipped_text("hwledger.library.config", "data/families.csv")
    traits = shipped_text("hwledger.library.config", "data/traits.csv")
    rows = [*csv.DictReader(families.splitlines()), *csv.DictReader(traits.splitlines())]
    return {re.sub("[^a-z0-9]", "", row["model_type"].lower()): row["model_type"] for row in rows}


def type_by_class(raw: Mapping[str, Any]) -> str:
    """Return the listed type that the class in ``architectures`` names, empty where it names none.

    ``Grok1ForCausalLM`` is a ``grok-1``, whatever ``model_type`` its file states.
    """
    classes = raw.get("architectures")
    name = str(classes[0]) if isinstance(classes, list) and classes else ""
    stem = re.sub("(Model)?(For[A-Z]|LMHead|Model$).*", "", name)
    return listed_types().get(re.sub("[^a-z0-9]", "", stem.lower()), "")


def reader_of(config: Config, model_type: str = "") -> tuple[Family, str]:
    """Return what reads a config, and in place of which kind: empty where its type is listed.

    A type that is not listed is read by the kin whose telling keys the file states; an encoder that is
    trained as a decoder is none.
    """
    reader, listed = family_of(model_type or config.model_type)
    if listed:
        return reader, ""
    for keys, kin, kind in LIKE:
        if all(config.has(key) for key in keys) and not config.flag("is_decoder"):
            return family_of(kin)[0], kind
    return reader, COMMON_DECODER
