"""Serving follows the plan: its pool, its options, its fit; and pipeline stages gain one user nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.fit import Verdict
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import FIGURES, Throughput, Traffic, estimate
from hwledger.planner.throughput.parallel import Parallel
from hwledger.planner.throughput.serving_case import case_of_plan, serving_case
from hwledger.planner.throughput.serving_constants import shipped_constants, tags_of
from hwledger.planner.throughput.serving_loads import held_steps, loads_of, running_limit
from hwledger.planner.throughput.serving_model import Served, serve

MODEL = "Qwen/Qwen3-8B"
MIXTURE = "openai/gpt-oss-120b"


def made(devices: str = "H100 SXM", engine: str = "vllm", **options: object) -> Plan:
    """Return a plan of a small model for eight users of 4096 tokens."""
    return plan(
        shipped_model(MODEL), engine=engine, devices=parse_devices(devices), options=options,
        concurrency=8, suggest=False,
    )  # fmt: skip


def bases(speed: Throughput) -> set[Basis]:
    """Return the bases of all figures."""
    return {figure.basis for name in FIGURES if (figure := getattr(speed, name))}


def tpot(speed: Throughput) -> float:
    """Return the seconds between two tokens."""
    assert speed.tpot_seconds
    return speed.tpot_seconds.value


def see(model: str, parallel: Parallel, requests: int, prompt: int) -> Served:
    """Return what one of ``requests`` users sees on a H200."""
    case = serving_case(shipped_model(model), find_device("H200 SXM"), engine="vllm", parallel=parallel)
    traffic = Traffic(prompt_tokens=prompt, output_tokens=256, concurrency=requests)
    return serve(loads_of(case, traffic), shipped_constants().apply(tags_of(case)))


@pytest.mark.requirement("FR-SPEED-SERVING")
@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from([MODEL, MIXTURE]), stages=st.integers(2, 16), tensor=st.sampled_from([1, 2, 4, 8]),
    prompt=st.integers(1, 30_000),
)  # fmt: skip
def test_stages_are_never_faster_for_one_user(model: str, stages: int, tensor: int, prompt: int) -> None:
    """A token passes every stage, so one user gains nothing."""
    one = see(model, Parallel(tensor=tensor), 1, prompt)
    staged = see(model, Parallel(tensor=tensor, pipeline=stages), 1, prompt)
    assert staged.tpot >= one.tpot
    assert staged.ttft >= one.ttft


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_a_plan_runs_as_many_as_its_pool_holds() -> None:
    """The engine's own figure at full length, more of shorter requests, times the replicas; and no more."""
    whole, small = made(), made(kv_cache_memory_bytes=3 << 30)
    assert small.memory.capacity
    assert whole.memory.capacity
    held = small.memory.capacity.max_concurrency
    assert held < 8 < whole.memory.capacity.max_concurrency
    case = case_of_plan(small)
    assert running_limit(case, 4096) == pytest.approx(held)
    assert running_limit(case, 1024) > 3 * held
    twice = case_of_plan(made("2x H100 SXM", kv_cache_memory_bytes=3 << 30, data_parallel_size=2))
    assert running_limit(twice, 4096) == pytest.approx(2 * held)
    speed = estimate(small)
    assert any("does not hold all requests" in each for each in speed.warnings)
    assert speed.ttft_seconds
    plain = estimate(whole)
    assert plain.ttft_seconds
    assert speed.ttft_seconds.value > 2 * plain.ttft_seconds.value


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-FIGURES")
@pytest.mark.parametrize(
    ("devices", "engine", "options"),
    [
        ("H100 SXM", "vllm", {"gpu_memory_utilization": 0.2}),
        ("RTX 3060", "llama.cpp", {"n_ctx": 8 << 20}),
        ("M1 16GB", "mlx", {"max_kv_size": 4 << 20}),
    ],
)
def test_what_does_not_fit_is_never_calibrated(devices: str, engine: str, options: dict[str, Any]) -> None:
    """Every engine says so, and its figures are assumed."""
    wanted = made(devices, engine, **options)
    assert wanted.fit
    assert wanted.fit.verdict is Verdict.DOES_NOT_FIT
    speed = estimate(wanted, Traffic(prompt_tokens=512, output_tokens=128))
    assert any(each.startswith("it does not fit: ") for each in speed.warnings)
    assert bases(speed) == {Basis.ASSUMED}


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-FIGURES")
def test_a_pool_too_small_for_one_request_is_said() -> None:
    """The plan fits by its bytes where the pool is set by hand; it is no measured case all the same."""
    speed = estimate(made(kv_cache_memory_bytes=1 << 20))
    assert any("KV pool does not hold one request" in each for each in speed.warnings)
    assert bases(speed) == {Basis.ASSUMED}


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-FIGURES")
def test_weights_in_host_memory_cross_the_slot_in_every_step() -> None:
    """Eight GiB over PCIe 5.0 take more than 130 ms of a step, and the answer says what it waits for."""
    plain, away = estimate(made()), estimate(made(cpu_offload_gb=8))
    rate = find_device("H100 SXM").pcie_bytes_per_second
    assert rate
    assert tpot(away) > tpot(plain) + 8 * 2**30 / rate
    assert dict(away.limits)["tpot_seconds"] == "PCIe"
    assert bases(away) == {Basis.ASSUMED}
    assert away.tpot_seconds
    assert "host memory" in away.tpot_seconds.source


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-FIGURES")
def test_without_graphs_every_layer_is_launched() -> None:
    """Slower for one user, and assumed."""
    eager = estimate(made(enforce_eager=True))
    assert tpot(eager) > 1.2 * tpot(estimate(made()))
    assert bases(eager) == {Basis.ASSUMED}


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-FIGURES")
@pytest.mark.parametrize(
    "option", [{"async_scheduling": False}, {"max_num_batched_tokens": 512}, {"swap_space": 4.0}]
)
def test_options_that_are_not_modelled_are_said(option: dict[str, Any]) -> None:
    """A warning names the option, and the figures are assumed."""
    speed = estimate(made(**option))
    assert any(next(iter(option)) in each for each in speed.warnings)
    assert bases(speed) == {Basis.ASSUMED}
    assert not any("not in the speed" in each for each in estimate(made(async_scheduling=True)).warnings)


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize(("device", "engine"), [("RTX 4090", "llama.cpp"), ("M4 Max 64GB", "mlx")])
def test_arrivals_at_a_rate_are_said_not_to_be_modelled(device: str, engine: str) -> None:
    """Engines of single requests answer for so many at once, say so, and call it assumed."""
    speed = estimate(
        made(device, engine), Traffic(prompt_tokens=512, output_tokens=128, requests_per_second=2)
    )
    assert any("arrivals at a rate are not modelled" in each for each in speed.warnings)
    assert bases(speed) == {Basis.ASSUMED}


@pytest.mark.requirement("FR-SPEED-SERVING")
@given(polled=st.integers(1, 100), gathered=st.integers(0, 100), requests=st.sampled_from([1, 8, 64]))
def test_a_scheduler_that_holds_prompts_back_delays_the_first_token_alone(
    polled: int, gathered: int, requests: int
) -> None:
    """TTFT grows by the steps held, each as long as a step of that many requests; TPOT stays."""
    case = serving_case(
        shipped_model(MODEL), find_device("H200 SXM"), engine="sglang", parallel=Parallel(tensor=2)
    )
    traffic = Traffic(prompt_tokens=1024, output_tokens=256, concurrency=requests)
    constants, held = shipped_constants().apply(tags_of(case)), held_steps(polled, gathered)
    plain, late = (
        serve(loads_of(each, traffic), constants) for each in (case, replace(case, held_steps=held))
    )
    assert late.tpot == plain.tpot
    assert late.ttft - plain.ttft == pytest.approx(held * plain.step.seconds, abs=1e-12)


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_engines_hold_nothing_back_by_themselves() -> None:
    """Looking at every step and gathering none is no wait; every 31st step is 15 on the average."""
    assert held_steps() == 0
    assert held_steps(polled=31) == 15
    assert held_steps(gathered=20) == 20
    assert case_of_plan(made()).held_steps == 0
