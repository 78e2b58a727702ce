"""How much of the processor others take while one process works: whether its speed says anything."""

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Final

import psutil

_BUSY: Final = ("user", "nice", "system", "irq", "softirq", "steal")
"""What counts as work of Linux's columns, and of other systems' those that they have."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Processor seconds that were used until a moment.

    Attributes:
        at: the moment, on the monotonic clock.
        all_s: by everybody, on all cores.
        own_s: by this process, and by the one that is watched with its children.
    """

    at: float
    all_s: float
    own_s: float


def moment(pid: int | None) -> Moment | None:
    """Return what was used until now; ``None`` where the system does not tell."""
    try:
        told = psutil.cpu_times()
    except (OSError, RuntimeError, ValueError):
        return None
    used = os.times()
    own = used.user + used.system + (_of(pid) if pid is not None else 0.0)
    return Moment(time.monotonic(), sum(getattr(told, name, 0.0) for name in _BUSY), own)


def _of(pid: int) -> float:
    found = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                told = each.cpu_times()
                found += told.user + told.system
    return found


def others_share(first: Moment | None, last: Moment | None, cores: int) -> float | None:
    """Return the share of all cores that others used between two moments, 0 to 1; ``None``: not known."""
    if first is None or last is None or last.at <= first.at:
        return None
    others = (last.all_s - first.all_s) - (last.own_s - first.own_s)
    return min(1.0, max(0.0, others / ((last.at - first.at) * cores)))
