"""vLLM: tokens, concurrency and loaded weights that start-up logs printed."""

from collections.abc import Iterable, Iterator

from hwledger.accuracy.result import Result
from hwledger.errors import HwledgerError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Capacity, Category
from hwledger.planner.plan import Plan, plan
from hwledger.units import GIB

HALF_DIGIT = 0.005
"""Logs print GiB with two decimals."""


def replay_vllm(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield capacity in tokens and requests, and loaded weights, of every log."""
    for row in table:
        if row["kv_gib"]:
            yield from _capacities(row)
        if row["loading_gib"]:
            yield _loading(row)


def _capacities(row: dict[str, str]) -> Iterator[Result]:
    available = float(row["kv_gib"])
    low, best, high = (_capacity(row, available + shift) for shift in (-HALF_DIGIT, 0.0, HALF_DIGIT))
    for component, measured, values in (
        ("tokens in the KV cache", row["tokens"], [c.max_tokens for c in (low, best, high)]),
        ("requests at full length", row["concurrency"], [c.max_concurrency for c in (low, best, high)]),
    ):
        if not measured:
            continue
        printed = float(measured)
        within = values[0] <= printed + HALF_DIGIT and printed <= values[2] + HALF_DIGIT
        yield Result(
            engine="vllm", component=component, regime="start-up logs", case=_case(row), measured=printed,
            predicted=values[1], rounding=abs(values[1] - printed) if within else 0.0, source=row["source"],
        )  # fmt: skip


def _loading(row: dict[str, str]) -> Result:
    made = _plan(row, {})
    predicted = 0
    if made:
        parts = [c for c in made.memory.components if c.category is Category.WEIGHTS and c.place == 0]
        predicted = sum(part.size_bytes for part in parts)
    return Result(
        engine="vllm", component="loaded weights", regime="start-up logs", case=_case(row),
        measured=float(row["loading_gib"]), predicted=predicted / GIB, rounding=0.00006, source=row["source"],
    )  # fmt: skip


def _capacity(row: dict[str, str], available_gib: float) -> Capacity:
    made = _plan(row, {"kv_cache_memory_bytes": round(available_gib * GIB)})
    nothing = Capacity(kv_pool_bytes=0, max_tokens=0, max_concurrency=0.0)
    return (made.memory.capacity if made else None) or nothing


def _plan(row: dict[str, str], more: dict[str, object]) -> Plan | None:
    options = dict(pair.split("=", 1) for pair in row["options"].split())
    try:
        return plan(
            shipped_model(row["model"]), engine="vllm", engine_version=row["version"],
            weights=row["weights"] or None, options={**options, **more},
        )  # fmt: skip
    except HwledgerError:  # a plan that cannot be made is a wrong one
        return None


def _case(row: dict[str, str]) -> str:
    return f"{row['model']} {row['version']} {row['options']}".strip()
