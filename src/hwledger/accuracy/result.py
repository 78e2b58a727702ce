"""One prediction beside one measurement, and summaries of many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One prediction beside one measurement.

    Attributes:
        engine: engine of the measurement, or ``model`` for counts of parameters.
        component: what was measured.
        regime: the kind of case within the component.
        case: model and setting, for people.
        measured, predicted: the two figures, in the same unit.
        rounding: half a unit of the last printed digit; a prediction within it counts as exact.
        interval: the stated 80 % interval of the prediction, where it has one.
        source: where the measurement is from.
    """

    engine: str
    component: str
    regime: str
    case: str
    measured: float
    predicted: float
    rounding: float = 0.0
    interval: tuple[float, float] | None = None
    source: str = ""

    @property
    def exact(self) -> bool:
        """Whether the prediction equals the measurement as far as that was printed."""
        return abs(self.predicted - self.measured) <= self.rounding

    @property
    def error(self) -> float:
        """Relative error of the prediction, signed; 0 within print rounding."""
        if self.exact:
            return 0.0
        return (self.predicted - self.measured) / self.measured if self.measured else float("inf")

    @property
    def inside(self) -> bool | None:
        """Whether the measurement lies in the stated interval; ``None`` where none is stated."""
        if self.interval is None or self.interval[0] == self.interval[1]:
            return None
        return self.interval[0] - self.rounding <= self.measured <= self.interval[1] + self.rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The results of one engine, component and regime; errors are absolute shares."""

    engine: str
    component: str
    regime: str
    count: int
    exact: int
    median_error: float
    p90_error: float
    worst_error: float
    inside: float | None
    worst_case: str


def summarise(results: Iterable[Result]) -> list[Summary]:
    """Return one summary per engine, component and regime, in the order of first appearance."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.engine, result.component, result.regime), []).append(result)
    return [_summary(key, group) for key, group in groups.items()]


def _summary(key: tuple[str, str, str], group: list[Result]) -> Summary:
    worst = max(group, key=lambda result: abs(result.error))
    inside = [result.inside for result in group if result.inside is not None]
    return Summary(
        engine=key[0],
        component=key[1],
        regime=key[2],
        count=len(group),
        exact=sum(result.exact for result in group),
        median_error=median(abs(result.error) for result in group),
        p90_error=_p90([abs(result.error) for result in group]),
        worst_error=abs(worst.error),
        inside=sum(inside) / len(inside) if inside else None,
        worst_case="" if worst.exact else worst.case,
    )


def _p90(errors: Sequence[float]) -> float:
    """Return the error that nine in ten do not exceed; the largest of a few."""
    return sorted(errors)[min(len(errors) - 1, ceil(0.9 * len(errors)) - 1)]
