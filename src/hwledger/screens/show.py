"""The model screen: what a model is and where each fact came from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hwledger.model.spec import ModelSpec
from hwledger.screens.reading import reading_line
from hwledger.units import format_count, format_tokens

TableData = tuple[str, tuple[tuple[str, bool], ...], list[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class ShowScreen:
    """Everything that the model screen shows.

    Attributes:
        title: the model's name.
        summary: architecture, format, context and parameters in one line.
        spec: the model, for the tables.
        notes: what could not be read.
        read: what was read to know the model; empty where that is not told.
    """

    title: str
    summary: str
    spec: ModelSpec
    notes: tuple[str, ...]
    read: str

    def tables(self, *, layers: bool) -> Iterator[TableData]:
        """Yield (title, columns with right-alignment, rows) of each table."""
        yield "Parameters", (("part", False), ("count", True)), _parameter_rows(self.spec)
        yield "Layers", (("kind", False), ("mixer", False), ("layers", True)), _kind_rows(self.spec)
        if layers:
            heads = (
                ("layer", True),
                ("kind", False),
                ("mixer", False),
                ("parameters", True),
                ("active", True),
            )
            yield "Every layer", heads, _layer_rows(self.spec)
        yield "Facts", (("key", False), ("value", False), ("from", False)), _fact_rows(self.spec)


def show_screen(spec: ModelSpec) -> ShowScreen:
    """Return the screen of a model."""
    census = spec.census
    active = f", {format_count(census.active)} active" if census.active != census.total else ""
    context = f", context {format_tokens(spec.context_length)}" if spec.context_length else ""
    quantised = f", {spec.quantisation.method}" if spec.quantisation else ""
    summary = (
        f"{spec.architecture} ({spec.format}{quantised}): {format_count(census.total)} parameters{active}, "
        f"{len(spec.layers)} layers{context}"
    )
    return ShowScreen(spec.id, summary, spec, spec.unknowns, reading_line(spec))


def _parameter_rows(spec: ModelSpec) -> list[tuple[str, ...]]:
    census = spec.census
    rows = [(part.value.replace("_", " "), f"{count:,}") for part, count in census.by_part.items()]
    rows += [
        ("total", f"{census.total:,}"),
        ("active for one token, embedding included", f"{census.active:,}"),
    ]
    return [*rows, ("MTP heads, apart", f"{census.mtp:,}")] if census.mtp else list(rows)


def _kind_rows(spec: ModelSpec) -> list[tuple[str, ...]]:
    kinds = Counter((layer.kind, " + ".join(m.name for m in layer.mixers)) for layer in spec.layers)
    return [(kind, mixer, str(count)) for (kind, mixer), count in kinds.items()]


def _layer_rows(spec: ModelSpec) -> list[tuple[str, ...]]:
    census = spec.census
    return [
        (str(layer.index), layer.kind, " + ".join(m.name for m in layer.mixers),
         f"{census.by_layer[layer.index]:,}", f"{census.active_by_layer[layer.index]:,}")
        for layer in spec.layers
    ]  # fmt: skip


def _fact_rows(spec: ModelSpec) -> list[tuple[str, ...]]:
    limit = 60
    rows: list[tuple[str, ...]] = []
    for key, fact in spec.facts.items():
        text = str(fact.value)
        rows.append((key, text if len(text) <= limit else text[: limit - 1] + "…", fact.origin))
    return rows
