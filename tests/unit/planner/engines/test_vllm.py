"""The vLLM profile, on hand-made models whose figures are worked out by hand or were printed by vLLM."""

from typing import Any

import pytest

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.vllm import profile
from hwledger.planner.memory import Category, EngineMemory
from hwledger.planner.plan import make_request
from hwledger.units import GIB
from support import specs


def plan(
    model: ModelSpec, context: int, version: str = "0.33.0", users: int = 1, **options: Any
) -> EngineMemory:
    """Plan one model."""
    return specs.answer(profile, model, context, users, engine_version=version, **options)


def printed(model: ModelSpec, gib: float, context: int, version: str, **options: object) -> tuple[int, float]:
    """What vLLM would print for a pool."""
    capacity = plan(model, context, version, kv_cache_memory_bytes=round(gib * GIB), **options).capacity
    assert capacity is not None
    return capacity.max_tokens, round(capacity.max_concurrency, 2)


@pytest.mark.requirement("FR-PLAN-VLLM", "FR-PLAN-KV")
@pytest.mark.parametrize(
    ("model", "tp", "expected"),
    [
        (specs.llama_8b(), 1, 131_072),
        (specs.llama_8b(), 8, 131_072),
        (specs.llama_8b(), 16, 262_144),  # 16 ranks hold a copy of each of 8 heads twice
        (specs.deepseek_v3(), 1, 70_272),
        (specs.deepseek_v3(), 8, 8 * 70_272),  # every rank holds the latent
        (specs.minicpm3(), 1, 952_320),
        (specs.glm5(), 1, 100_152),
        (specs.jamba(), 1, 16_384),
    ],
)
def test_bytes_per_token(model: ModelSpec, tp: int, expected: int) -> None:
    """One more token costs what each kind keeps per token, over all ranks."""
    assert plan(model, 8192, tensor_parallel_size=tp).kv_cache_bytes_per_token == expected


@pytest.mark.requirement("FR-PLAN-KV")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("fp8", 256), ("nvfp4", 144), ("int8_per_token_head", 264), ("int4_per_token_head", 136),
     ("turboquant_k8v4", 196)],
)  # fmt: skip
def test_packed_types(kind: str, expected: int) -> None:
    """A key and a value of 128 elements, with their scales."""
    per_token = plan(specs.llama_8b(), 4096, kv_cache_dtype=kind).kv_cache_bytes_per_token
    assert per_token == expected * 32 * 8


@pytest.mark.requirement("FR-PLAN-VLLM")
@pytest.mark.parametrize(
    ("model", "gib", "context", "version", "options", "tokens", "concurrency"),
    [
        (specs.gemma3_27b(), 109.86, 4096, "0.11.0", {}, 205_696, 50.05),
        (specs.qwen3_next(), 44.59, 262_144, "0.11.0", {"tensor_parallel_size": 2}, 973_760, 14.77),
        (specs.qwen36_27b(), 17.25, 131_072, "0.20.2", {"num_speculative_tokens": 1}, 255_975, 1.95),
        (specs.llama_8b(), 51.63, 131_072, "0.9.2",
         {"num_speculative_tokens": 1, "num_draft_layers": 1}, 410_128, 3.13),
        (specs.glm5(78, 21), 1_810_000_000 / GIB, 131_072, "0.33.0",
         {"num_speculative_tokens": 1, "kv_cache_dtype": "fp8_ds_mla", "tensor_parallel_size": 4,
          "decode_context_parallel_size": 4}, 132_096, 1.01),
    ],
)  # fmt: skip
def test_what_vllm_printed(  # noqa: PLR0913, PLR0917 - the columns of a log
    model: ModelSpec, gib: float, context: int, version: str, options: dict[str, object], tokens: int,
    concurrency: float,
) -> None:  # fmt: skip
    """Tokens and concurrency of public start-up logs."""
    assert printed(model, gib, context, version, **options) == (tokens, concurrency)


@pytest.mark.requirement("FR-PLAN-VLLM")
def test_compressed_attention_reserves_for_batches_in_flight() -> None:
    """DeepSeek-V4: five groups of 1,002,240 B blocks; 17,434 of them at 32,768 tokens in flight."""
    answer = plan(specs.deepseek_v4_flash(), 1 << 20, max_num_batched_tokens=16_384)
    assert answer.bytes_per_request == 17_434 * 1_002_240


@pytest.mark.requirement("FR-PLAN-VLLM")
def test_chunked_layers_cost_as_full_ones_by_default() -> None:
    """Llama 4 turns the hybrid manager off: 48 x 4096 B x 131,072 tokens."""
    assert plan(specs.llama4_scout(), 131_072).bytes_per_request == 24 * GIB


@pytest.mark.requirement("FR-PLAN-STATE")
def test_state_of_a_model_without_attention() -> None:
    """Codestral-Mamba keeps 64 x 2,158,592 B for one request, whatever its length."""
    answer = plan(specs.codestral_mamba(), 8192, enable_prefix_caching=False)
    state = [c.size_bytes for c in answer.components if c.category is Category.STATE]
    assert state == [64 * 2_158_592]


@pytest.mark.requirement("FR-PLAN-KV")
def test_cross_attention_keeps_the_encoder_once() -> None:
    """Whisper: 94 blocks of 16 x 5120 B in 32 layers, beside 163,840 B a token."""
    answer = plan(specs.whisper_large(), 448)
    assert answer.bytes_per_request == (94 + 28) * 16 * 5120 * 32


@pytest.mark.requirement("FR-PLAN-KV")
def test_narrower_pages_grow_to_the_widest() -> None:
    """Gemma 4: full layers get blocks of 32 tokens so that all pages are equal."""
    answer = plan(specs.gemma4_like(), 4096, max_num_batched_tokens=2048)
    assert answer.bytes_per_request == (4096 // 32 + 5 * (4096 // 16 + 1)) * 2 * 16 * 16 * 1024


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_weights_of_a_rank() -> None:
    """The vocabulary is padded to 64 rows, two of 16 ranks share a head, norms are everywhere."""
    answer = plan(specs.llama_8b(), 4096, tensor_parallel_size=16)
    weights = [c.size_bytes for c in answer.components if c.category is Category.WEIGHTS]
    rank = 128_256 * 4096 * 2 // 16 + 128 * 4096 * 2 + 4096 * 4096 * 2 // 16 + 4096 * 2
    assert weights == [rank] * 16


@pytest.mark.requirement("FR-PLAN-VLLM", "NFR-SPEED")
def test_a_grid_equals_single_plans() -> None:
    """The vectorised sweep gives each plan's cache."""
    request = make_request(specs.gemma3_27b(), profile, context=4096)
    grid = profile.grid(request, [1000, 50_000], [1, 3])
    for i, context in enumerate([1000, 50_000]):
        for j, users in enumerate([1, 3]):
            answer = plan(specs.gemma3_27b(), context, users=users)
            assert grid[i, j, 0] == sum(
                c.size_bytes for c in answer.components if c.name in {"kv_cache", "state"}
            )


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_wrong_options_are_usage_errors() -> None:
    """Contradictions and unknown types are refused in a sentence."""
    with pytest.raises(UsageError):
        plan(specs.llama_8b(), 4096, tensor_parallel_size=3, decode_context_parallel_size=2)
    with pytest.raises(UsageError):
        plan(specs.llama_8b(), 4096, pipeline_parallel_size=33)
    with pytest.raises(UnknownOptionError):
        plan(specs.llama_8b(), 4096, kv_cache_dtype="int3")
