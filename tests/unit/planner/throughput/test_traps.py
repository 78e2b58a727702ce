"""Speed traps are told, and only where they are."""

from dataclasses import replace
from typing import Any

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.device.node import node_of
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import estimate

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"


def made(model: str, device: str, engine: str, **knobs: Any) -> Plan:
    """Return a plan."""
    return plan(shipped_model(model), engine=engine, devices=parse_devices(device), suggest=False, **knobs)


@pytest.mark.requirement("FR-SPEED-TRAPS")
@pytest.mark.parametrize(
    ("model", "device", "engine", "knobs", "words"),
    [
        (LLAMA, "RTX 4090", "llama.cpp", {"kv_cache": "q5_1"}, "GGML_CUDA_FA_ALL_QUANTS"),
        (LLAMA, "RTX 4090", "llama.cpp", {"kv_cache": "bf16", "engine_version": "b8000"}, "about b8320"),
        (LLAMA, "RTX 4090", "llama.cpp", {"options": {"cache_type_k": "q8_0"}}, "GGML_CUDA_FA_ALL_QUANTS"),
        ("Qwen/Qwen3-32B", "DGX Spark", "llama.cpp", {"weights": "Q8_0"}, "shared memory"),
        (LLAMA, "RTX 3090", "vllm", {"weights": "fp8"}, "does not multiply fp8"),
        (LLAMA, "RTX 3090", "vllm", {"kv_cache": "fp8"}, "fp8 cache on Hopper and B200-class"),
        (LLAMA, "RTX 4090", "vllm", {"weights": "nvfp4"}, "does not multiply fp4"),
        (LLAMA, "RTX 2080 Ti", "llama.cpp", {"weights": "bf16"}, "does not multiply bf16"),
        (LLAMA, "RX 9070", "llama.cpp", {"weights": "bf16", "options": {"backend": "vulkan"}}, "Vulkan"),
    ],
)
def test_a_trap_is_told(model: str, device: str, engine: str, knobs: dict[str, Any], words: str) -> None:
    """Each rule of the table fires on the case that it is made for."""
    assert any(words in warning for warning in estimate(made(model, device, engine, **knobs)).warnings)


@pytest.mark.requirement("FR-SPEED-TRAPS")
@pytest.mark.parametrize(
    ("model", "device", "engine", "knobs"),
    [
        (LLAMA, "RTX 4090", "llama.cpp", {"kv_cache": "q8_0", "weights": "Q4_K_M"}),
        (LLAMA, "RTX 4090", "llama.cpp", {"kv_cache": "bf16", "weights": "Q4_K_M"}),
        (LLAMA, "M4 Pro 48GB", "llama.cpp", {"kv_cache": "q5_1", "weights": "Q4_K_M"}),
        ("Qwen/Qwen3-30B-A3B", "DGX Spark", "llama.cpp", {"weights": "Q8_0"}),
        (LLAMA, "H100 SXM", "vllm", {"weights": "fp8"}),
        (LLAMA, "H100 SXM", "vllm", {"kv_cache": "fp8"}),
        (LLAMA, "RTX 5090", "vllm", {"weights": "nvfp4"}),
    ],
)
def test_no_trap_is_told_where_there_is_none(
    model: str, device: str, engine: str, knobs: dict[str, Any]
) -> None:
    """The same rules stay silent next door."""
    assert estimate(made(model, device, engine, **knobs)).warnings == ()


@pytest.mark.requirement("FR-SPEED-TRAPS")
def test_tensor_parallelism_through_a_narrow_slot_is_told() -> None:
    """Four lanes are a trap for two ranks, sixteen are not."""
    made_plan = made(LLAMA, "2x RTX 4090", "vllm", weights="int4", options={"tensor_parallel_size": 2})
    narrow = replace(node_of(made_plan.request.devices), pcie_bytes_per_second=7_877_000_000)
    assert any("all-reduces" in warning for warning in estimate(made_plan, node=narrow).warnings)
    assert not any("all-reduces" in warning for warning in estimate(made_plan).warnings)
