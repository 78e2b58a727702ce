"""The limits of one plan: what was asked, what is there, and whether it holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hwledger.planner.solve.holding import Held
from hwledger.planner.solve.limits import LABELS, LOWER, shown

HEADS: Final = ("limit", "asked", "here", "80 % interval", "")


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit in words: its name, what was asked, what is there, its interval, and the answer.

    ``good`` says whether it is met by the best figure, ``open`` that its interval reaches over the limit,
    ``why`` the reason where what is there is not known.
    """

    name: str
    asked: str
    here: str
    interval: str
    answer: str
    good: bool
    open: bool
    why: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The row, columns as ``HEADS``."""
        return self.name, self.asked, self.here, self.interval, self.answer


def limit_rows(held: Sequence[Held]) -> tuple[LimitRow, ...]:
    """Return a row for each limit."""
    return tuple(_rows(held))


def _rows(held: Sequence[Held]) -> Iterator[LimitRow]:
    for one in held:
        bound = "≥" if one.limit in LOWER else "≤"
        ends = one.interval
        yield LimitRow(
            name=LABELS[one.limit], asked=f"{bound} {shown(one.limit, one.wanted)}",
            here="?" if one.got is None else shown(one.limit, one.got),
            interval=f"{shown(one.limit, ends[0])} … {shown(one.limit, ends[1])}" if ends else "",
            answer=_answer(one), good=one.miss is None, open=one.open,
            why=one.miss.why if one.miss and one.got is None else "",
        )  # fmt: skip


def _answer(one: Held) -> str:
    if one.got is None:
        return "not known"
    if one.miss is None:
        return "met, not surely" if one.open else "met"
    by = shown(one.limit, abs(one.got - one.wanted))
    return f"missed by {by}{', not surely' if one.open else ''}"
