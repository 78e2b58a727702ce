"""The library screen: models of the catalogue, of this machine and of the hub, with what each one is."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwledger.app import fit_here, open_model
from hwledger.errors import HwledgerError
from hwledger.library.access import Access
from hwledger.library.catalogue import search
from hwledger.model.spec import ModelSpec
from hwledger.screens.reading import age
from hwledger.units import format_bytes, format_count, format_gib, format_tokens

if TYPE_CHECKING:
    from hwledger.library.hub.search import Found, HubModel
    from hwledger.library.local.model import LocalModel
    from hwledger.telemetry.machine import Machine

Columns = tuple[tuple[str, bool], ...]
CATALOGUE_COLUMNS: Columns = (
    ("model", False), ("architecture", False), ("parameters", True), ("active", True), ("layers", False),
    ("context", True),
)  # fmt: skip
LOCAL_COLUMNS: Columns = (
    ("model", False), ("place", False), ("architecture", False), ("parameters", True),
    ("quantisation", False), ("on disk", True), ("on this machine", False),
)  # fmt: skip
HUB_COLUMNS: Columns = (
    ("model", False), ("library", False), ("task", False), ("downloads", True), ("likes", True),
    ("updated", True), ("gated", False),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRow:
    """One model of this machine.

    Attributes:
        model: where it is and what its program says of it.
        spec: what its headers say; ``None`` where they cannot be read.
        total_bytes: what it needs on this machine at 4096 tokens.
        verdict: whether it fits; empty where that cannot be told.
        problem: why not, in a sentence.
    """

    model: "LocalModel"
    spec: ModelSpec | None = None
    total_bytes: int | None = None
    verdict: str = ""
    problem: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Return reference, place, architecture, parameters, quantisation, size and fit."""
        words = {"fits": "fits", "tight": "fits tightly", "does_not_fit": "does not fit"}
        fit = (
            f"{words[self.verdict]}, needs {format_gib(self.total_bytes or 0)}"
            if self.verdict
            else self.problem
        )
        return (
            self.model.ref,
            self.model.kind,
            self.spec.architecture if self.spec else "",
            format_count(self.spec.census.total) if self.spec else self.model.parameters,
            self.quantisation,
            format_bytes(self.model.size_bytes),
            fit,
        )

    @property
    def quantisation(self) -> str:
        """What the program states, else the config's method, else the number type."""
        if self.model.quantisation or self.spec is None:
            return self.model.quantisation
        return self.spec.quantisation.method if self.spec.quantisation else self.spec.number_type

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "ref": self.model.ref,
            "name": self.model.name,
            "place": self.model.kind,
            "path": str(self.model.path) if self.model.path else None,
            "size_bytes": self.model.size_bytes,
            "quantisation": self.quantisation or None,
            "architecture": self.spec.architecture if self.spec else None,
            "parameters": self.spec.census.total if self.spec else None,
            "total_bytes": self.total_bytes,
            "verdict": self.verdict or None,
            "problem": self.problem or None,
        }


def model_rows(words: Sequence[str]) -> list[ModelRow]:
    """Return the catalogue's models that match all words, sorted by name."""
    return [ModelRow(open_model(f"catalogue:{entry.id}")) for entry in search(words)]


def local_rows(
    words: Sequence[str], machine: "Machine", seen: Callable[[str], None] | None = None
) -> list[LocalRow]:
    """Return this machine's models that match all words, each read and held against the machine.

    Args:
        words: parts of names, places or quantisations.
        machine: what the models are held against.
        seen: is told the name of each model before it is read.
    """
    from hwledger.library.local.discovery import local_models  # noqa: PLC0415 - start-up time

    rows = []
    for model in local_models():
        text = f"{model.name} {model.ref} {model.kind} {model.quantisation}".lower()
        if all(word.lower() in text for word in words):
            if seen:
                seen(model.name)
            rows.append(_local_row(model, machine))
    return rows


def counted(models: int) -> str:
    """Return a number of models in words."""
    return f"{models:,} model{'s' if models != 1 else ''}"


def hub_cells(model: "HubModel") -> tuple[str, ...]:
    """Return the cells of one search result."""
    return (
        model.ref, model.library, model.task, format_count(model.downloads), str(model.likes), model.updated,
        "yes" if model.gated else "",
    )  # fmt: skip


def hub_footer(found: "Found") -> str:
    """Return the line under the results: how many, and how old a kept answer is."""
    line = f"{counted(len(found.models))} of the hub" if found.models else "the hub has nothing that matches"
    return line if found.kept_s is None else f"{line}, kept from a search {age(found.kept_s)} ago"


def _local_row(model: "LocalModel", machine: "Machine") -> LocalRow:
    try:
        spec = opened(model)
    except HwledgerError as error:
        return LocalRow(model=model, problem=str(error))
    try:
        made = fit_here(spec, machine)
    except HwledgerError as error:
        return LocalRow(model=model, spec=spec, problem=str(error))
    verdict = made.fit.verdict.value if made.fit else ""
    return LocalRow(model=model, spec=spec, total_bytes=made.total_bytes, verdict=verdict)


def opened(model: "LocalModel") -> ModelSpec:
    """Read a model by its path where it has one, so that nothing is asked of a network."""
    access = Access(offline=True)
    if model.path is None:
        return open_model(model.ref, access=access)
    return open_model(f"{'file' if model.path.is_dir() else 'gguf'}:{model.path}", access=access)
