"""``vllm bench serve``: its result file and the table that it prints (vLLM 0.33.0 benchmarks/serve.py)."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.benchmarks.run import BenchmarkRun

HEADING: Final = "Serving Benchmark Result"
_LINE: Final = re.compile(r"^\s*([A-Za-z][^:\n]{2,60}?):\s+([\d.]+)\s*$", re.MULTILINE)
_MILLI: Final = 1e-3
_PRINTED: Final = {
    "successful requests": "completed",
    "maximum request concurrency": "max_concurrency",
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
    users = record.get("max_concurrency")
    return BenchmarkRun(
        engine="vllm", model=str(record.get("model_id") or ""),
        prompt_tokens=round(_positive(record, "total_input_tokens", source) / completed),
        output_tokens=max(1, round(_positive(record, "total_output_tokens", source) / completed)),
        concurrency=round(_positive(record, "max_concurrency", source)) if users else round(completed),
        decode=1 / (tpot * _MILLI), ttft_seconds=ttft * _MILLI, source=source,
    )  # fmt: skip


def _positive(record: Mapping[str, Any], key: str, where: str) -> float:
    try:
        number = float(str(record.get(key)))
    except ValueError:
        number = 0.0
    if not isfinite(number) or not 0 < number < 1 << 50:
        raise MalformedError(f"{where}: {key} is {record.get(key)!r} where a positive number is needed")
    return number
