"""A value with its unit, source and age, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit

Scalar = int | float | str | tuple[str, ...]


class Reason(StrEnum):
    """Why there is no value."""

    UNSUPPORTED = "unsupported"
    """The device, the driver or the engine has no such value here."""
    NO_PERMISSION = "no permission"
    """It exists, and this user may not see it."""
    ABSENT_TOOL = "absent tool"
    """What would tell it is not installed or not running."""
    LOST_DEVICE = "lost device"
    """The device fell off its bus or needs a reset."""
    STALE = "stale"
    """Its source did not answer in time; the last value is kept beside it."""
    UNPARSED = "unparsed"
    """Its source said something that is not understood, or that cannot be."""


class Basis(StrEnum):
    """How a value came about."""

    MEASURED = "measured"
    """Reported by the driver, the system or the engine as it is now."""
    LOGGED = "logged"
    """Written down by its source some time ago."""
    DERIVED = "derived"
    """Computed from other values of the same snapshot."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that its source gave.

    Attributes:
        value: a number in ``unit``; text or words where the unit says so. Zero means zero.
        unit: its unit.
        source: who said it: ``NVML``, ``amd-smi``, ``/sys/class/drm``.
        at: when, in seconds of the monotonic clock of the system that sampled; 0 where nothing says.
        basis: how it came about.
    """

    value: Scalar
    unit: Unit
    source: str
    at: float = 0.0
    basis: Basis = Basis.MEASURED


@dataclass(frozen=True, slots=True)
class Absent:
    """The reason why there is no value.

    Attributes:
        reason: one of six.
        detail: what exactly, a sentence without a full stop; empty where the reason says it all.
        source: who was asked; empty for nobody.
        last: the last value, where the reason is ``stale``.
    """

    reason: Reason
    detail: str = ""
    source: str = ""
    last: Value | None = None


Reading = Value | Absent
Readings = Mapping[Quantity, Reading]

NOT_TOLD = Absent(Reason.UNSUPPORTED, "no source tells it")


def number_of(reading: Reading | None) -> float | None:
    """Return the number of a reading; ``None`` where there is no value or it is no number."""
    if isinstance(reading, Value) and isinstance(reading.value, int | float):
        return reading.value
    return None


def bytes_of(reading: Reading | None) -> int | None:
    """Return the whole number of a reading; ``None`` as for ``number_of``."""
    number = number_of(reading)
    return None if number is None else int(number)


class Gauge:
    """Makes the readings of one source at one moment: ``gauge(Quantity.POWER, 71.5)``.

    Args:
        source: who says it.
        at: when, as ``Value.at``.
        basis: how the values came about.
    """

    __slots__ = ("at", "basis", "source")

    def __init__(self, source: str, at: float = 0.0, basis: Basis = Basis.MEASURED) -> None:
        self.source = source
        self.at = at
        self.basis = basis

    def __call__(self, quantity: Quantity, value: Scalar) -> Value:
        """Return the value of a quantity in its own unit."""
        return Value(value, MEANINGS[quantity].unit, self.source, self.at, self.basis)

    def absent(self, reason: Reason, detail: str = "") -> Absent:
        """Return the reason why this source has no value."""
        return Absent(reason, detail, self.source)
