"""Class defaults of transformers' configs, for keys that a config.json leaves out."""

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hwledger.shipped import shipped_text

ORIGIN = "class default, transformers 5.23.0"


@dataclass(frozen=True, slots=True)
class ClassDefaults:
    """What transformers' config class of one ``model_type`` fills in.

    Attributes:
        values: default per key, keys without one absent.
        aliases: generic key → the key that this family uses (GPT-2: ``hidden_size`` → ``n_embd``).
        nested: key of a nested config → its ``model_type``.
    """

    values: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    nested: dict[str, str] = field(default_factory=dict)


@cache
def class_defaults(model_type: str) -> ClassDefaults | None:
    """Return the defaults of ``model_type``, or ``None`` where transformers does not know it."""
    text = shipped_text("hwledger.library.config", "data/transformers_defaults.tsv")
    prefix = f"\n{model_type}\t"
    start = text.find(prefix)
    if start < 0:
        return None
    line = text[start + len(prefix) : text.index("\n", start + len(prefix))]
    row = json.loads(line)
    return ClassDefaults(row["defaults"], row["aliases"], row["nested"])
