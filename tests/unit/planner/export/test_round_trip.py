"""What is exported, read back and planned again, is the same plan to the byte."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.errors import HwledgerError
from hwledger.library.commands import read_command
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
LLAMA = options_of(
    n_batch=st.integers(64, 4096), n_ubatch=st.integers(32, 1024), kv_unified=st.booleans(),
    flash_attn=st.sampled_from(["on", "off", "auto"]), swa_full=st.booleans(),
    n_gpu_layers=st.integers(-1, 80),
    n_cpu_moe=st.integers(0, 70), cpu_moe=st.booleans(), no_kv_offload=st.booleans(), mmap=st.booleans(),
    op_offload=st.booleans(), split_mode=st.sampled_from(["layer", "none"]),
)  # fmt: skip


def attempt(name: str, *, gguf: bool = False, **more: object) -> Plan | None:
    """Return a plan where the engine accepts the options."""
    try:
        return make(gguf_model(name) if gguf else hub_model(name), **more)
    except HwledgerError:
        return None


def same(made: Plan, target: str, read: object) -> None:
    """Assert that an export reads back as the plan that it is of, with nothing unknown in it."""
    try:
        written = exported(made, target, force=True)
    except HwledgerError:  # the target cannot run this one; that is tried elsewhere
        return
    if any("it is left out" in note for note in written.notes):  # this version has no flag for it
        return
    told = read(written.text)  # type: ignore[operator]
    assert not [note for note in told.notes if any(words in note for words in SERVER_FLAGS)]
    assert sizes(planned_again(made, told)) == sizes(made)


def by_script(text: str) -> object:
    """Read a script as a user would paste it."""
    return read_command(text)


def by_container(text: str) -> object:
    """Read a file for Compose or Kubernetes as a user would paste it: what its container's words say."""
    told, words = read_command(text), read_words(container_words(text))
    assert (told.options, told.context, told.weights) == (words.options, words.context, words.weights)
    return told


@ROUNDS
@given(
    st.sampled_from(MODELS), st.sampled_from(DEVICES), VLLM, PARALLEL, st.integers(1, 300),
    st.integers(64, 40_000), st.sampled_from([None, "fp8", "fp8_e5m2", "nvfp4"]),
    st.sampled_from([None, "fp8", "fp8-block", "mxfp8", "nvfp4", "bf16"]),
    st.sampled_from(["vllm", "compose", "k8s"]),
    st.sampled_from([None, "0.33.0", "0.19.1", "0.11.0"]),
)  # fmt: skip
def test_plans_of_vllm(  # noqa: PLR0913, PLR0917 - everything that a plan can be of
    name: str,
    device: str,
    options: dict[str, object],
    parallel: dict[str, object],
    users: int,
    context: int,
    kv_cache: str | None,
    weights: str | None,
    target: str,
    version: str | None,
) -> None:
    """Models, devices, options and versions: what vLLM is told is what was planned."""
    made = attempt(
        name, device=device, engine="vllm", options={**options, **parallel}, concurrency=users,
        context=context, kv_cache=kv_cache, weights=weights, engine_version=version,
    )  # fmt: skip
    if made is not None and runs_all(made):
        same(made, target, by_script if target == "vllm" else by_container)


def runs_all(made: Plan) -> bool:
    """Whether one batch holds all requests: where it does not, an export widens it, with a note."""
    told = made.memory.options
    users = -(-made.memory.concurrency // int(str(told["data_parallel_size"])))
    return users <= min(int(str(told["max_num_seqs"])), int(str(told["max_num_batched_tokens"])))


SGLANG = options_of(
    max_num_seqs=st.integers(300, 2000), max_num_batched_tokens=st.integers(300, 20_000),
    enable_prefix_caching=st.booleans(), enforce_eager=st.booleans(), enable_expert_parallel=st.booleans(),
    gpu_memory_utilization=st.floats(0.1, 1.0), dtype=st.sampled_from(["bfloat16", "float16", "float32"]),
    async_scheduling=st.booleans(), mamba_ssm_cache_dtype=st.sampled_from(["float32", "bfloat16"]),
)  # fmt: skip


@ROUNDS
@given(
    st.sampled_from(MODELS), st.sampled_from(["8x H200", "4x H100 SXM"]), SGLANG, PARALLEL,
    st.integers(1, 200),
    st.integers(64, 40_000), st.sampled_from([None, "fp8_e4m3", "fp8_e5m2"]), st.sampled_from([None,
    "fp8", "mxfp8"]),
    st.sampled_from(["sglang", "compose:sglang", "k8s:sglang"]),
)  # fmt: skip
def test_plans_for_sglang(  # noqa: PLR0913, PLR0917 - everything that a plan can be of
    name: str,
    device: str,
    options: dict[str, object],
    parallel: dict[str, object],
    users: int,
    context: int,
    kv_cache: str | None,
    weights: str | None,
    target: str,
) -> None:
    """What SGLang is told is what was planned by the rules of vLLM, for everything that it has a word for."""
    made = attempt(
        name, device=device, engine="vllm", options={**options, **parallel}, concurrency=users,
        context=context, kv_cache=kv_cache, weights=weights,
    )  # fmt: skip
    if made is not None:
        same(made, target, by_script if target == "sglang" else by_container)


@ROUNDS
@given(
    st.sampled_from(MODELS), st.sampled_from(DEVICES), LLAMA, st.integers(1, 9), st.integers(1, 60_000),
    st.sampled_from([None, "q8_0", "q4_0", "f32"]), st.sampled_from(["llama.cpp", "compose", "k8s"]),
    st.sampled_from([None, "b11549", "b10068", "b7964"]),
)  # fmt: skip
def test_plans_of_llama_cpp(  # noqa: PLR0913, PLR0917 - everything that a plan can be of
    name: str,
    device: str,
    options: dict[str, object],
    users: int,
    context: int,
    kv_cache: str | None,
    target: str,
    version: str | None,
) -> None:
    """Models, devices, options and builds: what llama-server is told is what was planned."""
    made = attempt(
        name, gguf=True, device=device, engine="llama.cpp", options=options, concurrency=users,
        context=context, kv_cache=kv_cache, engine_version=version,
    )  # fmt: skip
    if made is not None:
        same(made, target, by_script if target == "llama.cpp" else by_container)


@ROUNDS
@given(st.sampled_from(MODELS), st.integers(1, 5), st.integers(1, 9000), st.sampled_from([None, "q8_0",
"q4_0"]),
       st.sampled_from([{}, {"n_gpu_layers": 7}, {"n_ubatch": 256, "n_batch": 256}]))  # fmt: skip
def test_plans_for_ollama(
    name: str, users: int, context: int, kv_cache: str | None, options: dict[str, object]
) -> None:
    """A Modelfile and its variables are what was planned, where both batches are one."""
    wanted = {"n_batch": 512, "n_ubatch": 512, **options}
    made = attempt(
        name,
        gguf=True,
        device="RTX 4090",
        options=wanted,
        concurrency=users,
        context=context,
        kv_cache=kv_cache,
    )
    if made is not None:
        same(made, "ollama", read_modelfile)


@ROUNDS
@given(st.sampled_from(MODELS), st.integers(1, 8), st.integers(1, 20_000), st.sampled_from([None,
"8bit", "4bit"]),
       options_of(prefill_step_size=st.integers(64, 4096), quantized_kv_start=st.sampled_from([0,
       100])))  # fmt: skip
def test_plans_of_mlx(
    name: str, users: int, context: int, kv_cache: str | None, options: dict[str, object]
) -> None:
    """What mlx_lm.server is told is what was planned; it is told no context."""
    made = attempt(
        name, engine="mlx", device="M3 Ultra 256GB", options=options, concurrency=users, context=context,
        kv_cache=kv_cache,
    )  # fmt: skip
    if made is not None:
        same(made, "mlx", by_script)


@ROUNDS
@given(st.sampled_from(MODELS), st.integers(1, 8), st.integers(64, 20_000), st.sampled_from([None, "fp8"]),
       st.sampled_from([None, "q4_k_m", "q8_0", "fp8"]))  # fmt: skip
def test_plans_for_mistral_rs(
    name: str, users: int, context: int, kv_cache: str | None, weights: str | None
) -> None:
    """What mistral.rs is told is what was planned."""
    made = attempt(
        name, engine="vllm", device="H100 SXM", concurrency=users, context=context, kv_cache=kv_cache,
        weights=weights,
    )  # fmt: skip
    if made is not None:
        same(made, "mistralrs", by_script)
