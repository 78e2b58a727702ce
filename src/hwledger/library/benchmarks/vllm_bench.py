"""``vllm bench serve``: its result file and the table that it prints (vLLM 0.33.0 benchmarks/serve.py)."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.benchmarks.run import BenchmarkRun, possible

HEADING: Final = "Serving Benchmark Result"
_LINE: Final = re.compile(r"^\s*([A-Za-z][^:\n]{2,60}?):\s+([\d.]+)\s*$", re.MULTILINE)
_MILLI: Final = 1e-3
_PRINTED: Final = {
    "successful requests": "completed",
    "maximum request concurrency": "max_concurrency",
    "request rate configured (rps)": "request_rate",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "mean ttft (ms)": "mean_ttft_ms",
    "mean tpot (ms)": "mean_tpot_ms",
}


def is_vllm(value: object) -> bool:
    """Return whether a JSON value is a result of ``vllm bench serve``."""
    return isinstance(value, dict) and "mean_tpot_ms" in value and "total_input_tokens" in value


def printed_run(text: str, where: str) -> BenchmarkRun:
    """Return the run of a printed table; the model and the device are not in it.

    Raises:
        MalformedError: lines that a result needs are missing.
    """
    lines = {name.strip().lower(): value for name, value in _LINE.findall(text)}
    return vllm_run({key: lines[name] for name, key in _PRINTED.items() if name in lines}, where)


def vllm_run(record: Mapping[str, Any], source: str) -> BenchmarkRun:
    """Return the run of a result: tokens of the mean request, TPOT, TTFT, requests at once.

    Raises:
        MalformedError: a number is missing or impossible.
    """
    completed = _positive(record, "completed", source)
    tpot, ttft = _positive(record, "mean_tpot_ms", source), _positive(record, "mean_ttft_ms", source)
    rate = 1 / (tpot * _MILLI)
    if not possible(rate) or not possible(1 / (ttft * _MILLI)):
        raise MalformedError(f"{source}: a TPOT of {tpot:g} ms or a TTFT of {ttft:g} ms cannot be measured")
    return BenchmarkRun(
        engine="vllm", model=str(record.get("model_id") or ""),
        prompt_tokens=round(_positive(record, "total_input_tokens", source) / completed),
        output_tokens=max(1, round(_positive(record, "total_output_tokens", source) / completed)),
        decode=rate, ttft_seconds=ttft * _MILLI, source=source, **_arrivals(record, source),
    )  # fmt: skip


def _arrivals(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how requests arrived: so many users who ask again at once, or a rate.

    An infinite rate (the default) sends all requests at the start, which the concurrency alone limits; how
    many were at once without a limit is not in a result, as the first to end are not replaced.
    """
    if record.get("max_concurrency"):
        users = round(_positive(record, "max_concurrency", where))
        rate = _finite_rate(record, where)
        return {"concurrency": max(1, users)} | ({"requests_per_second": rate} if rate else {})
    rate = _finite_rate(record, where)
    if rate is None:
        raise MalformedError(
            f"{where}: neither a concurrency nor a request rate is stated, so how many requests ran at once "
            "is not known; measure with --max-concurrency, or add max_concurrency to the result"
        )
    return {"requests_per_second": rate}


def _finite_rate(record: Mapping[str, Any], where: str) -> float | None:
    """Return the arrival rate; ``None`` where none is stated or all requests are sent at once (``inf``)."""
    stated = record.get("request_rate")
    if stated is None or str(stated).strip().lower() in {"", "inf", "infinity"}:
        return None
    return _positive(record, "request_rate", where)


def _positive(record: Mapping[str, Any], key: str, where: str) -> float:
    try:
        number = float(str(record.get(key)))
    except ValueError:
        number = 0.0
    if not isfinite(number) or not 0 < number < 1 << 50:
        raise MalformedError(f"{where}: {key} is {record.get(key)!r} where a positive number is needed")
    return number
