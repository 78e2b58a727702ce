"""How fast the solver is; ``make benchmark``. Memory is printed beside the times."""

import resource
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from hwledger.device.catalogue import devices, parse_devices
from hwledger.device.node import find_node
from hwledger.library.source import open_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request, plan_request
from hwledger.planner.solve.holding import held_to
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.question import Question, traffic_under
from hwledger.planner.solve.solve import solve
from hwledger.planner.throughput import estimate

MOE_61, MOE_94, DENSE = "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-32B"


def asked(model: str, engine: str, device: str = "", **more: Any) -> Question:
    """A question with the speed estimate and the whole catalogue."""
    profile = engine_profile(engine)
    request = make_request(
        open_model(model), profile, context=8192, devices=parse_devices(device) if device else ()
    )
    return Question(request=request, profile=profile, estimator=estimate, catalogue=devices(), **more)


@pytest.mark.benchmark(group="solve all")
@pytest.mark.parametrize(("model", "engine"), [(MOE_94, "vllm"), (MOE_61, "llama.cpp"), (DENSE, "llama.cpp")])
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


@pytest.mark.benchmark(group="solve all, the whole process")
@pytest.mark.parametrize(("model", "engine"), [(MOE_94, "vllm"), (MOE_61, "llama.cpp"), (DENSE, "llama.cpp")])
def test_solve_all_as_a_process(benchmark: Any, model: str, engine: str) -> None:
    """From the shell to the last byte of JSON: CPU seconds and the peak are beside the time."""
    words = [sys.executable, "-m", "hwledger", "plan", model, "--engine", engine, "--solve", "all", "--json"]

    def run() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds = [run() for _ in range(3)]
    benchmark.pedantic(run, rounds=2)
    benchmark.extra_info["CPU seconds"] = round(min(seconds), 2)
    benchmark.extra_info["peak MiB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


@pytest.mark.benchmark(group="one full answer")
@pytest.mark.parametrize(("model", "engine"), [(DENSE, "vllm"), (MOE_61, "vllm"), (DENSE, "llama.cpp")])
def test_one_full_answer_on_a_node(benchmark: Any, model: str, engine: str) -> None:
    """Plan, fit, speed and limits on eight devices of a node, the model at hand."""
    node = find_node("DGX H100")
    assert node
    profile = engine_profile(engine)
    options = {"tensor_parallel_size": 8} if engine == "vllm" else {}
    request = make_request(open_model(model), profile, context=8192, devices=node.devices, options=options)
    request, limits = replace(request, node=node), Limits(ttft_seconds=2, tpot_seconds=0.05)

    def answered() -> Any:
        made = plan_request(request, profile)
        return made.fit, held_to(made, limits, estimate(made, traffic_under(made)))

    fit, held = benchmark(answered)
    assert fit
    assert len(held) == 2
