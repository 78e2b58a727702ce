"""How fast a plan runs: one estimator, from bytes and operations, with constants fitted to measurements."""

from hwledger.planner.throughput.calibration import Calibration, Point
from hwledger.planner.throughput.estimate import estimate
from hwledger.planner.throughput.figure import FIGURES, Figure, Throughput, Traffic, traffic_of
from hwledger.planner.throughput.speculation import Speculation
from hwledger.planner.throughput.work import Work, cached_element_bytes, plan_work, work_of

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
