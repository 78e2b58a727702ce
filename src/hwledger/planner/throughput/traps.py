"""Speed traps: settings that work and are slow for a reason that is easy to miss; ``data/traps.csv``."""

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from hwledger.device.node import Node
from hwledger.device.spec import DeviceSpec
from hwledger.planner.engines.llama_cpp.settings import build_number
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.setting import BACKENDS, weights_type
from hwledger.planner.throughput.work import plan_work
from hwledger.shipped import shipped_text

Words = Mapping[str, object]
FAST_CACHES: Final = frozenset({"f16", "q8_0", "q4_0"})


def traps(plan: Plan, node: Node) -> tuple[str, ...]:
    """Return a sentence for each trap that a plan on a node falls into."""
    found = []
    for row in _rows():
        words = _CHECKS[row["trap"]](plan, node, float(row["number"]))
        if words is not None:
            found.append(row["sentence"].format(**words))
    return tuple(found)


@cache
def _rows() -> list[dict[str, str]]:
    text = shipped_text("hwledger.planner.throughput", "data/traps.csv")
    return list(csv.DictReader(text.splitlines()))


def _cache_kernel(plan: Plan, node: Node, number: float) -> Words | None:
    """A cache type that a default build of llama.cpp has no fast kernel for: bf16 until ``number``."""
    del node
    if plan.engine != "llama.cpp" or not _backends(plan) & {"CUDA", "ROCm"}:
        return None
    kinds = set(plan.memory.kv_type.replace(" (K)", "").replace(" (V)", "").split(", "))
    fast = FAST_CACHES | ({"bf16"} if build_number(plan.request.version) >= number else set())
    return None if len(kinds) == 1 and kinds <= fast else {"types": plan.memory.kv_type, "number": number}


def _narrow_slot(plan: Plan, node: Node, number: float) -> Words | None:
    """Tensor parallelism where all-reduces go through a narrow slot."""
    ranks = plan.memory.options.get("tensor_parallel_size")
    rate = node.link_bytes_per_second or node.pcie_bytes_per_second
    if not isinstance(ranks, int) or ranks < 2 or rate is None or rate > number:  # noqa: PLR2004 - one rank sends nothing
        return None
    return {"devices": ranks, "rate": rate / 1e9}


def _dense_unified(plan: Plan, node: Node, number: float) -> Words | None:
    """A dense model so large that shared memory makes it slow."""
    del node
    device = plan.request.devices[0]
    work = plan_work(plan)
    rate = device.bandwidth_bytes_per_second
    if not device.unified or work.experts or not rate or work.weight_bytes() < number * rate:
        return None
    size = work.weight_bytes()
    return {"size": size / 1e9, "rate": rate / 1e9, "tokens": rate / size}


def _without(plan: Plan, kinds: tuple[str, ...], rate: str) -> Words | None:
    """The first device that lacks a rate that the weights ask for, where its rates are known."""
    if not weights_type(plan.spec, plan.request.weights).startswith(kinds):
        return None
    lacking = (d for d in plan.request.devices if d.vendor in {"NVIDIA", "AMD"} and _lacks(d, rate))
    device = next(lacking, None)
    return None if device is None else {"device": device.name}


def _lacks(device: DeviceSpec, rate: str) -> bool:
    return bool(device.rates) and rate not in device.rates and "fp4" not in device.rates


def _no_fp8(plan: Plan, node: Node, number: float) -> Words | None:
    del node, number
    return _without(plan, ("fp8",), "fp8")


def _no_fp4(plan: Plan, node: Node, number: float) -> Words | None:
    del node, number
    return None if plan.engine in {"llama.cpp", "mlx"} else _without(plan, ("nvfp4", "mxfp4"), "fp4")


def _no_bf16(plan: Plan, node: Node, number: float) -> Words | None:
    del node, number
    return _without(plan, ("bf16",), "bf16")


def _fp8_cache(plan: Plan, node: Node, number: float) -> Words | None:
    """An fp8 cache on a device of NVIDIA without fp8 units, which FlashAttention does not read."""
    del node, number
    if plan.engine != "vllm" or not plan.memory.kv_type.startswith("fp8"):
        return None
    devices = (d for d in plan.request.devices if d.vendor == "NVIDIA" and d.rates and "fp8" not in d.rates)
    device = next((d for d in devices if "fp4" not in d.rates), None)
    return None if device is None else {"device": device.name}


def _vulkan_bf16(plan: Plan, node: Node, number: float) -> Words | None:
    del node, number
    slow = plan.engine == "llama.cpp" and "Vulkan" in _backends(plan)
    return {} if slow and weights_type(plan.spec, plan.request.weights) == "bf16" else None


def _backends(plan: Plan) -> set[str]:
    return set(_named(plan))


def _named(plan: Plan) -> Iterator[str]:
    stated = plan.memory.options.get("backend")
    for device in plan.request.devices:
        yield str(stated) if stated else BACKENDS.get(device.vendor, "")


_CHECKS: Final[Mapping[str, Callable[[Plan, Node, float], Words | None]]] = {
    "cache_kernel": _cache_kernel,
    "narrow_slot": _narrow_slot,
    "dense_unified": _dense_unified,
    "no_fp8": _no_fp8,
    "no_fp4": _no_fp4,
    "no_bf16": _no_bf16,
    "fp8_cache": _fp8_cache,
    "vulkan_bf16": _vulkan_bf16,
}
