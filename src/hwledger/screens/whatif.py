"""The what-if screen: changes side by side with the plan as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hwledger.planner.solve.corrections import runs_words
from hwledger.planner.solve.document import per_million
from hwledger.planner.solve.limits import seconds
from hwledger.planner.solve.question import Measured
from hwledger.planner.solve.whatif import Effect
from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.units import format_gib

if TYPE_CHECKING:
    from hwledger.planner.throughput import Figure

COLUMNS: Final = (
    Column("change", wraps=True),
    Column("GiB", right=True),
    Column("spare", right=True),
    Column("KV/token", right=True, rank=1),
    Column("tokens/s", right=True),
    Column("all users", right=True, rank=2),
    Column("TTFT", right=True),
    Column("USD/1M", right=True, rank=3),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfScreen:
    """Everything that is shown.

    Attributes:
        title: of what.
        columns, rows: the table, one change a row; each figure with its ratio to the plan as it is.
        quality: what is known of quality, by change.
        notes: what is not modelled.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    quality: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]


def what_if_screen(effects: Sequence[Effect], subject: str) -> WhatIfScreen:
    """Return the screen of changes; the first is the baseline."""
    base = effects[0].measured
    alone = [one for one in effects[1:] if one.name != "all together"]
    notes = [f"{one.name}: {note}" for one in alone for note in one.notes]
    notes += [f"{one.name}: {miss.why}" for one in effects for miss in one.measured.misses]
    notes += [f"{one.name}: {line}" for one in alone for line in _unknown(one.measured)]
    notes += [f"speeds {line}" for line in runs_words(one.measured.throughput for one in effects)]
    return WhatIfScreen(
        title=f"{subject}: what if", columns=COLUMNS, rows=tuple(_row(one, base) for one in effects),
        quality=tuple((one.name, one.quality) for one in alone if one.quality),
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _unknown(measured: Measured) -> tuple[str, ...]:
    return (*measured.throughput.unknown, *measured.throughput.warnings) if measured.throughput else ()


def _row(effect: Effect, base: Measured) -> tuple[str, ...]:
    measured = effect.measured
    if measured.plan is None:
        return (effect.name, "refused", *[""] * (len(COLUMNS) - 2))
    return (
        effect.name,
        _with_ratio(measured, base, _total, lambda size: f"{size / 2**30:,.2f}"),
        format_gib(measured.plan.fit.headroom_bytes) if measured.plan.fit else "",
        f"{measured.plan.memory.kv_cache_bytes_per_token / 1024:,.0f} KiB",
        _with_ratio(measured, base, _rate("decode_tokens_per_second"), digits),
        _with_ratio(measured, base, _rate("aggregate_tokens_per_second"), digits),
        _with_ratio(measured, base, _rate("ttft_seconds"), seconds),
        _with_ratio(measured, base, lambda one: per_million(one.cost, one.throughput), lambda v: f"{v:.3g}"),
    )


def _total(measured: Measured) -> float | None:
    return float(measured.plan.total_bytes) if measured.plan else None


def _rate(name: str) -> Callable[[Measured], float | None]:
    def value(measured: Measured) -> float | None:
        figure: Figure | None = getattr(measured.throughput, name) if measured.throughput else None
        return figure.value if figure else None

    return value


def _with_ratio(
    measured: Measured,
    base: Measured,
    value: Callable[[Measured], float | None],
    shown: Callable[[float], str],
) -> str:
    """A figure, and how many times the baseline's it is; ``?``: not known, ``-``: it does not fit."""
    mine, theirs = value(measured), value(base)
    if mine is None:
        return "-" if measured.misses else "?"
    if theirs is None or measured is base or mine == theirs:
        return shown(mine)
    return f"{shown(mine)} (x{mine / theirs:.2f})"
