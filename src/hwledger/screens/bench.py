"""The screen of a benchmark: a row for each context and number of users."""

from typing import Final

from hwledger.reconcile.bench import Bench, Cell, Outcome, busy_cells
from hwledger.reconcile.memory import PROCESS
from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.units import format_bytes, format_tokens

COLUMNS: Final = (
    Column("context", right=True), Column("at once", right=True), Column("prompt", right=True, rank=4),
    Column("prefill", right=True), Column("planned", right=True, rank=2), Column("decode", right=True),
    Column("planned", right=True, rank=1), Column("all together", right=True, rank=3),
    Column("first token", right=True), Column("memory", right=True), Column("planned", right=True, rank=2),
    Column("", wraps=True),
)  # fmt: skip
OUTCOMES: Final = {
    Outcome.MEASURED: "", Outcome.BUSY: "busy", Outcome.DOES_NOT_FIT: "does not fit",
    Outcome.FAILED: "failed",
}  # fmt: skip
UNKNOWN: Final = "–"


def bench_title(bench: Bench) -> str:
    """Return what was measured on what."""
    return f"{bench.model} on {bench.engine} {bench.version}, {bench.device}; speeds in tokens/s"


def bench_rows(bench: Bench) -> list[tuple[str, ...]]:
    """Return a row of ``COLUMNS`` for each cell."""
    return [_row(cell) for cell in bench.cells]


def _row(cell: Cell) -> tuple[str, ...]:
    prompt = UNKNOWN if cell.prompt_tokens is None else f"{cell.prompt_tokens:,}"
    ttft = UNKNOWN if cell.ttft_seconds is None else f"{digits(cell.ttft_seconds)} s"
    return (
        format_tokens(cell.context), str(cell.concurrency), prompt,
        _rate(cell.prefill), _planned(cell, "prefill"), _rate(cell.decode), _planned(cell, "decode"),
        _rate(cell.aggregate), ttft, _bytes(cell.memory_bytes), _planned(cell, PROCESS),
        OUTCOMES[cell.outcome],
    )  # fmt: skip


def _rate(value: float | None) -> str:
    return UNKNOWN if value is None else digits(value)


def _bytes(value: float | None) -> str:
    return UNKNOWN if value is None else format_bytes(value)


def _planned(cell: Cell, name: str) -> str:
    expected = cell.expected(name)
    if expected is None:
        return UNKNOWN
    return format_bytes(expected.value) if name == PROCESS else digits(expected.value)


def bench_notes(bench: Bench) -> tuple[str, ...]:
    """Return why cells were not measured, or say nothing."""
    said = [f"context {format_tokens(cell.context)}, {cell.concurrency} at once: {cell.why}"
            for cell in bench.cells if cell.why]  # fmt: skip
    busy = sum(1 for _ in busy_cells(bench.cells))
    if busy:
        said.append(
            f"{busy} of {len(bench.cells)} cells were measured while the machine was busy: their speeds judge"
            " no plan and correct none; measure again when it is quiet"
        )
    return tuple(said)
