"""The library screen: the catalogue, with what each model is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwledger.app import open_model
from hwledger.library.catalogue import search
from hwledger.model.spec import ModelSpec
from hwledger.units import format_count, format_tokens


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the list."""

    spec: ModelSpec

    @property
    def cells(self) -> tuple[str, ...]:
        """Return id, architecture, parameters, active parameters, layer kinds and context."""
        census = self.spec.census
        kinds = Counter(layer.kind for layer in self.spec.layers)
        return (
            self.spec.id,
            self.spec.architecture,
            format_count(census.total),
            format_count(census.active) if census.active != census.total else "",
            ", ".join(f"{count} {kind.removesuffix('_attention')}" for kind, count in kinds.items()),
            format_tokens(self.spec.context_length) if self.spec.context_length else "",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        census = self.spec.census
        return {
            "id": self.spec.id,
            "architecture": self.spec.architecture,
            "parameters": census.total,
            "active_parameters": census.active,
            "layers": len(self.spec.layers),
            "context_length": self.spec.context_length,
        }


def model_rows(words: Sequence[str]) -> list[ModelRow]:
    """Return the catalogue's models that match all words, sorted by name."""
    return [ModelRow(open_model(f"catalogue:{entry.id}")) for entry in search(words)]
