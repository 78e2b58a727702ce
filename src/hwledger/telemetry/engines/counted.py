"""Series of one figure, put together over the ranks and replicas of an engine."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hwledger.library.serving.metrics import Page, Series
from hwledger.telemetry.engines.tables import Metric, Names, Quotient, metric_table
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason

Figures = Mapping[str, tuple[Series, ...]]
"""The series of a page by the name of their metric."""
ALONE: Final = ""
"""The replica of an engine that has one."""


def by_name(page: Page) -> Figures:
    """Return the series of a page by the name of their metric."""
    found: dict[str, list[Series]] = defaultdict(list)
    for series in page.series:
        found[series.name].append(series)
    return {name: tuple(series) for name, series in found.items()}


def first_named(figures: Figures, names: Names) -> tuple[Series, ...]:
    """Return the series of the first name that is on the page; empty where none is."""
    return next((figures[name] for name in names if name in figures), ())


def model_names(series: Iterable[Series]) -> tuple[str, ...]:
    """Return the models that labels name, each once."""
    labels = metric_table().model
    found = (each.labels.get(label, "") for each in series for label in labels)
    return tuple(dict.fromkeys(name for name in found if name and name.isprintable()))


def replica_of(series: Series) -> str:
    """Return the replica that a series is of."""
    found = (series.labels.get(label) for label in metric_table().replicas)
    return next((name for name in found if name is not None), ALONE)


def totals(series: Sequence[Series]) -> tuple[dict[str, float], bool]:
    """Return the figure of each replica, and whether series were added for it.

    That is the largest of the ranks that hold the same, and the sum of what differs in any other label.
    """
    same = metric_table().same_ranks
    largest: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for each in series:
        if each.value is not None:
            labels = frozenset((k, v) for k, v in each.labels.items() if k not in same)
            key = replica_of(each), labels
            largest[key] = max(largest.get(key, each.value), each.value)
    found: dict[str, float] = defaultdict(float)
    for (replica, _), value in largest.items():
        found[replica] += value
    return dict(found), len(largest) > len(found)


def read_metric(
    metric: Metric, series: Sequence[Series], gauge: Gauge, capacity: Mapping[str, float]
) -> Reading:
    """Return the figure of a whole engine.

    Args:
        metric: what it is.
        series: its series; not empty.
        gauge: of the page.
        capacity: tokens that each replica holds, for shares; empty where it is not known.
    """
    values, added = totals(series) if metric.join == "sum" else (_largest(series), False)
    if not values:
        return gauge.absent(Reason.UNPARSED, f"{series[0].name} says no finite number")
    if metric.below_zero and max(values.values()) < 0:
        return gauge.absent(Reason.UNSUPPORTED, metric.below_zero)
    if metric.idle_zero and not any(values.values()):
        return gauge.absent(Reason.UNSUPPORTED, metric.idle_zero)
    number, computed = _over_replicas(values, metric.join, capacity)
    return checked(_of(gauge, derived=added or computed), metric.quantity, number * metric.factor)


def _largest(series: Sequence[Series]) -> dict[str, float]:
    """Return the largest figure of each replica."""
    found: dict[str, float] = {}
    for each in series:
        if each.value is not None:
            name = replica_of(each)
            found[name] = max(found.get(name, each.value), each.value)
    return found


def _over_replicas(
    values: Mapping[str, float], join: str, capacity: Mapping[str, float]
) -> tuple[float, bool]:
    """Return the figure of all replicas together, and whether it was computed.

    A share of replicas whose capacity is not known is that of the fullest.
    """
    if len(values) == 1:
        return next(iter(values.values())), False
    if join == "sum":
        return sum(values.values()), True
    weights = {name: capacity.get(name, 0.0) for name in values}
    if join == "same" or len(set(values.values())) == 1 or not all(weight > 0 for weight in weights.values()):
        return max(values.values()), False
    return sum(values[name] * weights[name] for name in values) / sum(weights.values()), True


def read_quotient(quotient: Quotient, figures: Figures, gauge: Gauge) -> Reading | None:
    """Return a share that follows from counts; ``None`` where the page lacks one of them."""
    sums: list[float] = []
    for names in (quotient.part, quotient.whole):
        series = [first_named(figures, each) for each in names]
        if not all(series):
            return None
        counts = [totals(each)[0] for each in series]
        if not all(counts):
            return gauge.absent(Reason.UNPARSED, f"{series[0][0].name} says no finite number")
        sums.append(sum(value for count in counts for value in count.values()))
    part, whole = sums
    if whole <= 0:
        return gauge.absent(Reason.UNSUPPORTED, "nothing was counted yet")
    return checked(_of(gauge, derived=True), quotient.quantity, part / whole)


def _of(gauge: Gauge, *, derived: bool) -> Gauge:
    return Gauge(gauge.source, gauge.at, Basis.DERIVED) if derived else gauge


def per_rank(metric: Metric, series: Sequence[Series], gauge: Gauge) -> dict[str, Reading]:
    """Return what each rank or device says of itself, by a name that its labels make; empty for one."""
    found: dict[str, list[float]] = defaultdict(list)
    for each in series:
        name = _rank_name(each.labels)
        if name and each.value is not None:
            found[name].append(each.value)
    return {
        name: checked(_of(gauge, derived=len(parts) > 1), metric.quantity, sum(parts) * metric.factor)
        for name, parts in found.items()
    }


_RANKS: Final = (("dp_rank", "dp"), ("engine", "dp"), ("pp_rank", "pp"), ("tp_rank", "tp"))
_PER_DEVICE: Final = frozenset({
    Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.GRAPH_BYTES, Quantity.COMPUTE_BYTES,
})  # fmt: skip


def is_per_device(metric: Metric) -> bool:
    """Whether a figure is one of the memory of devices."""
    return metric.quantity in _PER_DEVICE


def _rank_name(labels: Mapping[str, str]) -> str:
    if labels.get("device"):
        return labels["device"][:40]
    return " ".join(f"{short}{labels[label][:10]}" for label, short in _RANKS if labels.get(label))
