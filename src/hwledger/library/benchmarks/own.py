"""``hwledger.runs/1``: measured runs in our own JSON, for programs that nothing else here reads."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.benchmarks.run import LEAST_RATE, MOST_RATE, BenchmarkRun, possible

SCHEMA: Final = "hwledger.runs/1"
_TEXTS: Final = ("engine", "version", "model", "device", "backend")
_COUNTS: Final = ("prompt_tokens", "output_tokens", "cached_tokens", "concurrency")
_RATES: Final = {
    "prefill_tokens_per_second": "prefill",
    "decode_tokens_per_second": "decode",
    "ttft_seconds": "ttft_seconds",
    "requests_per_second": "requests_per_second",
}


def is_own(value: object) -> bool:
    """Return whether a JSON value is ``hwledger.runs/1``."""
    return isinstance(value, dict) and value.get("schema") == SCHEMA


def own_runs(document: Mapping[str, Any], where: str) -> Iterable[BenchmarkRun]:
    """Yield the runs of a document.

    Raises:
        MalformedError: a key is missing or of the wrong kind.
    """
    runs = document.get("runs")
    if not isinstance(runs, list):
        raise MalformedError(f"{where}: {SCHEMA} needs a list of runs")
    for number, run in enumerate(runs, 1):
        yield _run(run, f"{where}, run {number}")


def _run(run: object, where: str) -> BenchmarkRun:
    if not isinstance(run, dict) or not isinstance(run.get("engine"), str):
        raise MalformedError(f"{where}: a run is an object with at least its engine")
    options = run.get("options") or {}
    if not isinstance(options, dict):
        raise MalformedError(f"{where}: options are an object of names and values")
    fields: dict[str, Any] = {key: str(run.get(key) or "") for key in _TEXTS}
    fields |= {key: _count(run, key, where) for key in _COUNTS if key in run}
    fields |= {name: _rate(run, key, where) for key, name in _RATES.items()}
    return BenchmarkRun(
        **fields,
        options=tuple((str(key), str(value)) for key, value in options.items()),
        source=str(run.get("source") or where),
    )


def _count(run: Mapping[str, Any], key: str, where: str) -> Any:
    value = run[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise MalformedError(f"{where}: {key} is {value!r} where a whole number is needed")
    return value


def _rate(run: Mapping[str, Any], key: str, where: str) -> Any:
    value = run.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not possible(value):
        raise MalformedError(
            f"{where}: {key} is {value!r} where a number from {LEAST_RATE:g} to {MOST_RATE:g} is needed"
        )
    return float(value)
