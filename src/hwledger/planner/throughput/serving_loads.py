"""What serving costs at the device's peaks: bytes over bandwidth, operations over rate, counts."""

from dataclasses import dataclass
from math import ceil, log, log2, sqrt
from typing import Final

from hwledger.device.spec import DeviceSpec
from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.figure import Traffic
from hwledger.planner.throughput.parallel import Parallel
from hwledger.planner.throughput.work import Work

ACTIVATION_BYTES: Final = 2
MEMORY_SHARE: Final = 0.92
"""Share of a device that the engines take by default (vLLM 0.33.0 ``gpu_memory_utilization``)."""
KEPT_BACK_BYTES: Final = 3e9
"""Activations, graphs and collectives' buffers of one rank (vLLM start-up logs: 2 to 4 GB)."""
REDUCTIONS: Final = 2
"""All-reduces of a layer: after attention and after the feed-forward block."""
UNLIMITED: Final = 1 << 20
NARROWER: Final = {"fp4": ("fp4",), "fp8": ("fp8",), "int8": ("int8", "fp8")}
PLAIN: Final = ("bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCase:
    """One model on one engine and some alike devices.

    Attributes:
        engine: ``vllm``, ``sglang``, ``tensorrt-llm``.
        work: what tokens of the model cost.
        device: each of the devices.
        parallel: how they share the model.
        weights: class of the packing: ``plain``, ``fp8``, ``fp4``, ``int8``, ``int4``.
        cache_bytes: bytes of one cached element.
        cache_heads: ranks over which the cache can be split; 1 for a latent.
        latent: the model keeps a latent (MLA).
        most_running: requests in one batch at most, per replica; ``None``: as many as memory holds.
        drafted: tokens that a draft head proposes per step (MTP, EAGLE): one layer each.
        acceptance: chance that a drafted token is accepted, given that those before it are.
        pool: requests of a length that one replica's cache holds at once, and that length, as the engine
            itself would have it; ``None``: not known, and taken from the device's memory.
        offloaded_bytes: weights of one rank that stay in host memory and are read over PCIe in each step.
        batched_tokens: tokens of a prompt that one step takes at most; counts where weights are read over
            PCIe for each.
        eager: no CUDA graphs: every kernel of a decoding step is launched by the host.
        held_steps: decoding steps that the scheduler lets pass before it takes a prompt that has come: see
            ``held_steps``; 0 is what the engines do by themselves.
        untimed: settings that change the speed in a way that is not modelled, in words.
        power_share: power limit as a share of the board power; compute is taken to fall with it.
    """

    engine: str
    work: Work
    device: DeviceSpec
    parallel: Parallel
    weights: str
    cache_bytes: float = 2.0
    cache_heads: int = 1
    latent: bool = False
    most_running: int | None = None
    pool: tuple[float, int] | None = None
    offloaded_bytes: float = 0.0
    batched_tokens: int | None = None
    eager: bool = False
    held_steps: float = 0.0
    untimed: tuple[str, ...] = ()
    power_share: float = 1.0
    drafted: int = 0
    acceptance: float = 0.0

    @property
    def tokens_per_step(self) -> float:
        """Tokens that a step yields: 1 + a + ... + a^k with k drafted (Leviathan et al. 2023, equation 1)."""
        return sum(self.acceptance**count for count in range(self.drafted + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """The parts of a step before any efficiency.

    The formulas of ``serving_model`` are arithmetic alone: ``tools/fit_serving.py`` hands them arrays of
    many cases in place of these numbers, so that what is fitted is what is answered.

    Attributes:
        requests: requests at once; running: those that memory holds at the same time.
        replicas: copies of the attention; ranks: tensor-parallel ranks; devices: of one pipeline stage.
        stages: pipeline stages.
        prompt_tokens, output_tokens: mean lengths of one request.
        dense_seconds: reading what every step reads.
        expert_seconds: reading all routed experts; active_share: share of them that one token uses;
            experts_per_rank: whole experts of a rank; spread: ln of the expert-parallel ranks.
        cache_seconds, state_seconds: reading one request's cache at mid-answer, and its recurrent state.
        matrix_seconds, attention_seconds: operations of one decoded token on one device.
        prefill_matrix_seconds, prefill_attention_seconds: operations of one prompt on one device.
        wire_seconds: all-reduced bytes of one token over the link; hops: all-reduces, weighted by
            the square root of the rounds that a tree takes.
        layers, moe_layers, state_layers, indexer_layers: counts.
        verified: tokens of one request in a step, drafted ones included; yielded: those that are kept.
        copy_seconds: reading the weights in host memory over PCIe in a decoding step;
            prompt_copy_seconds: the same for one prompt, once per part of it.
        eager: 1 without CUDA graphs, else 0; held_steps: decoding steps before a prompt is taken.
        draft_share: share of the layers that the drafts of a step add; draft_seconds: reading the output
            matrix for them.
    """

    requests: float
    running: float
    replicas: float
    ranks: float
    devices: float
    stages: float
    prompt_tokens: float
    output_tokens: float
    dense_seconds: float
    expert_seconds: float
    active_share: float
    experts_per_rank: float
    spread: float
    cache_seconds: float
    state_seconds: float
    matrix_seconds: float
    attention_seconds: float
    prefill_matrix_seconds: float
    prefill_attention_seconds: float
    wire_seconds: float
    hops: float
    layers: float
    moe_layers: float
    state_layers: float
    indexer_layers: float
    verified: float = 1.0
    yielded: float = 1.0
    draft_share: float = 0.0
    draft_seconds: float = 0.0
    copy_seconds: float = 0.0
    prompt_copy_seconds: float = 0.0
    eager: float = 0.0
    held_steps: float = 0.0


def held_steps(polled: int = 1, gathered: int = 0) -> float:
    """Return the decoding steps that pass on the average before a prompt that has come is taken.

    Args:
        polled: steps from one look at what has come to the next (SGLang ``--scheduler-recv-interval``, whose
            ``SchedulerRecvSkipper`` counts decoding steps): a prompt comes anywhere between two.
        gathered: steps for which a prompt waits for others to be prefilled with (TensorRT-LLM
            ``batch_wait_timeout_iters``); that enough of them end the wait earlier is not counted.
    """
    return (polled - 1) / 2.0 + gathered


def rate_of(device: DeviceSpec, weights: str) -> tuple[float | None, bool]:
    """Return the device's dense rate for a class of weights, and whether it is the class's own.

    A class that the device has no units for is widened and multiplied in bf16 (weight-only kernels).
    """
    own = next((device.rates[t] for t in NARROWER.get(weights, ()) if t in device.rates), None)
    if own:
        return own, True
    return next((device.rates[t] for t in PLAIN if t in device.rates), None), weights == "plain"


def wire_of(device: DeviceSpec) -> float | None:
    """Return bytes per second and direction between the devices: their link, or PCIe."""
    return device.link_bytes_per_second or device.pcie_bytes_per_second


def running_limit(case: ServingCase, depth: float) -> float:
    """Return how many requests of ``depth`` tokens all replicas hold at once; at least 1.

    By the engine's own pool where the plan knows it, at the depth that the traffic reaches; else from the
    device's usable memory.
    """
    held, one = rank_bytes(case, depth)
    if not one:
        most = float(UNLIMITED)
    elif case.pool is not None:
        most = case.pool[0] * rank_bytes(case, case.pool[1])[1] / one
    else:
        most = (case.device.usable_bytes * MEMORY_SHARE - KEPT_BACK_BYTES - held) / one
    most = min(most, float(case.most_running or UNLIMITED))
    return max(1.0, most * case.parallel.data)


def copied(case: ServingCase, tokens: float) -> float:
    """Return the bytes of one rank's weights in host memory that ``tokens`` tokens together read.

    They are taken to be a like share of all weights, of routed experts those that are touched (vLLM 0.33.0
    ``cpu_offload_gb`` keeps them mapped, and kernels read them in place).
    """
    work = case.work
    whole = work.layer_bytes + work.head_bytes + work.all_expert_bytes
    return case.offloaded_bytes * work.weight_bytes(tokens) / whole if whole else 0.0


def rank_bytes(case: ServingCase, depth: float) -> tuple[float, float]:
    """Return the bytes of weights on one rank, and those of cache and state of one request of its replica."""
    ranks, work = case.parallel, case.work
    held = (work.layer_bytes + work.head_bytes) / ranks.tensor / ranks.pipeline
    held += work.all_expert_bytes / ranks.devices
    one = work.cache_bytes(depth, case.cache_bytes, case.cache_bytes) / min(ranks.tensor, case.cache_heads)
    one += work.state_bytes / ranks.tensor
    return held, one / ranks.pipeline


def loads_of(case: ServingCase, traffic: Traffic, requests: float | None = None) -> Loads:
    """Return the loads of a case under some traffic; ``requests`` overrides its concurrency.

    Raises:
        ValueError: the device's bandwidth or rates are not known; ``serving`` asks before.
    """
    work, ranks = case.work, case.parallel
    rate, _ = rate_of(case.device, case.weights)
    plain = rate_of(case.device, "plain")[0]
    slowed = min(1.0, case.power_share)
    bandwidth = case.device.bandwidth_bytes_per_second
    if not (bandwidth and rate and plain):
        raise ValueError("bandwidth and rates are needed")
    rate, plain = rate * slowed, plain * slowed
    group = work.experts[0] if work.experts else None
    depth, asked = traffic.mean_depth, requests if requests is not None else traffic.concurrency
    running = max(1.0, min(float(asked), running_limit(case, depth)))
    prompt, before = float(traffic.prompt_tokens), float(traffic.cached_tokens)
    cache = work.cache_bytes(depth, case.cache_bytes, case.cache_bytes) / min(ranks.tensor, case.cache_heads)
    wire = wire_of(case.device) or 0.0
    ring = REDUCTIONS * work.layers * 2.0 * (ranks.tensor - 1) / ranks.tensor
    return Loads(
        requests=max(1.0, float(asked)), running=running,
        replicas=float(ranks.data), ranks=float(ranks.tensor), devices=float(ranks.tensor * ranks.data),
        stages=float(ranks.pipeline), prompt_tokens=prompt, output_tokens=float(traffic.output_tokens),
        dense_seconds=(work.layer_bytes + work.head_bytes) / ranks.tensor / bandwidth,
        expert_seconds=work.all_expert_bytes / (ranks.tensor * ranks.data) / bandwidth,
        active_share=group.active / group.experts if group else 0.0,
        experts_per_rank=(group.experts / ranks.expert) if group else 1.0, spread=log(ranks.expert),
        cache_seconds=cache / bandwidth,
        state_seconds=work.state_traffic_bytes() / ranks.tensor / bandwidth,
        matrix_seconds=2.0 * (work.active_parameters + work.head_parameters) / rate,
        attention_seconds=work.attention_flops(depth) / plain,
        prefill_matrix_seconds=work.prefill_matrix_flops(prompt) / rate,
        prefill_attention_seconds=work.prefill_attention_flops(prompt, before) / plain,
        wire_seconds=ring * work.reduced_bytes(1.0, ACTIVATION_BYTES) / wire if wire else 0.0,
        hops=REDUCTIONS * work.layers * sqrt(log2(ranks.tensor)) if ranks.tensor > 1 else 0.0,
        layers=float(work.layers), moe_layers=float(work.moe_layers), state_layers=float(work.state_layers),
        indexer_layers=float(sum(n for one, n in work.attention if one.index_elements)),
        verified=1.0 + case.drafted, yielded=case.tokens_per_step,
        **_copies(case, running * (1.0 + case.drafted), prompt), eager=float(case.eager),
        held_steps=case.held_steps, draft_share=case.drafted / work.layers,
        draft_seconds=case.drafted * work.head_bytes / ranks.tensor / bandwidth,
    )  # fmt: skip


def _copies(case: ServingCase, tokens: float, prompt: float) -> dict[str, float]:
    """Return the seconds that weights in host memory take over PCIe; none where the slot is not known."""
    lane = case.device.pcie_bytes_per_second
    if not case.offloaded_bytes or not lane:
        return {}
    rate = lane * assumed("pcie_share").value
    part = min(prompt, float(case.batched_tokens or prompt))
    return {
        "copy_seconds": copied(case, tokens) / rate,
        "prompt_copy_seconds": ceil(prompt / part) * copied(case, part) / rate if part else 0.0,
    }
