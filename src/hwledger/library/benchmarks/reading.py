"""Telling apart what benchmark programs print, by what it looks like."""

import json
from collections.abc import Callable, Iterable
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


def read_runs(text: str, where: str) -> tuple[BenchmarkRun, ...]:
    """Return the runs of a benchmark program's output.

    Args:
        text: what the program printed: Markdown, CSV, JSON, JSON lines or SQL of llama-bench, JSON or the
            table of ``vllm bench serve``, or ``hwledger.runs/1``.
        where: name of the file, for sources and errors.

    Raises:
        MalformedError: it is none of these, holds no run, or too many.
    """
    if len(text) > MOST_BYTES:
        raise MalformedError(f"{where}: more than 16 MiB of benchmark output; give the results alone")
    runs = tuple(_runs(text, where))
    if not runs:
        raise MalformedError(
            f"{where}: no measured run in it; give what llama-bench or vllm bench printed, or hwledger.runs/1"
        )
    if len(runs) > MOST_RUNS:
        raise MalformedError(f"{where}: {len(runs)} runs; give at most {MOST_RUNS}")
    return runs


def _runs(text: str, where: str) -> Iterable[BenchmarkRun]:
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


def _json_runs(text: str, where: str) -> Iterable[BenchmarkRun]:
    values = _values(text, where)
    if len(values) == 1 and is_own(values[0]):
        return own_runs(values[0], where)
    records = [one for value in values for one in (value if isinstance(value, list) else [value])]
    if records and is_vllm(records[0]):
        return [vllm_run(one, f"{where}, run {i}") for i, one in enumerate(records, 1) if is_vllm(one)]
    return _each(records, where)


def _values(text: str, where: str) -> list[Any]:
    """Return one JSON value, or one per line."""
    refuse: Callable[[str], Any] = _refuse
    try:
        return [json.loads(text, parse_constant=refuse)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line, parse_constant=refuse) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise MalformedError(f"{where}: this begins like JSON and is none") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _each(records: Iterable[Any], where: str) -> Iterable[BenchmarkRun]:
    for number, record in enumerate(records, 1):
        run = run_of_record(record, f"{where}, row {number}") if isinstance(record, dict) else None
        if run is not None:
            yield run
