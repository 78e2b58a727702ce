"""What is exported, read back and planned again, is the same plan to the byte."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.errors import HwledgerError
from hwledger.library.commands import read_command
from hwledger.library.deployment import Deployment
from hwledger.model.spec import ModelSpec
from hwledger.planner.export import exported
from hwledger.planner.plan import Plan
from support.exports import (
    container_words,
    gguf_model,
    hub_model,
    make,
    planned_again,
    read_modelfile,
    read_words,
    sizes,
)

pytestmark = pytest.mark.requirement("FR-EXPORT-ROUNDTRIP")

MODELS = (
    "Qwen/Qwen3-32B", "meta-llama/Meta-Llama-3.1-8B", "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3",
    "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct", "openai/gpt-oss-20b",
)  # fmt: skip
DEVICES = ("", "RTX 4090", "2x H100 SXM", "8x H200", "4x MI300X", "RTX 3090, RTX 3080 10GB", "24GiB")
ROUNDS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SERVER_FLAGS = ("is no flag of", "belongs to no flag", "is not planned:", "is no number")


def options_of(**kinds: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Some of the options, each with a value of its kind."""
    return st.fixed_dictionaries({}, optional=kinds)


def both(*options: st.SearchStrategy[dict[str, object]]) -> st.SearchStrategy[dict[str, object]]:
    """Options of several kinds; later ones win."""
    return st.tuples(*options).map(
        lambda drawn: {key: value for each in drawn for key, value in each.items()}
    )


def given_to(**kinds: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Everything that a plan is asked for, each of its kind."""
    return st.fixed_dictionaries(kinds)


VLLM = options_of(
    max_num_seqs=st.integers(1, 2000), max_num_batched_tokens=st.integers(256, 20_000),
    enable_prefix_caching=st.booleans(), enforce_eager=st.booleans(), enable_expert_parallel=st.booleans(),
    gpu_memory_utilization=st.floats(0.1, 1.0), block_size=st.sampled_from([16, 32, 64]),
    dtype=st.sampled_from(["bfloat16", "float16", "float32"]), num_speculative_tokens=st.integers(0, 5),
    async_scheduling=st.booleans(), cpu_offload_gb=st.sampled_from([1.0, 2.5]),
    kv_cache_memory_bytes=st.integers(1 << 28, 1 << 36), mamba_cache_mode=st.sampled_from(["none", "align"]),
)  # fmt: skip
PARALLEL = st.sampled_from([
    {}, {"tensor_parallel_size": 2}, {"tensor_parallel_size": 1, "pipeline_parallel_size": 2},
    {"tensor_parallel_size": 2, "data_parallel_size": 2}, {"tensor_parallel_size": 4,
    "decode_context_parallel_size": 2},
])  # fmt: skip
SGLANG = options_of(
    max_num_seqs=st.integers(300, 2000), max_num_batched_tokens=st.integers(300, 20_000),
    enable_prefix_caching=st.booleans(), enforce_eager=st.booleans(), enable_expert_parallel=st.booleans(),
    gpu_memory_utilization=st.floats(0.1, 1.0), dtype=st.sampled_from(["bfloat16", "float16", "float32"]),
    async_scheduling=st.booleans(), mamba_ssm_cache_dtype=st.sampled_from(["float32", "bfloat16"]),
)  # fmt: skip
LLAMA = options_of(
    n_batch=st.integers(64, 4096), n_ubatch=st.integers(32, 1024), kv_unified=st.booleans(),
    flash_attn=st.sampled_from(["on", "off", "auto"]), swa_full=st.booleans(),
    n_gpu_layers=st.integers(-1, 80),
    n_cpu_moe=st.integers(0, 70), cpu_moe=st.booleans(), no_kv_offload=st.booleans(), mmap=st.booleans(),
    op_offload=st.booleans(), split_mode=st.sampled_from(["layer", "none"]),
)  # fmt: skip


def attempt(spec: ModelSpec, **more: object) -> Plan | None:
    """Return a plan where the engine accepts the options."""
    try:
        return make(spec, **more)  # type: ignore[arg-type]
    except HwledgerError:
        return None


def same(made: Plan | None, target: str, read: Callable[[str], Deployment] | None = None) -> None:
    """Assert that an export reads back as the plan that it is of, with nothing unknown in it.

    A container's file is read by its container's words, other exports as the scripts that they are.
    """
    if made is None:  # the engine does not accept the options
        return
    read = read or (by_container if target.partition(":")[0] in {"compose", "k8s"} else read_command)
    try:
        written = exported(made, target, force=True)
    except HwledgerError:  # the target cannot run this one; that is tried elsewhere
        return
    if any("it is left out" in note for note in written.notes):  # this version has no flag for it
        return
    told = read(written.text)
    assert not [note for note in told.notes if any(words in note for words in SERVER_FLAGS)]
    assert sizes(planned_again(made, told)) == sizes(made)


def by_container(text: str) -> Deployment:
    """Read a file for Compose or Kubernetes as a user would paste it: what its container's words say."""
    told, words = read_command(text), read_words(container_words(text))
    assert (told.options, told.context, told.weights) == (words.options, words.context, words.weights)
    return told


def runs_all(made: Plan) -> bool:
    """Whether one batch holds all requests: where it does not, an export widens it, with a note."""
    told = made.memory.options
    users = -(-made.memory.concurrency // int(str(told["data_parallel_size"])))
    return users <= min(int(str(told["max_num_seqs"])), int(str(told["max_num_batched_tokens"])))


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        device=st.sampled_from(DEVICES), options=both(VLLM, PARALLEL), concurrency=st.integers(1, 300),
        context=st.integers(64, 40_000), kv_cache=st.sampled_from([None, "fp8", "fp8_e5m2", "nvfp4"]),
        weights=st.sampled_from([None, "fp8", "fp8-block", "mxfp8", "nvfp4", "bf16"]),
        engine_version=st.sampled_from([None, "0.33.0", "0.19.1", "0.11.0"]),
    ),
    st.sampled_from(["vllm", "compose", "k8s"]),
)  # fmt: skip
def test_plans_of_vllm(name: str, asked: dict[str, object], target: str) -> None:
    """Models, devices, options and versions: what vLLM is told is what was planned."""
    made = attempt(hub_model(name), engine="vllm", **asked)
    if made is not None and runs_all(made):
        same(made, target)


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        device=st.sampled_from(["8x H200", "4x H100 SXM"]), options=both(SGLANG, PARALLEL),
        concurrency=st.integers(1, 200), context=st.integers(64, 40_000),
        kv_cache=st.sampled_from([None, "fp8_e4m3", "fp8_e5m2"]),
        weights=st.sampled_from([None, "fp8", "mxfp8"]),
    ),
    st.sampled_from(["sglang", "compose:sglang", "k8s:sglang"]),
)  # fmt: skip
def test_plans_for_sglang(name: str, asked: dict[str, object], target: str) -> None:
    """What SGLang is told is what was planned by the rules of vLLM, for everything that it has a word for."""
    same(attempt(hub_model(name), engine="vllm", **asked), target)


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        device=st.sampled_from(DEVICES), options=LLAMA, concurrency=st.integers(1, 9),
        context=st.integers(1, 60_000), kv_cache=st.sampled_from([None, "q8_0", "q4_0", "f32"]),
        engine_version=st.sampled_from([None, "b11549", "b10068", "b7964"]),
    ),
    st.sampled_from(["llama.cpp", "compose", "k8s"]),
)  # fmt: skip
def test_plans_of_llama_cpp(name: str, asked: dict[str, object], target: str) -> None:
    """Models, devices, options and builds: what llama-server is told is what was planned."""
    same(attempt(gguf_model(name), engine="llama.cpp", **asked), target)


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        options=both(
            st.just({"n_batch": 512, "n_ubatch": 512}),
            st.sampled_from([{}, {"n_gpu_layers": 7}, {"n_ubatch": 256, "n_batch": 256}]),
        ),
        concurrency=st.integers(1, 5), context=st.integers(1, 9000),
        kv_cache=st.sampled_from([None, "q8_0", "q4_0"]),
    ),
)  # fmt: skip
def test_plans_for_ollama(name: str, asked: dict[str, object]) -> None:
    """A Modelfile and its variables are what was planned, where both batches are one."""
    same(attempt(gguf_model(name), device="RTX 4090", **asked), "ollama", read_modelfile)


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        options=options_of(
            prefill_step_size=st.integers(64, 4096), quantized_kv_start=st.sampled_from([0, 100]),
        ),
        concurrency=st.integers(1, 8), context=st.integers(1, 20_000),
        kv_cache=st.sampled_from([None, "8bit", "4bit"]),
    ),
)  # fmt: skip
def test_plans_of_mlx(name: str, asked: dict[str, object]) -> None:
    """What mlx_lm.server is told is what was planned; it is told no context."""
    same(attempt(hub_model(name), engine="mlx", device="M3 Ultra 256GB", **asked), "mlx")


@ROUNDS
@given(
    st.sampled_from(MODELS),
    given_to(
        concurrency=st.integers(1, 8), context=st.integers(64, 20_000),
        kv_cache=st.sampled_from([None, "fp8"]), weights=st.sampled_from([None, "q4_k_m", "q8_0", "fp8"]),
    ),
)  # fmt: skip
def test_plans_for_mistral_rs(name: str, asked: dict[str, object]) -> None:
    """What mistral.rs is told is what was planned."""
    same(attempt(hub_model(name), engine="vllm", device="H100 SXM", **asked), "mistralrs")
