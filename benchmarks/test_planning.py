"""How fast planning is; ``make benchmark``. Figures are compared as ratios within one run."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.config import read_config
from hwledger.library.source import open_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request, plan_request
from hwledger.planner.request import Workload
from hwledger.planner.sweep import sweep

MOE_61 = "deepseek-ai/DeepSeek-V3"


@pytest.mark.benchmark(group="plan")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "mlx", "transformers"])
def test_warm_plan_of_a_61_layer_moe(benchmark: Any, engine: str) -> None:
    """One plan with its layers, the model at hand."""
    spec, profile = open_model(MOE_61), engine_profile(engine)
    request = make_request(spec, profile, context=8192, concurrency=4, devices=parse_devices("8x H200"))

    def warm() -> int:
        plan = plan_request(request, profile)
        return len(plan.layers) + plan.total_bytes

    assert benchmark(warm) > 61


@pytest.mark.benchmark(group="sweep")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp"])
def test_sweep_of_10000_plans(benchmark: Any, engine: str) -> None:
    """25 contexts x 20 users x 4 KV types x 5 weight types of one model."""
    kv = ("auto", "fp8", "fp8_e5m2", "bfloat16") if engine == "vllm" else ("f16", "q8_0", "q5_1", "q4_0")
    weights = (
        (None, "fp8", "int4", "nvfp4", "mxfp4")
        if engine == "vllm"
        else (None, "Q8_0", "Q6_K", "Q4_K_M", "Q2_K")
    )
    profile = engine_profile(engine)
    request = make_request(open_model(MOE_61), profile, devices=parse_devices("H200"))
    swept = benchmark.pedantic(
        sweep,
        (request, profile),
        {
            "contexts": range(1024, 26 * 1024, 1024),
            "concurrencies": range(1, 21),
            "kv_caches": kv,
            "weights": weights,
        },
        rounds=5,
        warmup_rounds=1,
    )
    assert swept.total_bytes.size == 10_000


@pytest.mark.benchmark(group="layers")
@pytest.mark.parametrize("layers", [16, 64, 256, 1024])
def test_cost_is_linear_in_layers(benchmark: Any, layers: int) -> None:
    """Opening and planning a model of more and more layers; the ratios tell the order."""
    raw = {"model_type": "llama", "num_hidden_layers": layers, "num_key_value_heads": 8}
    profile = engine_profile("vllm")

    def whole() -> int:
        return plan_request(make_request(read_config(raw), profile), profile).total_bytes

    assert benchmark(whole) > 0


@pytest.mark.benchmark(group="process")
@pytest.mark.parametrize(
    "arguments",
    [["-c", "pass"], ["-m", "hwledger", "--help"], ["-m", "hwledger", "plan", MOE_61, "--engine", "vllm"]],
)
def test_whole_process(benchmark: Any, arguments: list[str]) -> None:
    """A cold process, beside an empty interpreter."""
    benchmark.pedantic(
        subprocess.run, ([sys.executable, *arguments],), {"check": True, "capture_output": True}, rounds=5
    )


@pytest.mark.benchmark(group="plan")
def test_warm_plan_of_a_dense_model(benchmark: Any) -> None:
    """The small case, for the ratio to the MoE."""
    spec, profile = open_model("Qwen/Qwen3-8B"), engine_profile("vllm")
    request = make_request(spec, profile, context=8192)
    workload = Workload(context_tokens=4096)
    assert benchmark(lambda: plan_request(replace(request, workload=workload), profile).total_bytes) > 0
