"""The shapes of a reconciliation: terms, and wholes of parts and of what nothing explains."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hwledger.planner.memory import Basis
from hwledger.telemetry.quantity import Unit


class Quality(StrEnum):
    """How far to trust what was seen."""

    MEASURED = "measured"
    """The system, the driver or a clock of one's own says it."""
    REPORTED = "reported"
    """The engine says it of itself, now."""
    LOGGED = "logged"
    """The engine wrote it down when it started."""
    DERIVED = "derived"
    """Computed from other readings."""
    CALIBRATED = "calibrated"
    """Not seen: what earlier runs of this machine, or of others, make one expect."""
    ASSUMED = "assumed"
    """Not seen: an assumption of the plan."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """That a figure is not known, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What was planned: best figure, 80 % interval, how far to trust it, and by which rule."""

    value: float
    low: float
    high: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen.

    Attributes:
        value: in the unit of its term.
        quality: how far to trust it.
        source: who says it.
        give: half of the last digit that its source writes, so that rounding is no difference.
    """

    value: float
    quality: Quality
    source: str
    give: float = 0.0


@dataclass(frozen=True, slots=True)
class Term:
    """One quantity, planned and seen.

    Attributes:
        name: ``weights``, ``kv_cache``, ``decode`` …
        unit: of both.
        expected: what was planned, or why nothing was.
        seen: what was seen, or why it was not.
        doubt: why the two do not judge each other: the machine was busy; empty where they do.
    """

    name: str
    unit: Unit
    expected: Expected | Unknown
    seen: Seen | Unknown
    doubt: str = ""

    @property
    def difference(self) -> float | None:
        """Seen minus planned; ``None`` where one of them is not known."""
        if isinstance(self.expected, Unknown) or isinstance(self.seen, Unknown):
            return None
        return self.seen.value - self.expected.value

    @property
    def inside(self) -> bool | None:
        """Whether what was seen lies in the planned interval, to its last digit; ``None``: not known."""
        if self.doubt or isinstance(self.expected, Unknown) or isinstance(self.seen, Unknown):
            return None
        low, high = self.expected.low - self.seen.give, self.expected.high + self.seen.give
        return low <= self.seen.value <= high


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a whole, in bytes, as somebody tells it; ``place``: the engine's name of where it lies."""

    name: str
    place: str
    seen: Seen


UNEXPLAINED: Final = "unexplained"
NOT_PLANNED: Final = Unknown("nothing was planned for the whole")


@dataclass(frozen=True, slots=True)
class Account:
    """A whole, in bytes, and the parts that somebody tells of it.

    Attributes:
        name: what it is of: ``process memory``.
        whole: its size, or why that is not known.
        parts: what is known or expected of it, each once; nothing is added to one to make the sum come out.
        meaning: what the unexplained part can hold, in words.
        expected: what was planned for the whole, or why nothing was.
    """

    name: str
    whole: Seen | Unknown
    parts: tuple[Part, ...]
    meaning: str = ""
    expected: Expected | Unknown = NOT_PLANNED

    @property
    def explained(self) -> float:
        """The sum of the parts."""
        return sum(part.seen.value for part in self.parts)

    @property
    def unexplained(self) -> float | None:
        """The whole less its parts: negative where they are more, ``None`` where the whole is not known."""
        return None if isinstance(self.whole, Unknown) else self.whole.value - self.explained

    @property
    def inside(self) -> bool | None:
        """Whether the whole lies in what was planned for it, to its last digit; ``None``: not known."""
        return Term(self.name, Unit.BYTES, self.expected, self.whole).inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A plan beside what was seen.

    Attributes:
        model, engine: what ran.
        planned_as: the engine profile whose rules planned: SGLang is planned as ``vllm``.
        planned_version: its version.
        seen_version: version that the engine states; empty where it does not.
        terms: every quantity that was planned or seen.
        accounts: wholes with their parts.
        notes: what to know before judging, in sentences.
    """

    model: str
    engine: str
    planned_as: str
    planned_version: str
    seen_version: str
    terms: tuple[Term, ...]
    accounts: tuple[Account, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def planned_bytes(self) -> float:
        """The sum of all planned terms of memory: the plan's total."""
        return sum(
            term.expected.value
            for term in self.terms
            if term.unit is Unit.BYTES and isinstance(term.expected, Expected)
        )
