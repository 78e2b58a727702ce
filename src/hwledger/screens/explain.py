"""The screen of an explanation: what a figure is made of, the largest first."""

from typing import Final

from hwledger.planner.plan import Plan
from hwledger.reconcile.explain import Explanation, Line
from hwledger.reconcile.term import UNEXPLAINED
from hwledger.screens.column import Column
from hwledger.units import format_bytes

COLUMNS: Final = (
    Column("part"), Column("size", right=True), Column("share", right=True),
    Column("interval", right=True, rank=2),
    Column("known", rank=1), Column("by", wraps=True, rank=3), Column("why", wraps=True),
)  # fmt: skip


def explanation_title(found: Explanation, plan: Plan) -> str:
    """Return what is explained."""
    memory, version = plan.memory, plan.request.version
    return (
        f"{format_bytes(found.whole)} of {found.where}: {plan.spec.id} on {plan.engine} {version},"
        f" {memory.concurrency} at once with a context of {memory.context_tokens:,} tokens"
    )


def explanation_rows(found: Explanation) -> list[tuple[str, ...]]:
    """Return a row of ``COLUMNS`` for each part, and one for what none explains."""
    rows = [_row(line, found.whole) for line in found.lines]
    share = _share(found.unexplained, found.whole)
    return [*rows, (UNEXPLAINED, format_bytes(found.unexplained), share, "", "", "", "")]


def _row(line: Line, whole: float) -> tuple[str, ...]:
    ends = "" if line.low == line.high else f"{format_bytes(line.low)} … {format_bytes(line.high)}"
    return (
        line.name.replace("_", " "), format_bytes(line.value), _share(line.value, whole), ends, line.trust,
        line.source, line.why,
    )  # fmt: skip


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else ""
