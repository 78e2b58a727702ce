"""The library screen: models of the catalogue and of the hub, and how lists of models are drawn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hwledger.app import open_model
from hwledger.library.catalogue import search
from hwledger.model.spec import ModelSpec
from hwledger.screens.column import Column
from hwledger.screens.reading import age
from hwledger.units import format_count, format_tokens

if TYPE_CHECKING:
    from hwledger.library.hub.search import Found, HubModel


CATALOGUE_COLUMNS: Final = (
    Column("model", wraps=True), Column("architecture", rank=3), Column("parameters", right=True),
    Column("active", right=True, rank=2), Column("layers", rank=4, wraps=True),
    Column("context", right=True, rank=1),
)  # fmt: skip
LOCAL_COLUMNS: Final = (
    Column("model", wraps=True), Column("place", rank=2), Column("architecture", rank=5),
    Column("parameters", right=True, rank=4), Column("quantisation", rank=3),
    Column("on disk", right=True, rank=1), Column("on this machine", wraps=True),
)  # fmt: skip
HUB_COLUMNS: Final = (
    Column("model", wraps=True), Column("library", rank=3), Column("task", rank=4),
    Column("downloads", right=True), Column("likes", right=True, rank=2),
    Column("updated", right=True, rank=1), Column("gated", rank=5),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the catalogue."""

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


def counted(models: int) -> str:
    """Return a number of models in words."""
    return f"{models:,} model{'s' if models != 1 else ''}"


def hub_cells(model: "HubModel") -> tuple[str, ...]:
    """Return the cells of one search result."""
    return (
        model.ref, model.library, model.task, f"{model.downloads:,}", f"{model.likes:,}", model.updated,
        "yes" if model.gated else "",
    )  # fmt: skip


def hub_footer(found: "Found") -> str:
    """Return the line under the results: how many, and how old a kept answer is."""
    line = f"{counted(len(found.models))} of the hub" if found.models else "the hub has nothing that matches"
    return line if found.kept_s is None else f"{line}, kept from a search {age(found.kept_s)} ago"
