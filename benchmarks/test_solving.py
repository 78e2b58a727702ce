"""How fast the solver is; ``make benchmark``. Memory is printed beside the times."""

import resource
from typing import Any

import pytest

from hwledger.device.catalogue import devices, parse_devices
from hwledger.library.source import open_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.question import Question
from hwledger.planner.solve.solve import solve
from hwledger.planner.throughput import estimate

MOE_61, DENSE = "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-32B"


def asked(model: str, engine: str, device: str = "", **more: Any) -> Question:
    """A question with the speed estimate and the whole catalogue."""
    profile = engine_profile(engine)
    request = make_request(
        open_model(model), profile, context=8192, devices=parse_devices(device) if device else ()
    )
    return Question(request=request, profile=profile, estimator=estimate, catalogue=devices(), **more)


@pytest.mark.benchmark(group="solve all")
@pytest.mark.parametrize(("model", "engine"), [(MOE_61, "vllm"), (MOE_61, "llama.cpp"), (DENSE, "llama.cpp")])
def test_solve_all_over_the_catalogue(benchmark: Any, model: str, engine: str) -> None:
    """Devices x counts x layouts x weights x cache types: at least 100,000 candidates, cold."""
    answer = benchmark.pedantic(
        solve, setup=lambda: ((asked(model, engine, limits=Limits(tpot_seconds=0.1)), "all"), {}), rounds=5
    )
    benchmark.extra_info["candidates"] = answer.searched
    benchmark.extra_info["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert answer.holds
    assert answer.searched >= 100_000


@pytest.mark.benchmark(group="solve one")
@pytest.mark.parametrize("unknown", ["context", "concurrency", "weights", "kv-cache", "devices", "all"])
def test_solve_on_given_devices(benchmark: Any, unknown: str) -> None:
    """One unknown on two cards, the model at hand."""
    question = asked(DENSE, "vllm", "2x H100 SXM")
    assert benchmark(solve, question, unknown).holds
