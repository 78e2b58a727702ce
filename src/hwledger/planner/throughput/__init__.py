"""How fast a plan runs: one estimator, from bytes and operations, with constants fitted to measurements."""

from typing import TYPE_CHECKING, Any

from hwledger.planner.throughput.estimate import estimate
from hwledger.planner.throughput.figure import FIGURES, Figure, Throughput, Traffic, traffic_of
from hwledger.planner.throughput.speculation import Speculation
from hwledger.planner.throughput.work import Work, cached_element_bytes, plan_work, work_of

if TYPE_CHECKING:
    from hwledger.planner.throughput.calibration import Calibration, Point

__all__ = [
    "FIGURES",
    "Calibration",
    "Figure",
    "Point",
    "Speculation",
    "Throughput",
    "Traffic",
    "Work",
    "cached_element_bytes",
    "estimate",
    "plan_work",
    "traffic_of",
    "work_of",
]


def __getattr__(name: str) -> Any:
    """Load what only measured runs of the user's own need when it is first used."""
    if name not in {"Calibration", "Point"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hwledger.planner.throughput import calibration  # noqa: PLC0415 - start-up time

    return getattr(calibration, name)
