"""A benchmark's table: what was measured at each context and number of users, beside the plan; pure."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.reconcile.document import reconciliation_document
from hwledger.reconcile.term import Expected, Reconciliation
from hwledger.units import parse_size

SCHEMA: Final = "hwledger.bench/1"
AXES: Final = {"context": (512, 2048, 8192), "concurrency": (1, 2, 4)}
"""What can be varied, and the values where none are given."""
ALIASES: Final = {"users": "concurrency"}
MOST_CELLS: Final = 256


class Outcome(StrEnum):
    """What became of a cell."""

    MEASURED = "measured"
    BUSY = "busy"
    """Others disturbed it: its speeds are shown, judge nothing and correct nothing."""
    DOES_NOT_FIT = "does_not_fit"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was measured at one setting.

    Attributes:
        context, concurrency: tokens of one request, and requests at once.
        outcome: what became of it.
        why: the reason where it was not measured, or says nothing.
        requests: how many were timed.
        prompt_tokens, output_tokens: of one request, the median.
        prefill, decode: tokens per second of one request, medians.
        aggregate: tokens of answers per second of all requests together.
        ttft_seconds: from a request to its first token, the median.
        spread: (largest - smallest) / median of the rates of decoding; ``None`` with one request.
        others: share of the processor that others used; ``None``: not known.
        memory_bytes, device_bytes: what the process held; ``None``: not known.
        found: all of it beside the plan.
    """

    context: int
    concurrency: int
    outcome: Outcome
    why: str = ""
    requests: int = 0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    prefill: float | None = None
    decode: float | None = None
    aggregate: float | None = None
    ttft_seconds: float | None = None
    spread: float | None = None
    others: float | None = None
    memory_bytes: float | None = None
    device_bytes: float | None = None
    found: Reconciliation | None = None

    def expected(self, name: str) -> Expected | None:
        """Return what was planned of a term, or of a whole by its name; ``None``: nothing was."""
        if self.found is None:
            return None
        sides = {each.name: each.expected for each in self.found.terms}
        sides |= {each.name: each.expected for each in self.found.accounts}
        side = sides.get(name)
        return side if isinstance(side, Expected) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Every cell of one benchmark.

    Attributes:
        model, engine, version: what ran.
        device: what it computed on.
        started: when, RFC 3339, UTC.
        cells: in the order in which they were measured.
    """

    model: str
    engine: str
    version: str
    device: str
    started: str
    cells: tuple[Cell, ...] = field(default=())


def settings_of(text: str) -> tuple[tuple[int | None, int | None], ...]:
    """Return context and concurrency of each cell of a grid; ``None``: as planned.

    Args:
        text: ``context,concurrency``, or with values ``context=512:2k,concurrency=1:4``; empty: one cell.

    Raises:
        UnknownOptionError: there is no such axis.
        UsageError: an axis twice, a value that cannot be read, or too many cells.
    """
    axes: dict[str, tuple[int, ...]] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, values = _axis(part)
        if name in axes:
            raise UsageError(f"a grid has different axes; {name} is there twice")
        axes[name] = values
    found = tuple(
        (context, users)
        for context in axes.get("context", (None,))
        for users in axes.get("concurrency", (None,))
    )
    if len(found) > MOST_CELLS:
        raise UsageError(
            f"{len(found):,} cells are more than the {MOST_CELLS} of a benchmark; give fewer values"
        )
    return found


def _axis(part: str) -> tuple[str, tuple[int, ...]]:
    name, _, values = part.partition("=")
    name = ALIASES.get(name.strip().lower(), name.strip().lower())
    if name not in AXES:
        raise UnknownOptionError("axis of a benchmark", name, tuple(AXES))
    try:
        given = tuple(parse_size(value.strip()) for value in values.split(":") if value.strip())
    except ValueError as error:
        raise UsageError(str(error)) from None
    if given and min(given) < 1:
        raise UsageError(f"the values of {name} are 1 or more")
    return name, tuple(dict.fromkeys(given)) or AXES[name]


COLUMNS: Final = (
    "model", "engine", "version", "device", "context_tokens", "concurrency", "outcome", "requests",
    "prompt_tokens", "output_tokens", "prefill_tokens_per_second", "decode_tokens_per_second",
    "aggregate_tokens_per_second", "ttft_seconds", "decode_spread", "memory_bytes", "device_bytes",
    "planned_prefill_tokens_per_second", "planned_decode_tokens_per_second", "planned_memory_bytes",
    "others_share", "why",
)  # fmt: skip


def bench_csv(bench: Bench) -> str:
    """Return the table with a line for each cell; what is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in bench.cells:
        row = {**_named(bench), **_figures(cell), **_planned(cell)}
        writer.writerow([_plain(row[name]) for name in COLUMNS])
    return out.getvalue()


def _plain(value: object) -> object:
    """Return a value for a cell of CSV, on one line."""
    return " ".join(value.split()) if isinstance(value, str) else "" if value is None else value


def bench_document(bench: Bench) -> dict[str, Any]:
    """Return a benchmark for JSON; what is not known is null."""
    return {
        "schema": SCHEMA, **_named(bench), "started": bench.started,
        "cells": [
            {**_figures(cell), **_planned(cell),
             "reconciliation": None if cell.found is None else reconciliation_document(cell.found)}
            for cell in bench.cells
        ],
    }  # fmt: skip


def _named(bench: Bench) -> dict[str, Any]:
    return {
        "model": bench.model, "engine": bench.engine, "version": bench.version, "device": bench.device,
    }  # fmt: skip


def _figures(cell: Cell) -> dict[str, Any]:
    return {
        "context_tokens": cell.context, "concurrency": cell.concurrency, "outcome": cell.outcome.value,
        "requests": cell.requests, "prompt_tokens": cell.prompt_tokens, "output_tokens": cell.output_tokens,
        "prefill_tokens_per_second": cell.prefill, "decode_tokens_per_second": cell.decode,
        "aggregate_tokens_per_second": cell.aggregate, "ttft_seconds": cell.ttft_seconds,
        "decode_spread": cell.spread, "memory_bytes": cell.memory_bytes, "device_bytes": cell.device_bytes,
        "others_share": cell.others, "why": cell.why or None,
    }  # fmt: skip


def _planned(cell: Cell) -> dict[str, Any]:
    from hwledger.reconcile.memory import PROCESS  # noqa: PLC0415 - start-up time

    planned = {
        "planned_prefill_tokens_per_second": cell.expected("prefill"),
        "planned_decode_tokens_per_second": cell.expected("decode"),
        "planned_memory_bytes": cell.expected(PROCESS),
    }
    return {name: None if one is None else one.value for name, one in planned.items()}


def busy_cells(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Yield the cells that others disturbed."""
    return (cell for cell in cells if cell.outcome is Outcome.BUSY)
