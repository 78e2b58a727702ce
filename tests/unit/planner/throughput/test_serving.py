"""Serving: TTFT, TPOT and tokens per second of vLLM, SGLang and TensorRT-LLM, from one user to many."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.device.node import Node
from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import Figure, Speculation, Throughput, Traffic, estimate
from hwledger.planner.throughput.measured import SERVED
from hwledger.planner.throughput.parallel import Parallel, cache_heads, parallel_of
from hwledger.planner.throughput.serving import estimate_case, estimate_serving
from hwledger.planner.throughput.serving_case import case_of_plan, serving_case, weight_class
from hwledger.planner.throughput.serving_constants import (
    QUANTITIES,
    bounded,
    shipped_constants,
    tags_of,
)
from hwledger.planner.throughput.serving_loads import Loads, ServingCase, loads_of, rate_of, running_limit
from hwledger.planner.throughput.serving_model import Served, serve

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
MIXTURE = "deepseek-ai/DeepSeek-R1"
SMALL = "openai/gpt-oss-120b"
MODELS = (LLAMA, MIXTURE, SMALL)


@pytest.fixture(scope="module")
def models() -> dict[str, ModelSpec]:
    """Return the models, read once."""
    return {name: shipped_model(name) for name in MODELS}


@pytest.fixture(scope="module")
def served(models: dict[str, ModelSpec]) -> dict[tuple[str, str], ServingCase]:
    """Return each model on each engine, on eight devices that hold it."""
    device = find_device("B200")
    return {
        (name, engine): serving_case(
            spec, device, engine=engine, parallel=Parallel(tensor=8), weights="fp8", cache_bytes=1.0
        )
        for name, spec in models.items()
        for engine in SERVED
    }


def see(case: ServingCase, prompt: int, output: int, requests: int) -> Served:
    """Return what one of ``requests`` users sees."""
    traffic = Traffic(prompt_tokens=prompt, output_tokens=output, concurrency=requests)
    return serve(loads_of(case, traffic), shipped_constants().apply(tags_of(case)))


def value_of(figure: Figure | None) -> float:
    """Return the value of a figure that must be there."""
    assert figure is not None
    return figure.value


def made(spec: ModelSpec, devices: str, *, context: int = 4096, **options: object) -> Plan:
    """Return a plan on vLLM."""
    return plan(spec, engine="vllm", context=context, devices=parse_devices(devices), options=options)


LENGTHS = st.integers(1, 30_000)
KINDS = st.tuples(st.sampled_from(MODELS), st.sampled_from(SERVED))


@pytest.mark.requirement("FR-SPEED-SERVING")
@settings(max_examples=60, deadline=None)
@given(kind=KINDS, lengths=st.tuples(LENGTHS, st.integers(1, 8000)), requests=st.integers(1, 2000),
       more=st.integers(1, 500))  # fmt: skip
def test_more_requests_are_never_faster_for_one(
    served: dict[tuple[str, str], ServingCase],
    *, kind: tuple[str, str], lengths: tuple[int, int], requests: int, more: int,
) -> None:  # fmt: skip
    """TTFT and TPOT never fall with the concurrency, and every figure is a positive number."""
    few, many = (see(served[kind], *lengths, n) for n in (requests, requests + more))
    assert 0 < few.tpot <= many.tpot < 1e9
    assert 0 < few.ttft <= many.ttft < 1e9


@pytest.mark.requirement("FR-SPEED-SERVING")
@settings(max_examples=60, deadline=None)
@given(kind=KINDS, requests=st.integers(1, 300), prompt=LENGTHS, longer=LENGTHS)
def test_longer_prompts_are_never_faster(
    served: dict[tuple[str, str], ServingCase],
    *, kind: tuple[str, str], requests: int, prompt: int, longer: int,
) -> None:  # fmt: skip
    """TTFT and TPOT never fall with the length of the prompts, as long as memory holds the requests."""
    short, long = (see(served[kind], tokens, 512, requests) for tokens in (prompt, prompt + longer))
    if long.waiting == 0:
        assert short.ttft <= long.ttft
        assert short.tpot <= long.tpot


@pytest.mark.requirement("FR-SPEED-SERVING")
@pytest.mark.parametrize("engine", SERVED)
@pytest.mark.parametrize("requests", [1, 16, 128])
def test_a_large_dense_model_gains_from_ranks(
    models: dict[str, ModelSpec], engine: str, requests: int
) -> None:
    """TPOT and TTFT of a 70B model fall with every doubling of NVLinked ranks; never by more than half."""
    times = []
    for ranks in (1, 2, 4, 8):
        case = serving_case(
            models[LLAMA], find_device("B200"), engine=engine, parallel=Parallel(tensor=ranks), weights="fp8"
        )
        times.append(see(case, 2048, 512, requests))
    for one, two in pairwise(times):
        assert two.tpot < one.tpot
        assert two.ttft < one.ttft
        assert two.step.memory >= one.step.memory / 2 * 0.999


@pytest.mark.requirement("FR-SPEED-SERVING")
@pytest.mark.parametrize("engine", SERVED)
def test_no_step_beats_the_peaks(served: dict[tuple[str, str], ServingCase], engine: str) -> None:
    """No step reads faster than the memory's peak, and no prompt is multiplied faster than the dense rate."""
    for model in MODELS:
        case = served[model, engine]
        for requests in (1, 8, 64, 512):
            traffic = Traffic(prompt_tokens=4096, output_tokens=512, concurrency=requests)
            loads, seen = loads_of(case, traffic), see(case, 4096, 512, requests)
            assert seen.step.seconds > loads.dense_seconds + requests * loads.cache_seconds * 0.999
            assert seen.prompt.seconds > loads.prefill_matrix_seconds / loads.devices


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_one_user_is_a_batch_of_one(models: dict[str, ModelSpec]) -> None:
    """At concurrency 1 the estimate is the serving model's own with one request: there is one code path."""
    made_plan = made(models[LLAMA], "4x H200 SXM", quantization="fp8")
    traffic = Traffic(prompt_tokens=1000, output_tokens=200)
    speed = estimate(made_plan, traffic)
    case = case_of_plan(made_plan)
    alone = serve(loads_of(case, traffic, 1.0), shipped_constants().apply(tags_of(case)))
    assert value_of(speed.tpot_seconds) == alone.tpot
    assert value_of(speed.ttft_seconds) == alone.ttft
    assert value_of(speed.decode_tokens_per_second) == pytest.approx(1 / alone.tpot)
    assert value_of(speed.aggregate_tokens_per_second) == pytest.approx(200 / (alone.ttft + 199 * alone.tpot))


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_arrays_give_what_numbers_give(served: dict[tuple[str, str], ServingCase]) -> None:
    """The formulas answer arrays of cases as they answer single ones: what is fitted is what is shipped."""
    case = served[MIXTURE, "vllm"]
    constants = shipped_constants().apply(tags_of(case))
    loads = [
        loads_of(case, Traffic(prompt_tokens=1024, output_tokens=512, concurrency=n))
        for n in (1, 7, 90, 4000)
    ]
    together = Loads(**{f.name: np.array([getattr(x, f.name) for x in loads]) for f in fields(Loads)})  # type: ignore[arg-type]
    every = serve(together, constants)
    for index, one in enumerate(serve(x, constants) for x in loads):
        assert np.asarray(every.tpot)[index] == pytest.approx(one.tpot)
        assert np.asarray(every.ttft)[index] == pytest.approx(one.ttft)


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_experts_are_read_once_they_are_touched(served: dict[tuple[str, str], ServingCase]) -> None:
    """From 1 to 64 requests a mixture's reading grows by much, a dense model's weights by nothing."""
    mixture = [see(served[MIXTURE, "vllm"], 128, 512, n).step.memory for n in (1, 64)]
    dense = [see(served[LLAMA, "vllm"], 128, 512, n).step.memory for n in (1, 64)]
    assert mixture[1] > 6 * mixture[0]
    assert dense[1] < 1.5 * dense[0]


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_requests_that_memory_does_not_hold_wait(models: dict[str, ModelSpec]) -> None:
    """Beyond what memory holds TPOT stays and TTFT grows by whole lives of a request; it is said."""
    case = serving_case(
        models[LLAMA], find_device("H200 SXM"), engine="vllm", parallel=Parallel(tensor=1), weights="fp8"
    )
    limit = running_limit(case, 8192 + 512)
    full, over = see(case, 8192, 1024, int(limit)), see(case, 8192, 1024, int(limit) * 3)
    assert over.tpot == pytest.approx(full.tpot, rel=0.1)
    assert over.waiting > over.life
    speed = estimate_case(case, Traffic(prompt_tokens=8192, output_tokens=1024, concurrency=int(limit) * 3))
    assert any("does not hold all requests" in each for each in speed.warnings)
    assert ("ttft_seconds", "memory for more requests at once") in speed.limits


def width(speed: Throughput) -> float:
    """Return the ratio of the ends of TPOT's interval."""
    assert speed.tpot_seconds is not None
    return speed.tpot_seconds.high / speed.tpot_seconds.low


@pytest.mark.requirement("FR-SPEED-SERVING", "FR-SPEED-SERVING-ACCURACY")
def test_what_was_never_measured_is_wider_and_said(models: dict[str, ModelSpec]) -> None:
    """A GeForce, an AMD card, pipeline ranks and PCIe collectives widen the interval and name the reason."""
    traffic = Traffic(prompt_tokens=1024, output_tokens=256, concurrency=8)
    known = estimate(made(models[LLAMA], "8x H100 SXM"), traffic)
    assert known.tpot_seconds is not None
    assert known.tpot_seconds.basis is Basis.CALIBRATED
    for devices, options, words in (
        ("8x RTX 4090", {}, "geforce"),
        ("8x MI300X", {}, "CDNA 3"),
        ("8x H100 SXM", {"pipeline_parallel_size": 2, "tensor_parallel_size": 4}, "pipeline"),
    ):
        speed = estimate(made(models[LLAMA], devices, **options), traffic)
        assert speed.tpot_seconds is not None
        assert words in speed.tpot_seconds.source
        assert speed.tpot_seconds.basis is Basis.ASSUMED
        assert width(speed) > width(known)
    cards = estimate(made(models[LLAMA], "8x RTX 4090"), traffic)
    assert cards.tpot_seconds is not None
    assert "collectives over PCIe" in cards.tpot_seconds.source


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_a_device_of_unknown_speed_has_no_figure(models: dict[str, ModelSpec]) -> None:
    """A plain memory size has no bandwidth: no figure is made up, and the sentence says what is missing."""
    speed = estimate(made(models[SMALL], "8x 96GiB"), Traffic(prompt_tokens=100))
    assert speed.tpot_seconds is None
    assert "bandwidth" in speed.unknown[0]
    nowhere = estimate(plan(models[SMALL], engine="vllm", context=4096))
    assert nowhere.ttft_seconds is None
    assert nowhere.unknown


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_other_engines_on_the_same_plan(models: dict[str, ModelSpec]) -> None:
    """SGLang and TensorRT-LLM have constants of their own; an engine that was never measured has none."""
    both = made(models[SMALL], "2x H100 SXM")
    traffic = Traffic(prompt_tokens=1024, output_tokens=256, concurrency=16)
    times = {}
    for engine in SERVED:
        figure = estimate_serving(both, traffic, engine=engine).tpot_seconds
        assert figure is not None
        times[engine] = figure.value
    assert len(set(times.values())) == len(SERVED)
    other = estimate_case(replace(case_of_plan(both), engine="made-up"), traffic)
    assert other.unknown == ("No figure of speed: serving on made-up was never measured.",)


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_links_and_power_of_the_node_count(models: dict[str, ModelSpec]) -> None:
    """Ranks without NVLink are slower, and prompts under a power limit; that it is unmeasured is said."""
    joined = made(models[LLAMA], "4x H100 SXM")
    traffic = Traffic(prompt_tokens=4096, output_tokens=256, concurrency=4)
    node = Node(name="slow", devices=joined.request.devices, pcie_bytes_per_second=16_000_000_000)
    fast, slow = estimate(joined, traffic), estimate(joined, traffic, node=node)
    limited = estimate(joined, traffic, power_share=0.5)
    assert value_of(slow.ttft_seconds) > 1.5 * value_of(fast.ttft_seconds)
    assert value_of(limited.ttft_seconds) > value_of(fast.ttft_seconds)
    assert limited.tpot_seconds is not None
    assert "power limit" in limited.tpot_seconds.source


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_drafted_tokens_count_with_a_stated_acceptance(models: dict[str, ModelSpec]) -> None:
    """All accepted: over twice as fast; none accepted: slower; not stated: as without, and it is said."""
    drafting = made(models[MIXTURE], "8x B200", num_speculative_tokens=3)
    plain = made(models[MIXTURE], "8x B200")
    times = {}
    for name, acceptance in (("all", 1.0), ("some", 0.7), ("none", 0.0)):
        stated = Speculation(acceptance=acceptance, drafted=3)
        speed = estimate(drafting, Traffic(prompt_tokens=1000, output_tokens=500, speculation=stated))
        times[name] = value_of(speed.tpot_seconds)
        assert speed.tpot_seconds is not None
        assert "acceptance" in speed.tpot_seconds.source
    without = estimate(plain, Traffic(prompt_tokens=1000, output_tokens=500))
    unstated = estimate(drafting, Traffic(prompt_tokens=1000, output_tokens=500))
    assert 2 * times["all"] < value_of(without.tpot_seconds) < times["none"]
    assert times["all"] < times["some"] < value_of(without.tpot_seconds)
    assert value_of(unstated.tpot_seconds) == value_of(without.tpot_seconds)
    assert any("no acceptance is stated" in each for each in unstated.warnings)


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_ranks_are_read_from_the_options(models: dict[str, ModelSpec]) -> None:
    """TP, PP, DP and expert parallelism come from the engine's own options; a latent is not split."""
    given = made(
        models[MIXTURE], "8x B200", tensor_parallel_size=2, data_parallel_size=4, enable_expert_parallel=True
    )
    assert parallel_of(given) == Parallel(tensor=2, data=4, expert=8)
    assert str(parallel_of(given)) == "TP2 EP8 DP4"
    assert parallel_of(given).devices == 8
    assert str(Parallel()) == "TP1"
    assert cache_heads(models[MIXTURE]) == 1
    assert cache_heads(models[LLAMA]) == 8


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_attention_copies_trade_reading_for_links(models: dict[str, ModelSpec]) -> None:
    """With DP attention a latent cache is not copied to every rank: each reads its own requests' alone."""
    traffic = Traffic(prompt_tokens=8192, output_tokens=1024, concurrency=256)
    shared, copied = (
        loads_of(serving_case(models[MIXTURE], find_device("B200"), engine="sglang", parallel=ranks), traffic)
        for ranks in (Parallel(tensor=8), Parallel(data=8, expert=8))
    )
    assert copied.cache_seconds == shared.cache_seconds
    assert copied.running / copied.replicas == 32
    assert copied.dense_seconds == pytest.approx(8 * shared.dense_seconds)
    assert copied.hops == 0


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_packings_have_the_rate_that_the_device_has(models: dict[str, ModelSpec]) -> None:
    """fp4 runs at its own rate where there is one and in 16 bits elsewhere; classes follow the packing."""
    assert rate_of(find_device("B200"), "fp4") == (9e15, True)
    assert rate_of(find_device("H100 SXM"), "fp4") == (pytest.approx(989.4e12), False)
    assert rate_of(find_device("H100 SXM"), "int4")[1] is False
    assert rate_of(find_device("H100 SXM"), "plain")[1] is True
    assert weight_class(models[SMALL]) == "fp4"
    assert weight_class(models[MIXTURE]) == "fp8"
    assert weight_class(models[LLAMA]) == "plain"
    assert weight_class(models[LLAMA], "awq") == "int4"
    assert weight_class(models[LLAMA], "nvfp4") == "fp4"


@pytest.mark.requirement("FR-SPEED-SERVING")
def test_every_constant_ships() -> None:
    """The table has every quantity; an effect that was never fitted is none; shares are bounded."""
    constants = shipped_constants()
    assert set(constants.base) == set(QUANTITIES)
    assert constants.apply(["engine:never heard of"]) == constants.apply([])
    assert constants.apply(["engine:vllm"]) != constants.apply([])
    assert constants.architectures == {"Hopper", "Blackwell", "Blackwell Ultra"}
    assert bounded(5.0, 0.9) == pytest.approx(0.9, rel=1e-3)
    assert bounded(0.3, 0.9) == pytest.approx(0.3, rel=1e-3)
    assert bounded(5.0, None) == 5.0
