"""How fast speeds are estimated; ``make benchmark``."""

from typing import Any

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.source import open_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request, plan_request
from hwledger.planner.throughput import estimate

MOE_61 = "deepseek-ai/DeepSeek-V3"


@pytest.mark.benchmark(group="speed")
@pytest.mark.parametrize("device", ["H200", "8x H200", "RTX 4090, RTX 3090"])
def test_warm_speed_of_a_61_layer_moe(benchmark: Any, device: str) -> None:
    """The speed of one plan at hand."""
    spec, profile = open_model(MOE_61), engine_profile("llama.cpp")
    plan = plan_request(make_request(spec, profile, weights="Q4_K_M", devices=parse_devices(device)), profile)
    assert benchmark(estimate, plan).decode_tokens_per_second is not None


@pytest.mark.benchmark(group="speed")
def test_warm_plan_with_speed_and_fit(benchmark: Any) -> None:
    """One full answer on one node: memory, verdict and speed."""
    spec, profile = open_model(MOE_61), engine_profile("llama.cpp")
    request = make_request(spec, profile, weights="Q4_K_M", context=8192, devices=parse_devices("8x H200"))

    def answer() -> bool:
        plan = plan_request(request, profile)
        return plan.fit is not None and estimate(plan).ttft_seconds is not None

    assert benchmark(answer)
