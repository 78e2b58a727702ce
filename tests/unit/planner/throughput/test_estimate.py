"""The speed of plans on llama.cpp and mlx."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.device.node import node_of
from hwledger.device.spec import DeviceSpec
from hwledger.errors import UsageError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan, plan
from hwledger.planner.throughput import FIGURES, Throughput, Traffic, estimate, plan_work

PROMPT = Traffic(prompt_tokens=2048, output_tokens=128)


def made(
    model: str = "meta-llama/Meta-Llama-3-8B-Instruct",
    device: str | DeviceSpec = "RTX 4090",
    weights: str = "Q4_K_M",
    engine: str = "llama.cpp",
    options: Mapping[str, object] | None = None,
    **knobs: Any,
) -> Plan:
    """Return a plan of a catalogue model."""
    devices = (device,) if isinstance(device, DeviceSpec) else parse_devices(device)
    return plan(
        shipped_model(model), engine=engine, weights=weights, devices=devices, options=options or {},
        suggest=False, **knobs,
    )  # fmt: skip


def decode(throughput: Throughput) -> float:
    """Return the decoding speed, which must be known."""
    assert throughput.decode_tokens_per_second is not None
    return throughput.decode_tokens_per_second.value


def prefill(throughput: Throughput) -> float:
    """Return the prefill speed, which must be known."""
    assert throughput.prefill_tokens_per_second is not None
    return throughput.prefill_tokens_per_second.value


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_every_figure_has_an_interval_a_basis_and_a_source() -> None:
    """One request on one device: all five figures, calibrated, and what bounds them."""
    answer = estimate(made(), PROMPT)
    figures = [getattr(answer, name) for name in FIGURES]
    assert all(figure is not None and figure.low < figure.value < figure.high for figure in figures)
    assert {figure.basis for figure in figures} == {Basis.CALIBRATED}
    assert all("speed.csv" in figure.source for figure in figures)
    assert dict(answer.limits)["decode_tokens_per_second"] == "memory bandwidth"
    assert not answer.unknown


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_the_figures_agree_with_each_other() -> None:
    """TPOT is 1 / decode; TTFT is the prompt; one user alone is the aggregate."""
    answer = estimate(made(), PROMPT)
    assert answer.tpot_seconds is not None
    assert answer.ttft_seconds is not None
    assert answer.aggregate_tokens_per_second == answer.decode_tokens_per_second
    assert answer.tpot_seconds.value == pytest.approx(1 / decode(answer))
    assert answer.ttft_seconds.value == pytest.approx(2048 / prefill(answer))


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_a_prompt_of_one_token_is_a_step() -> None:
    """The first token of the shortest prompt takes what one step takes, and not two."""
    answer = estimate(made(), Traffic(prompt_tokens=1, output_tokens=8))
    assert answer.ttft_seconds is not None
    assert answer.tpot_seconds is not None
    assert answer.ttft_seconds.value == pytest.approx(answer.tpot_seconds.value, rel=0.2)


@pytest.mark.requirement("FR-SPEED-MODEL")
@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(
        ["RTX 3060 12GB", "RTX 5090", "H100 PCIe 80GB", "RX 7900 XTX", "MI300X", "M4 Pro 48GB"]
    ),
    depth=st.integers(0, 60_000), more=st.integers(1, 60_000), factor=st.floats(1.01, 4.0),
)  # fmt: skip
def test_more_of_anything_goes_the_right_way(name: str, depth: int, more: int, factor: float) -> None:
    """Deeper is slower, more bandwidth or arithmetic is never slower, on devices of every kind."""
    device = find_device(name)
    shallow = estimate(made(device=device), Traffic(prompt_tokens=512, cached_tokens=depth))
    deep = estimate(made(device=device), Traffic(prompt_tokens=512, cached_tokens=depth + more))
    assert decode(deep) < decode(shallow)
    assert prefill(deep) < prefill(shallow)
    wider = replace(device, bandwidth_bytes_per_second=round(device.bandwidth_bytes_per_second * factor))
    assert decode(estimate(made(device=wider), PROMPT)) > decode(estimate(made(device=device), PROMPT))
    rates = {kind: rate * factor for kind, rate in device.rates.items()}
    faster = replace(device, rates=rates, tdp_watts=device.tdp_watts and round(device.tdp_watts * factor))
    assert prefill(estimate(made(device=faster), PROMPT)) > prefill(estimate(made(device=device), PROMPT))


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_smaller_weights_decode_faster() -> None:
    """Real bytes count: f16, q8_0, q4_K and a smaller model, in this order."""
    speeds = [decode(estimate(made(weights=weights), PROMPT)) for weights in ("f16", "Q8_0", "Q4_K_M")]
    speeds.append(decode(estimate(made("meta-llama/Llama-3.2-1B-Instruct"), PROMPT)))
    assert speeds == sorted(speeds)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_moe_decodes_with_its_active_experts() -> None:
    """30 billion parameters of which 3 are active decode far faster than 32 dense ones."""
    moe = estimate(made("Qwen/Qwen3-30B-A3B", "RTX 5090"), PROMPT)
    dense = estimate(made("Qwen/Qwen3-32B", "RTX 5090"), PROMPT)
    assert decode(moe) > 2 * decode(dense)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_layers_over_devices_do_not_decode_faster() -> None:
    """Devices that share the layers work one after the other; long prompts overlap on them."""
    one = estimate(made(device="RTX 3090"), Traffic(prompt_tokens=4096))
    four = estimate(made(device="4x RTX 3090"), Traffic(prompt_tokens=4096))
    assert 0.8 * decode(one) < decode(four) < decode(one)
    assert prefill(four) > 1.5 * prefill(one)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_mixed_devices_each_take_their_share() -> None:
    """A fast and a slow card lie between two fast and two slow ones."""
    speeds = [
        decode(estimate(made(device=device, options={"tensor_split": "1,1"}), PROMPT))
        for device in ("2x RTX 3060 12GB", "RTX 3060 12GB, RTX 4090", "2x RTX 4090")
    ]
    assert speeds == sorted(speeds)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_experts_in_host_memory_cost_its_bandwidth() -> None:
    """More experts on the host are slower; a faster host is faster; the figure says what is assumed."""
    model, device = "Qwen/Qwen3-30B-A3B", "RTX 5090"
    plans = [made(model, device, options={"n_cpu_moe": count}) for count in (0, 12, 48)]
    answers = [estimate(one, PROMPT) for one in plans]
    speeds = [decode(answer) for answer in answers]
    assert speeds == sorted(speeds, reverse=True)
    assert answers[2].decode_tokens_per_second is not None
    assert answers[2].decode_tokens_per_second.basis is Basis.ASSUMED
    assert "host" in answers[2].decode_tokens_per_second.source
    server = replace(node_of(plans[2].request.devices), host_bandwidth_bytes_per_second=460_000_000_000)
    known = estimate(plans[2], PROMPT, node=server)
    assert decode(known) > 2 * speeds[2]
    assert known.decode_tokens_per_second is not None
    widths = [
        figure.high / figure.low
        for figure in (known.decode_tokens_per_second, answers[2].decode_tokens_per_second)
    ]
    assert widths == sorted(widths)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_cache_in_host_memory_slows_decoding() -> None:
    """Keys and values that stay on the host are read through its memory."""
    deep = Traffic(prompt_tokens=16_000)
    there = estimate(made(options={"no_kv_offload": True}), deep)
    assert decode(there) < 0.7 * decode(estimate(made(), deep))


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_power_limit_slows_prompts() -> None:
    """Half the watts: prompts suffer, decoding does not; absurd limits are refused."""
    limited, free = estimate(made(), PROMPT, power_share=0.5), estimate(made(), PROMPT)
    assert prefill(limited) < 0.95 * prefill(free)
    assert decode(limited) == pytest.approx(decode(free))
    own = replace(find_device("RTX 4090"), power_watts=225)
    assert prefill(estimate(made(device=own), PROMPT)) == pytest.approx(prefill(limited))
    with pytest.raises(UsageError, match="power limit"):
        estimate(made(), PROMPT, power_share=0.0)


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_several_requests_share_the_weights_and_wait_for_prompts() -> None:
    """Together they are faster and each is slower; that was not measured, and the basis says so."""
    one = estimate(made(), PROMPT)
    eight = estimate(made(concurrency=8), replace(PROMPT, concurrency=8))
    assert eight.aggregate_tokens_per_second is not None
    assert decode(one) < eight.aggregate_tokens_per_second.value < 8 * decode(one)
    assert decode(eight) < decode(one)
    assert eight.aggregate_tokens_per_second.basis is Basis.ASSUMED


@pytest.mark.requirement("FR-SPEED-FIGURES")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": "TPU v5e"}, "no backend for TPU v5e"),
        ({"device": "24GiB"}, "bandwidth"),
        ({"engine": "transformers", "weights": "bf16"}, "transformers"),
        ({"engine": "mlx", "weights": "4bit"}, "no measurement of mlx"),
        ({"options": {"n_gpu_layers": 0}}, "processor"),
    ],
)
def test_what_was_never_measured_is_not_guessed(changes: dict[str, Any], why: str) -> None:
    """No figure and a sentence: unknown hardware, engines, and models on the host's processor."""
    answer = estimate(made(**changes), PROMPT)
    assert [getattr(answer, name) for name in FIGURES] == [None] * 5
    (sentence,) = answer.unknown
    assert why in sentence


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_a_family_that_was_never_measured_has_a_wider_interval() -> None:
    """A Pascal card has the constants of its kind and the interval of strangers."""
    strange, known = (estimate(made(device=device), PROMPT) for device in ("P40", "RTX 4090"))
    assert strange.decode_tokens_per_second is not None
    assert known.decode_tokens_per_second is not None
    assert "never measured" in strange.decode_tokens_per_second.source
    widths = [f.high / f.low for f in (known.decode_tokens_per_second, strange.decode_tokens_per_second)]
    assert widths == sorted(widths)


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_without_a_prompt_there_is_no_prefill() -> None:
    """Decoding alone is known."""
    answer = estimate(made(), Traffic(prompt_tokens=0, output_tokens=128))
    assert answer.prefill_tokens_per_second is None
    assert answer.ttft_seconds is None
    assert decode(answer) > 0


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_devices_overlap_on_a_prompt_only_where_the_backend_lets_them() -> None:
    """Two cards prefill 2048 tokens faster than one with CUDA, and no faster with ROCm and Vulkan."""
    gain = {
        name: prefill(estimate(made(device=f"2x {name}"), PROMPT))
        / prefill(estimate(made(device=name), PROMPT))
        for name in ("RTX 4090", "Radeon AI PRO R9700")
    }
    assert gain["RTX 4090"] > 1.2
    assert gain["Radeon AI PRO R9700"] <= 1.0 + 1e-9


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_the_card_with_the_most_work_paces_a_prompt() -> None:
    """On alike cards an even split is fastest; of two unlike cards the fast one had better have more."""
    deep = Traffic(prompt_tokens=8192)

    def speed(device: str, split: str) -> float:
        return prefill(estimate(made(device=device, options={"tensor_split": split}), deep))

    alike = [speed("2x RTX 4090", split) for split in ("1,1", "2,1", "4,1")]
    assert alike == sorted(alike, reverse=True)
    unlike = [speed("RTX 4090, RTX 3060 12GB", split) for split in ("4,1", "1,1", "1,4")]
    assert unlike == sorted(unlike, reverse=True)
    assert unlike[0] > 1.5 * unlike[2]


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_cards_take_turns_where_the_host_has_a_part() -> None:
    """Two cards gain nothing on one with layers on the host: llama.cpp overlaps nothing then."""
    options = {"n_gpu_layers": 16}
    one, two = (
        prefill(estimate(made(device=name, options=options), PROMPT)) for name in ("RTX 4090", "2x RTX 4090")
    )
    assert two <= one


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_what_the_host_holds_is_copied_after_and_not_beside_the_arithmetic() -> None:
    """A prompt takes what it takes on the card alone, and the copies at no more than the slot's rate."""
    times = []
    for layers in (99, 24, 8):
        planned = made(options={"n_gpu_layers": layers})
        answer = estimate(planned, PROMPT)
        assert answer.prefill_tokens_per_second is not None
        times.append(PROMPT.prompt_tokens / answer.prefill_tokens_per_second.value)
    work, lane = plan_work(made()), find_device("RTX 4090").pcie_bytes_per_second
    assert lane is not None
    for taken, held in zip(times[1:], (9, 25), strict=True):
        assert taken > times[0] + 4 * held / 33 * work.layer_bytes / lane


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_larger_micro_batches_copy_less_often() -> None:
    """gpt-oss-20b, experts on the host: 203, 685 and 2,090 t/s (llama.cpp pull 15346, card not named)."""
    found = []
    for size in (128, 512, 2048):
        options = {"cpu_moe": True, "n_ubatch": size}
        planned = made("openai/gpt-oss-20b", "RTX 3090 Ti", "MXFP4_MOE", options=options)
        figure = estimate(planned, PROMPT).prefill_tokens_per_second
        assert figure is not None
        found.append((figure.low, figure.high))
    for (low, high), measured in zip(found, (203, 685, 2090), strict=True):
        assert low < measured < high


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_what_is_not_copied_the_host_multiplies_itself() -> None:
    """Without copies, and with fewer tokens than copies are made for, prompts are timed and far slower."""
    half = {"n_gpu_layers": 16}
    copied = prefill(estimate(made(options=half), PROMPT))
    left = estimate(made(options={**half, "op_offload": False}), PROMPT)
    assert prefill(left) < copied / 5
    assert left.prefill_tokens_per_second is not None
    assert left.prefill_tokens_per_second.basis is Basis.ASSUMED
    assert prefill(estimate(made(options=half), Traffic(prompt_tokens=31))) < copied / 5
    cached = prefill(estimate(made(options={"no_kv_offload": True}), PROMPT))
    assert cached < prefill(estimate(made(), PROMPT))


@pytest.mark.requirement("FR-SPEED-MODEL")
@pytest.mark.parametrize(
    ("model", "device", "backend"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "Radeon AI PRO R9700", "Vulkan"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "2x Radeon AI PRO R9700", "ROCm"),
    ],
)
def test_builds_from_before_a_kernel_are_slower(model: str, device: str, backend: str) -> None:
    """Matrix kernels for AMD on Vulkan and the kernel of gated delta nets came in early 2026."""
    old, new = (
        prefill(estimate(made(model, device, options={"backend": backend}, engine_version=build), PROMPT))
        for build in ("b7423", "b11434")
    )
    assert old < new / 1.2


@pytest.mark.requirement("FR-SPEED-FIGURES")
def test_a_program_around_the_engine_has_its_own_interval() -> None:
    """What ollama runs was measured apart, with a wider spread."""
    direct = estimate(made(), PROMPT).decode_tokens_per_second
    wrapped = estimate(replace(made(), program="ollama"), PROMPT).decode_tokens_per_second
    assert direct is not None
    assert wrapped is not None
    assert wrapped.high / wrapped.low > direct.high / direct.low
    assert "ollama" in wrapped.source
