"""The solve screen: answers with their figures, the front as a table, and why others were refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hwledger.planner.solve.answer import Answer, Solution
from hwledger.planner.solve.cost import OWNED, Cost
from hwledger.planner.solve.document import per_million
from hwledger.planner.solve.limits import LABELS, seconds
from hwledger.planner.solve.question import Measured
from hwledger.planner.solve.table import ENGINE
from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.units import format_gib, format_tokens

SHOWN_NOTES = 4
COLUMNS: Final = (
    Column("way", wraps=True),
    Column("GiB", right=True),
    Column("tokens/s", right=True),
    Column("TTFT", right=True, rank=1),
    Column("USD/h", right=True),
    Column("USD/1M", right=True, rank=2),
    Column("W", right=True, rank=3),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SolutionBlock:
    """One answer in words.

    Attributes:
        title: what it answers.
        value: the answer.
        figures: memory, speed and cost in one line.
        limited: why it is not more.
        notes: evidence and assumptions, with their sources.
        good: it holds.
    """

    title: str
    value: str
    figures: str
    limited: tuple[str, ...]
    notes: tuple[str, ...]
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveScreen:
    """Everything that is shown of an answer.

    Attributes:
        headline: whether anything holds.
        good: it does.
        blocks: the answers, or the nearest where nothing holds.
        front: rows of the front, columns as ``COLUMNS``.
        refused: what was refused and why, in lines.
        counts: how many were looked at and missed what.
        notes: what else is to be known.
    """

    headline: str
    good: bool
    blocks: tuple[SolutionBlock, ...]
    front: tuple[tuple[str, ...], ...]
    refused: tuple[tuple[str, str], ...]
    counts: str
    notes: tuple[str, ...]


def solve_screen(answer: Answer, subject: str) -> SolveScreen:
    """Return the screen of an answer; ``subject`` is model and engine in words."""
    wanted = " and ".join(answer.unknowns)
    shown = answer.solutions or ((answer.nearest,) if answer.nearest else ())
    headline = (
        f"{subject}: {wanted}" if answer.holds
        else f"{subject}: nothing holds every limit" + ("; the nearest:" if answer.nearest else "")
    )  # fmt: skip
    return SolveScreen(
        headline=headline, good=answer.holds, blocks=tuple(_grouped([_block(one) for one in shown])),
        front=tuple(_row(one) for one in answer.front) if len(answer.front) > 1 else (),
        refused=tuple((one.what, one.why) for one in answer.refused), counts=_counts(answer),
        notes=(*_load(answer), *answer.notes),
    )  # fmt: skip


def _grouped(blocks: Sequence[SolutionBlock]) -> Iterator[SolutionBlock]:
    """One block for answers that are the same way: ``Fewest devices; Cheapest devices``."""
    alike: dict[tuple[str, str], list[SolutionBlock]] = {}
    for block in blocks:
        alike.setdefault((block.value, block.figures), []).append(block)
    for same in alike.values():
        yield replace(same[0], title="; ".join(block.title for block in same))


def _block(solution: Solution) -> SolutionBlock:
    firsts = {note.partition(": ")[0]: note for note in reversed(solution.notes)}  # one figure a type
    notes = tuple(note for note in solution.notes if note in firsts.values())[:SHOWN_NOTES]
    more = len(solution.notes) - len(notes)
    notes += (f"{more} more with --json",) if more else ()
    return SolutionBlock(
        title=solution.title, value=solution.value, figures=figures(solution.measured),
        limited=solution.limited_by, notes=notes, good=solution.measured.holds,
    )  # fmt: skip


def figures(measured: Measured) -> str:
    """Return memory, speed and cost of a way in one line; what is not known is left to the notes."""
    plan, speed, cost = measured.plan, measured.throughput, measured.cost
    parts = []
    if plan:
        host = f" and {format_gib(plan.host_bytes)} of host memory" if plan.host_bytes else ""
        parts.append(f"{format_gib(plan.total_bytes - plan.host_bytes)}{host}")
        if plan.fit:
            parts.append(f"{format_gib(plan.fit.headroom_bytes)} to spare")
    if speed and speed.decode_tokens_per_second:
        one = speed.decode_tokens_per_second
        parts.append(f"{digits(one.value)} tokens/s ({digits(one.low)} … {digits(one.high)})")
        if speed.traffic.concurrency > 1 and speed.aggregate_tokens_per_second:
            parts.append(f"{digits(speed.aggregate_tokens_per_second.value)} tokens/s for all")
    if speed and speed.ttft_seconds:
        parts.append(f"first token after {seconds(speed.ttft_seconds.value)}")
    if cost.price_per_hour is not None:
        parts.append(f"{cost.price_per_hour:.2f} USD/h {cost.kind}")
    if cost.watts is not None:
        parts.append(f"{cost.watts:,.0f} W")
    return ", ".join(parts)


def _row(solution: Solution) -> tuple[str, ...]:
    return (solution.value, *cells(solution.measured))


def cells(measured: Measured) -> tuple[str, ...]:
    """Return memory, tokens/s, TTFT, price per hour, price per million tokens and watts; empty: not known."""
    plan, speed, cost = measured.plan, measured.throughput, measured.cost
    million = per_million(cost, speed)
    rate = speed.decode_tokens_per_second if speed else None
    first = speed.ttft_seconds if speed else None
    return (
        f"{plan.total_bytes / 2**30:,.1f}" if plan else "",
        digits(rate.value) if rate else "",
        seconds(first.value) if first else "",
        price_words(cost),
        f"{million:.3g}" if million is not None else "",
        f"{cost.watts:,.0f}" if cost.watts is not None else "",
    )


def price_words(cost: Cost) -> str:
    """Return the price per hour; that of bought devices is marked. Empty: not known."""
    if cost.price_per_hour is None:
        return ""
    return f"{cost.price_per_hour:.2f}{' own' if cost.kind == OWNED else ''}"


def _counts(answer: Answer) -> str:
    if not answer.refusals or answer.searched <= 1:
        return ""
    names = {**LABELS, ENGINE: "the engine or the device"}
    missed = ", ".join(f"{count:,} by {names.get(name, name)}" for name, count in answer.refusals)
    return f"{answer.searched:,} ways looked at; refused: {missed}"


def _load(answer: Answer) -> tuple[str, ...]:
    load = answer.load
    if load is None:
        return ()
    said = (
        f"Load: {load.little:.3g} requests at once by Little's law, {load.mean:.3g} on the average and "
        f"{load.p99:,} at the 99th percentile of {load.requests:,} simulated arrivals (seed {load.seed}), "
        f"which keep {format_tokens(load.tokens_p99)} tokens"
    )
    return (said,)
