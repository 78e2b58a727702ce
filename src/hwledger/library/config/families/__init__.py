"""Families: how each architecture's config encodes its layers and tensors.

``families.csv`` maps a ``model_type`` to the module and function that reads it. The other
types are read by ``decoder.read``, the common decoder, as their row in ``traits.csv`` says; one without a
row is read as Llama would be, and said to be so.
"""

import csv
from collections.abc import Callable
from functools import cache
from importlib import import_module

from hwledger.library.config.draft import Draft
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import has_traits
from hwledger.shipped import shipped_text

Family = Callable[[Config], Draft]
COMMON = "decoder:read"


@cache
def family_of(model_type: str) -> tuple[Family, bool]:
    """Return the reader of ``model_type`` and whether the type is listed."""
    text = shipped_text("hwledger.library.config", "data/families.csv")
    listed = {row["model_type"]: row["reader"] for row in csv.DictReader(text.splitlines())}
    module, _, function = listed.get(model_type, COMMON).partition(":")
    reader = getattr(import_module(f"hwledger.library.config.families.{module}"), function)
    return reader, model_type in listed or has_traits(model_type)
