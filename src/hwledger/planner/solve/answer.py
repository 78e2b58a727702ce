"""What the solver answers: solutions, each planned again, the front between them, and what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwledger.planner.fit import Verdict
from hwledger.planner.solve.arrivals import Load
from hwledger.planner.solve.limits import Miss
from hwledger.planner.solve.question import Measured, least_missed

TITLES: Final = {
    "context": "Largest context",
    "concurrency": "Most users, each with a full context",
    "concurrency-realistic": "Most users at the given lengths",
    "arrivals": "Users at once from the arrivals",
    "weights": "Best quantisation",
    "kv-cache": "Best KV cache",
    "layout": "Best split over the devices",
    "devices-fewest": "Fewest devices",
    "devices-cheapest": "Cheapest devices",
    "devices-cheapest-owned": "Cheapest devices to own",
    "devices-fastest": "Fastest devices",
    "quality": "Least loss of quality",
}


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One answer.

    Attributes:
        kind: which, by its name in ``TITLES``.
        value: the answer in words.
        number: the answer as a number, where it is one.
        measured: the answer planned again, with its speed and its cost.
        limited_by: why it is not more, each with figures.
        notes: assumptions and evidence, each with its source.
    """

    kind: str
    value: str
    measured: Measured
    number: float | None = None
    limited_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it answers, in words."""
        return TITLES[self.kind]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Something that was looked at and does not hold.

    Attributes:
        what: the candidate in words.
        misses: the limits that it misses.
        why: in one sentence, with figures.
    """

    what: str
    misses: tuple[Miss, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Everything that the solver found.

    Attributes:
        unknowns: what was asked for.
        solutions: the answers; empty where nothing holds.
        front: ways of which none is better than another in memory, speed, cost and quality at once.
        refused: the nearest miss of each limit.
        nearest: where nothing holds: the possible way that comes nearest.
        searched: candidates that were looked at.
        refusals: how many of them missed each limit.
        load: what the arrivals make of the server, where there are arrivals.
        notes: what else is to be known.
    """

    unknowns: tuple[str, ...]
    solutions: tuple[Solution, ...] = ()
    front: tuple[Solution, ...] = ()
    refused: tuple[Refused, ...] = ()
    nearest: Solution | None = None
    searched: int = 0
    refusals: tuple[tuple[str, int], ...] = ()
    load: Load | None = None
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether anything holds."""
        return bool(self.solutions)


def why_not(measured: Measured) -> str:
    """Return why a way does not hold, in one sentence with figures."""
    if measured.plan is None:
        return measured.refusal
    return "; ".join(one.why for one in measured.misses) or "every limit holds"


def nearest_of(tried: Sequence[Solution]) -> Solution | None:
    """Return the nearest of several nearest ways."""
    best = least_missed([one.measured for one in tried])
    return next((one for one in tried if one.measured is best), None)


def tight(measured: Measured) -> bool:
    """Whether a way fits by its best figure only."""
    plan = measured.plan
    return plan is not None and plan.fit is not None and plan.fit.verdict is Verdict.TIGHT


def refused_of(ways: Sequence[tuple[str, Measured]]) -> tuple[Refused, ...]:
    """Return the nearest miss of each limit among ways that do not hold.

    A way that misses one limit only is nearer than one that misses several.
    """
    nearest: dict[str, tuple[tuple[int, float], str, Measured]] = {}
    for what, measured in ways:
        for one in measured.misses or ():
            key = (len(measured.misses), one.excess)
            if one.limit not in nearest or key < nearest[one.limit][0]:
                nearest[one.limit] = (key, what, measured)
        if measured.plan is None and "engine" not in nearest:
            nearest["engine"] = ((0, 0.0), what, measured)
    found: dict[str, Refused] = {}
    for _, what, measured in nearest.values():
        found.setdefault(what, Refused(what=what, misses=measured.misses, why=why_not(measured)))
    return tuple(found.values())


def counted(ways: Sequence[Measured]) -> tuple[tuple[str, int], ...]:
    """Return how many ways missed each limit."""
    found: dict[str, int] = {}
    for measured in ways:
        for one in measured.misses:
            found[one.limit] = found.get(one.limit, 0) + 1
        if measured.plan is None:
            found["engine"] = found.get("engine", 0) + 1
    return tuple(found.items())
