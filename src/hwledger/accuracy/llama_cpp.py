"""llama.cpp: contexts that libllama itself reported, and KV sizes that real runs printed."""

import json
from collections.abc import Iterable, Iterator
from functools import cache

from hwledger.accuracy.result import Result
from hwledger.errors import HwledgerError
from hwledger.library.gguf.reader import GgufHeader
from hwledger.library.gguf.spec import gguf_spec
from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.memory import Category
from hwledger.planner.plan import Plan, plan
from hwledger.shipped import shipped_text
from hwledger.units import MIB

OPTIONS = (
    "n_ctx", "n_ubatch", "n_seq_max", "kv_unified", "flash_attn", "type_k", "type_v", "swa_full",
    "n_outputs_max", "n_rs_seq",
)  # fmt: skip


@cache
def shapes() -> dict[str, ModelSpec]:
    """Return the measured model shapes, read from their metadata alone."""
    text = shipped_text("hwledger.accuracy", "data/shapes.jsonl")
    specs = {}
    for line in text.splitlines():
        fact = json.loads(line)
        metadata = {f"{fact['arch']}.{key}": _value(value) for key, value in fact["keys"].items()}
        header = GgufHeader(metadata={"general.architecture": fact["arch"], **metadata}, tensors=())
        specs[fact["model"]] = gguf_spec(header, fact["model"])
    return specs


def replay_contexts(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield KV plus state, and compute buffers, of every measured context."""
    for row in table:
        case = f"{row['model']} {row['build']} {row['place']} n_ctx={row['n_ctx']} ub={row['n_ubatch']}"
        source = f"llama_get_memory_breakdown of libllama {row['build']}"
        try:
            made = _plan(row)
        except HwledgerError:  # a plan that cannot be made is a wrong one
            made = None
        cache_bytes = sum(made.by_category[c] for c in (Category.KV_CACHE, Category.STATE)) if made else 0
        yield Result(
            engine="llama.cpp", component="KV cache and state", regime="libllama", case=case,
            measured=int(row["context"]), predicted=cache_bytes, source=source,
        )  # fmt: skip
        if made and row["compute"]:
            yield _compute(row, made, case, source)


def replay_logs(table: Iterable[dict[str, str]]) -> Iterator[Result]:
    """Yield the KV cache that real runs printed, planned from the models' configs."""
    for row in table:
        predicted = 0.0
        try:
            spec = shipped_model(row["model"])
            made = plan(
                spec, engine="llama.cpp", engine_version=row["version"], options=row["options"].split()
            )
        except HwledgerError:  # a plan that cannot be made is a wrong one
            pass
        else:
            predicted = made.by_category[Category.KV_CACHE] / MIB
        yield Result(
            engine="llama.cpp", component="KV cache", regime="logs of real runs",
            case=f"{row['model']} {row['version']} {row['options']}", measured=float(row["kv_mib"]),
            predicted=predicted, rounding=0.006, source=row["source"],
        )  # fmt: skip


def _plan(row: dict[str, str]) -> Plan:
    options: dict[str, object] = {name: row[name] for name in OPTIONS if row[name] != ""}
    options["cache_type_k"] = options.pop("type_k")
    options["cache_type_v"] = options.pop("type_v")
    options["n_parallel"] = options.pop("n_seq_max")
    if row["place"] == "CPU":
        options["n_gpu_layers"] = 0
    return plan(shapes()[row["model"]], engine="llama.cpp", engine_version=row["build"], options=options)


def _compute(row: dict[str, str], made: Plan, case: str, source: str) -> Result:
    place = "CPU" if row["place"] == "CPU" else "GPU"
    names = {"compute", "host compute"} if place == "CPU" else {"compute"}
    parts = [c for c in made.memory.components if c.name in names]
    attention = "flash attention" if row["flash_attn"] == "1" else "without flash attention"
    return Result(
        engine="llama.cpp", component="compute buffer", regime=f"{row['build']} {place}, {attention}",
        case=case,
        measured=int(row["compute"]), predicted=sum(c.size_bytes for c in parts),
        interval=(sum(c.interval_bytes[0] for c in parts), sum(c.interval_bytes[1] for c in parts)),
        source=source,
    )  # fmt: skip


def _value(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
