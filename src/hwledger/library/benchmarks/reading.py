"""Telling apart what benchmark programs print, by what it looks like."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.benchmarks.llama_bench import (
    csv_records,
    markdown_records,
    run_of_record,
    sql_records,
)
from hwledger.library.benchmarks.own import is_own, own_runs
from hwledger.library.benchmarks.run import BenchmarkRun
from hwledger.library.benchmarks.vllm_bench import HEADING, is_vllm, printed_run, vllm_run

MOST_BYTES: Final = 16 << 20
MOST_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """The runs of a file, and why rows of it are left out, each reason with the number of its rows."""

    runs: tuple[BenchmarkRun, ...]
    left_out: tuple[tuple[str, int], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each reason."""
        return tuple(
            f"{count} row{'s' if count > 1 else ''} left out: {reason}" for reason, count in self.left_out
        )


def read_runs(text: str, where: str) -> tuple[BenchmarkRun, ...]:
    """Return the runs of a benchmark program's output; arguments and errors as of ``read_file``."""
    return read_file(text, where).runs


def read_file(text: str, where: str) -> Reading:
    """Return the runs of a benchmark program's output, and what of it is left out.

    Args:
        text: what the program printed: Markdown, CSV, JSON, JSON lines or SQL of llama-bench, JSON or the
            table of ``vllm bench serve``, or ``hwledger.runs/1``.
        where: name of the file, for sources and errors.

    Raises:
        MalformedError: it is none of these, holds no run, or too many.
    """
    if len(text) > MOST_BYTES:
        raise MalformedError(f"{where}: more than 16 MiB of benchmark output; give the results alone")
    found = list(_runs(text, where))
    runs = tuple(run for run in found if isinstance(run, BenchmarkRun))
    read = Reading(runs, tuple(Counter(why for why in found if isinstance(why, str)).items()))
    if not runs:
        reasons = f" ({'; '.join(read.notes[:3])})" if read.left_out else ""
        raise MalformedError(
            f"{where}: no measured run in it{reasons}; "
            "give what llama-bench or vllm bench printed, or hwledger.runs/1"
        )
    if len(runs) > MOST_RUNS:
        raise MalformedError(f"{where}: {len(runs)} runs; give at most {MOST_RUNS}")
    return read


def _runs(text: str, where: str) -> Iterable[BenchmarkRun | str]:
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith(("{", "[")):
        return _json_runs(stripped, where)
    if HEADING in text:
        return [printed_run(text, where)]
    for records in (sql_records, markdown_records, csv_records):
        found = records(text)
        if found:
            return _each(found, where)
    return ()


def _json_runs(text: str, where: str) -> Iterable[BenchmarkRun | str]:
    values = _values(text, where)
    if len(values) == 1 and is_own(values[0]):
        return own_runs(values[0], where)
    records = [one for value in values for one in (value if isinstance(value, list) else [value])]
    if records and is_vllm(records[0]):
        return [vllm_run(one, f"{where}, run {i}") for i, one in enumerate(records, 1) if is_vllm(one)]
    return _each(records, where)


def _values(text: str, where: str) -> list[Any]:
    """Return one JSON value, or one per line; NaN is read, as Python writes it, and no rate later."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise MalformedError(f"{where}: this begins like JSON and is none") from None


def _each(records: Iterable[Any], where: str) -> Iterable[BenchmarkRun | str]:
    for number, record in enumerate(records, 1):
        known = isinstance(record, dict)
        yield run_of_record(record, f"{where}, row {number}") if known else "it is no object of a benchmark"
