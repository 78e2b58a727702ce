"""Correcting figures by the user's own measured runs; kept apart from the constants that ship.

What a run says is the log of measured over predicted. That of a plan is taken to be normal around 0 with
the spread of the figure's own interval, and to go along with that of a run the more the two have in common:
the device, its family, its kind of memory; the model. The correction is the mean given the runs (simple
kriging), so that one run moves a figure most of the way on its own device, some of it on a relative, and
hardly elsewhere; the interval narrows accordingly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import median
from typing import Any, Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.figure import Figure, Throughput
from hwledger.planner.throughput.layout import uses_host
from hwledger.planner.throughput.processor import PROCESSOR, is_processor, processor_name
from hwledger.planner.throughput.silicon import silicon_of

QUANTITIES: Final = {
    "decode_tokens_per_second": ("decode_tokens_per_second", "aggregate_tokens_per_second", "tpot_seconds"),
    "prefill_tokens_per_second": ("prefill_tokens_per_second", "ttft_seconds"),
}
"""What is measured, and the figures that it corrects."""
NORMAL_TAIL: Final = 1.2816
"""Standard deviations from the mean to the ends of 80 % of a normal distribution."""
REPEAT: Final = 0.04
"""Spread of repeated runs of one case, in logs: versions, drivers and temperature (the shipped repeats)."""
SAME_FAMILY: Final = 0.5
SAME_KIND: Final = 0.2
OTHER_MODEL: Final = 0.85
"""How far errors go together on relatives, as held-out errors of the shipped measurements do."""
MOST_POINTS: Final = 64
FEWEST_TO_DOUBT: Final = 3
FAR: Final = 3.0
NORMAL_MAD: Final = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured run beside the figure that the model gave for it.

    Attributes:
        engine: engine of the run.
        device: name of its device; ``devices`` of them.
        family, kind: of the device, as the constants are keyed.
        model: name of the model and its packing.
        quantity: figure of ``Throughput`` that was measured.
        measured, predicted: the two, in the same unit.
        users: requests at once: ``one``, ``few`` or ``many``.
        host: a part of the model ran in or came from host memory.
        source: where the run is from.
        version: of the engine; empty where it is not known.
    """

    engine: str
    device: str
    family: str
    kind: str
    model: str
    quantity: str
    measured: float
    predicted: float
    devices: int = 1
    users: str = "one"
    host: bool = False
    source: str = ""
    version: str = ""

    @property
    def log(self) -> float:
        """Log of measured over predicted."""
        return log(self.measured) - log(self.predicted)

    @property
    def repeat(self) -> float:
        """Spread of repeated runs of the same, in logs."""
        return assumed("repeat_processor").value if self.family.startswith(PROCESSOR) else REPEAT

    @property
    def plausible(self) -> bool:
        """Whether the two are close enough to be of the same thing."""
        most = "most_off_processor" if self.family.startswith(PROCESSOR) else "most_off"
        return abs(self.log) <= log(assumed(most).value)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured runs that correct later answers."""

    points: tuple[Point, ...] = ()

    def corrected(self, answer: Throughput, plan: Plan) -> Throughput:
        """Return an estimate with its figures corrected; unchanged where no run has to do with the plan."""
        changed: dict[str, Any] = {}
        runs: dict[str, int] = {}
        for quantity, names in QUANTITIES.items():
            figure = getattr(answer, quantity)
            here = _target(plan, quantity, requests_at_once(answer))
            if figure is None or here is None:
                continue
            found = self._correction(here, _spread(figure))
            if found:
                moving = [name for name in names if _moves(answer, name)]
                changed |= {name: _moved(answer, name, found) for name in moving}
                runs |= {name: found.count for name in moving if changed[name] is not None}
        return replace(answer, corrected=tuple(runs.items()), **changed)

    def _correction(self, here: Point, spread: float) -> "_Correction | None":
        """Return the log correction; ``None`` where no run bears on it."""
        near = sorted(self.points, key=lambda point: -likeness(here, point))
        near = without_outliers(
            [point for point in near if point.plausible and likeness(here, point) > 0][:MOST_POINTS]
        )
        if not near:
            return None
        variance = spread**2
        matrix = [
            [variance * likeness(a, b) + (a.repeat**2 if i == j else 0.0) for j, b in enumerate(near)]
            for i, a in enumerate(near)
        ]
        column = [variance * likeness(here, point) for point in near]
        weights = solve(matrix, column)
        mean = sum(weight * point.log for weight, point in zip(weights, near, strict=True))
        left = variance - sum(weight * value for weight, value in zip(weights, column, strict=True))
        alike = max(likeness(here, point) for point in near)
        return _Correction(mean, sqrt(max(left, here.repeat**2)), len(near), close=alike >= SAME_FAMILY)


@dataclass(frozen=True, slots=True)
class _Correction:
    """Mean and spread of a log correction of speeds, the runs that bear on it, and whether any is close."""

    mean: float
    spread: float
    count: int
    close: bool


def requests_at_once(answer: Throughput) -> float:
    """Return the requests at once of an answer: as asked, or by Little's law where they come at a rate."""
    traffic = answer.traffic
    if traffic.requests_per_second is None or not (answer.ttft_seconds and answer.tpot_seconds):
        return float(traffic.concurrency)
    life = answer.ttft_seconds.value + traffic.output_tokens * answer.tpot_seconds.value
    return max(1.0, traffic.requests_per_second * life)


def point_of(  # noqa: PLR0913, PLR0917 - what a run is
    plan: Plan, quantity: str, measured: float, predicted: float, source: str, requests: float = 1.0
) -> Point | None:
    """Return a measured run of a plan as a point; ``None`` where the device's bandwidth is not known."""
    here = _target(plan, quantity, requests)
    if here is None:
        return None
    return replace(here, measured=measured, predicted=predicted, source=source)


def _target(plan: Plan, quantity: str, requests: float) -> Point | None:
    """Return the plan's own place among the points."""
    device = plan.request.devices[0]
    keyed = _keyed(device)
    if keyed is None:
        return None
    name, family, kind = keyed
    return Point(
        engine=plan.engine, version=plan.request.version, device=name, family=family, kind=kind,
        model=f"{plan.spec.id} {plan.request.weights or ''}".strip(), quantity=quantity, measured=1.0,
        predicted=1.0, devices=len(plan.request.devices), users=_class_of(requests),
        host=not is_processor(device) and uses_host(plan),
    )  # fmt: skip


def _keyed(device: DeviceSpec) -> tuple[str, str, str] | None:
    """Return what a device, its family and its kind are called; ``None``: its bandwidth is not known."""
    if is_processor(device):
        return processor_name(device), f"{PROCESSOR} {device.architecture}".strip(), PROCESSOR
    silicon = silicon_of(device)
    return None if silicon is None else (device.name, silicon.family, silicon.kind)


def _class_of(requests: float) -> str:
    if requests < 2:  # noqa: PLR2004 - one user, with the little that Little's law adds
        return "one"
    return "few" if requests <= assumed("few_requests").value else "many"


def likeness(here: Point, there: Point) -> float:
    """Return how far the errors of two cases go together, 0 to 1; nothing across engines and quantities."""
    if (here.engine, here.quantity) != (there.engine, there.quantity):
        return 0.0
    if (here.device, here.devices) == (there.device, there.devices):
        alike = 1.0
    elif here.family == there.family:
        alike = SAME_FAMILY
    else:
        alike = SAME_KIND if here.kind == there.kind else 0.0
    other = assumed("other_load").value
    alike *= 1.0 if here.users == there.users else other
    alike *= 1.0 if here.host == there.host else other
    known = here.version and there.version
    alike *= 1.0 if not known or here.version == there.version else assumed("same_version").value
    return alike * (1.0 if here.model == there.model else OTHER_MODEL)


def without_outliers(points: Sequence[Point]) -> list[Point]:
    """Return the points but those that contradict the others of the same case.

    Of three and more runs of one model on one device those are left out whose logs are further from their
    median than ``FAR`` of their own spread (1.4826 times the median of absolute deviations, which is that of
    a normal distribution) or of that of repeats, whichever is larger: runs on a busy or throttled machine.
    """
    cases: dict[Point, list[float]] = {}
    for point in points:
        cases.setdefault(_case(point), []).append(point.log)
    return [point for point in points if _agrees(point, cases[_case(point)])]


def _case(point: Point) -> Point:
    return replace(point, measured=1.0, predicted=1.0, source="", version="")


def _agrees(point: Point, logs: Sequence[float]) -> bool:
    if len(logs) < FEWEST_TO_DOUBT:
        return True
    middle = median(logs)
    spread = NORMAL_MAD * median(abs(each - middle) for each in logs)
    return abs(point.log - middle) <= FAR * max(spread, point.repeat)


def distinct(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points without repeats: the same run read again, whatever its file is called by then."""
    found = {replace(point, source="", predicted=1.0): point for point in points}
    return tuple(found.values())


def solve(matrix: Sequence[Sequence[float]], column: Iterable[float]) -> list[float]:
    """Return x of ``matrix`` x = ``column``; the matrix is symmetric and positive definite."""
    rows = [[*row, value] for row, value in zip(matrix, column, strict=True)]
    size = len(rows)
    for pivot in range(size):
        for below in range(pivot + 1, size):
            factor = rows[below][pivot] / rows[pivot][pivot]
            for place in range(pivot, size + 1):
                rows[below][place] -= factor * rows[pivot][place]
    found = [0.0] * size
    for row in reversed(range(size)):
        rest = sum(rows[row][place] * found[place] for place in range(row + 1, size))
        found[row] = (rows[row][size] - rest) / rows[row][row]
    return found


def _spread(figure: Figure) -> float:
    return max(REPEAT, log(figure.high / figure.low) / (2 * NORMAL_TAIL))


def _moves(answer: Throughput, name: str) -> bool:
    """Whether a correction of speed moves a figure: what all users get at a stated rate is what arrives."""
    return name != "aggregate_tokens_per_second" or answer.traffic.requests_per_second is None


def _moved(answer: Throughput, name: str, found: _Correction) -> Figure | None:
    """Return a figure moved by a correction of speeds; times move the other way.

    Runs of mere relatives move a figure and do not make it surer than it is: its basis stays.
    """
    figure: Figure | None = getattr(answer, name)
    if figure is None:
        return None
    best = figure.value * exp(-found.mean if name.endswith("_seconds") else found.mean)
    margin = exp(NORMAL_TAIL * found.spread)
    runs = f"{found.count} measured run{'s' if found.count > 1 else ''} of your own"
    basis = Basis.CALIBRATED if found.close else figure.basis
    return Figure(best, best / margin, best * margin, basis, f"{figure.source}; corrected by {runs}")
