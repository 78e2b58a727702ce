"""Devices that share the layers work on several micro-batches of a prompt at once; how far that goes.

The first micro-batch takes all stages one after another; each further one starts as soon as the first device
is free and the host gets to it. One thread launches the kernels of all devices, stage after stage, and waits
where a device's queue of launches is full, so that it is never further ahead of the last stage than what that
queue holds; nor than the copies that llama.cpp keeps of what stages are given. All of it is arithmetic, so
that the solver can hand arrays of seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.setting import Setting
from hwledger.planner.throughput.work import Work


@dataclass(frozen=True, slots=True)
class Stage:
    """What one device does for one micro-batch.

    Attributes:
        seconds: it takes; an array where many kinds of devices are timed at once.
        launches: kernels that it is given.
    """

    seconds: Any
    launches: float


def overlapped(stages: Sequence[Stage], rounds: int) -> Any:
    """Return the time of ``rounds`` micro-batches over that of all of them one after another: 0 to 1."""
    whole: Any = sum(stage.seconds for stage in stages)
    return (whole + _last_start(stages, rounds - 1)) / (rounds * whole)


def _last_start(stages: Sequence[Stage], further: int) -> Any:
    """Return when the last of ``further`` micro-batches after the first starts.

    A host that may be ``ahead`` micro-batches, a whole number and a part, gives out one more when the stage
    has done all but the part of the one that is as many before it.
    """
    slowest: Any = 0.0
    for stage in stages:
        slowest = larger(slowest, stage.seconds)
    found, before = further * slowest, 0.0
    queue, copies = assumed("launch_queue").value, assumed("pipeline_copies").value
    for stage in stages:
        before = before + stage.seconds
        for ahead in (queue / stage.launches, copies):
            turns, rest = divmod(further, 1 + int(ahead))
            if turns:
                waited = before - (ahead - int(ahead)) * stage.seconds
                found = larger(found, turns * waited + rest * slowest)
    return found


def larger(one: Any, other: Any) -> Any:
    """Return the larger number; of arrays that of each place, so that the solver can use it."""
    return one + (other - one) * (other > one)


def launches(work: Work, setting: Setting) -> float:
    """Return the kernels of one micro-batch over all layers: those of a matrix, and of a layer beside."""
    matrix = "float" if setting.group == "float" else "early" if setting.early else "quantised"
    layer = "flash" if setting.flash else "plain"
    each = assumed(f"launches_per_matrix_{matrix}").value
    return work.matrices * each + work.layers * assumed(f"launches_per_layer_{layer}").value


@lru_cache(maxsize=1024)
def even_runs(layers: int, devices: int) -> tuple[int, ...]:
    """Return the layers of each of several alike devices; llama.cpp counts the output as one more."""
    counts = [0] * devices
    for layer in range(layers):
        counts[layer * devices // (layers + 1)] += 1
    return tuple(counts)
