"""Fit: whether a plan fits its devices, by how much, and what would change that."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hwledger.units import format_bytes

TIGHT_SHARE: Final = 0.03
"""Below this share of the usable memory, headroom is tight: allocators fragment."""


class Verdict(StrEnum):
    """How a plan fits; ordered from best to worst."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change that makes a plan fit.

    Attributes:
        kind: ``context``, ``concurrency``, ``kv_cache``, ``weights`` or ``devices``.
        before, after: the setting as it is and as it would be.
        total_bytes: total of the changed plan.
        headroom_bytes: what the fullest device keeps free.
        loss: share of what was asked for that the change gives up; for ordering.
    """

    kind: str
    before: str
    after: str
    total_bytes: int
    headroom_bytes: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The verdict over all devices.

    Attributes:
        verdict: that of the worst device.
        headroom_bytes: usable minus planned on the fullest device; negative: what is missing there.
        host_headroom_bytes: the same of host memory; ``None`` where none is used or its size is not known.
        changes: the smallest changes that make it fit; empty where it fits or nothing helps.
    """

    verdict: Verdict
    headroom_bytes: int
    changes: tuple[Change, ...] = ()
    host_headroom_bytes: int | None = None

    @property
    def missing(self) -> str:
        """What is missing and where, in words: ``1.2 GiB on the fullest device``; empty: nothing is."""
        places = ((self.headroom_bytes, "on the fullest device"),
                  (self.host_headroom_bytes or 0, "of host memory"))  # fmt: skip
        return " and ".join(f"{format_bytes(-room)} {where}" for room, where in places if room < 0)


def judge(total_bytes: int, high_bytes: int, usable_bytes: int) -> Verdict:
    """Return the verdict of one device.

    A plan is tight when its upper estimate does not fit, or less than 3 % of the memory stays free.
    """
    if total_bytes > usable_bytes:
        return Verdict.DOES_NOT_FIT
    if high_bytes > usable_bytes or usable_bytes - total_bytes < TIGHT_SHARE * usable_bytes:
        return Verdict.TIGHT
    return Verdict.FITS
