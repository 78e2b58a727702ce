"""The transformers profile against caches that its own models filled.

The shapes in comments are those of caches that tiny models of transformers 5.23.0 filled with 41 tokens.
"""

from dataclasses import replace
from typing import Any

import pytest

from hwledger.errors import UsageError
from hwledger.model.mixers import (
    ChunkedAttention,
    CompressedAttention,
    FullAttention,
    Indexer,
    LatentAttention,
    Mamba1,
    Mamba2,
    Mixer,
    ShortConvolution,
    SlidingAttention,
)
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.engines.transformers import profile
from hwledger.planner.memory import HOST, Category, EngineMemory
from support import specs

FULL = FullAttention(query_heads=4, kv_heads=2, key_width=16, value_width=16)
SLIDING = SlidingAttention(query_heads=4, kv_heads=2, key_width=16, value_width=16, window=16)
CHUNKED = ChunkedAttention(query_heads=4, kv_heads=2, key_width=16, value_width=16, chunk=16)
PER_TOKEN = 2 * 2 * 16 * 2


def model(*mixers: Mixer) -> ModelSpec:
    """Return a model with one layer per mixer, each layer of 64 x 64 weights."""
    tensors = (
        Tensor("embed.weight", (128, 64), Part.EMBEDDING),
        *(
            Tensor(f"layers.{i}.q.weight", (64, 64), Part.ATTENTION, i, linear=True)
            for i in range(len(mixers))
        ),
        Tensor("head.weight", (128, 64), Part.LM_HEAD, linear=True),
    )
    return specs.stack(*mixers, width=96, hidden_size=64, vocab_size=128, tensors=tensors)


def memory(spec: ModelSpec, context: int = 41, concurrency: int = 1, **options: Any) -> EngineMemory:
    """Return the answer for a request of 41 tokens."""
    return specs.answer(profile, spec, context, concurrency, **options)


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
@pytest.mark.parametrize(
    ("mixer", "kv", "state"),
    [
        (FULL, 41 * PER_TOKEN, 0),  # (1, 2, 41, 16) twice
        (SLIDING, 15 * PER_TOKEN, 0),  # (1, 2, 15, 16) twice: one less than the window
        (CHUNKED, 15 * PER_TOKEN, 0),  # Llama 4: a chunk is kept as a window
        (ShortConvolution(channels=64, conv_kernel=3), 0, 64 * 3 * 2),  # LFM2: (1, 64, 3)
        (Mamba1(inner_width=128, state_size=8, conv_kernel=4), 0, 128 * 4 * 2 + 128 * 8 * 4),  # Jamba
        (
            Mamba2(heads=8, head_width=16, state_size=16, groups=1, conv_kernel=4),
            0,
            160 * 4 * 2 + 8 * 256 * 4,
        ),
    ],
)
def test_dynamic_caches(mixer: Mixer, kv: int, state: int) -> None:
    """Each kind of layer holds the tensors that transformers was seen to hold."""
    layer = memory(model(mixer)).layers[0]
    assert (layer.kv_cache_bytes, layer.state_bytes) == (kv, state)


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_latents_stay_compressed() -> None:
    """MLA caches the latent and the rotary key once for all heads, and the indexer's key beside them."""
    latent = LatentAttention(query_heads=4, latent_rank=32, rope_width=8, nope_width=16, value_width=16)
    indexed = LatentAttention(
        query_heads=4, latent_rank=32, rope_width=8, nope_width=16, value_width=16,
        indexer=Indexer(heads=2, key_width=16, top_k=8),
    )  # fmt: skip
    assert memory(model(latent)).layers[0].kv_cache_bytes == 41 * 40 * 2
    assert memory(model(indexed)).layers[0].kv_cache_bytes == 41 * 56 * 2


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_compressed_records_stand_beside_a_window() -> None:
    """DeepSeek-V4: a window of records, one record per ratio tokens, and the indexer's key of each."""
    mixer = CompressedAttention(
        query_heads=4, head_width=16, rope_width=8, window=16, ratio=4,
        indexer=Indexer(heads=2, key_width=8, top_k=8),
    )  # fmt: skip
    assert memory(model(mixer), 400).layers[0].kv_cache_bytes == 15 * 16 * 2 + 100 * (16 + 8) * 2


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_static_caches_are_as_long_as_they_are_made() -> None:
    """A static cache has max_cache_len tokens; its windows are whole."""
    answer = memory(model(FULL, SLIDING), cache_implementation="static", max_cache_len=100)
    assert [layer.kv_cache_bytes for layer in answer.layers] == [100 * PER_TOKEN, 16 * PER_TOKEN]
    assert answer.kv_cache_bytes_per_token == 0


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_quantised_caches() -> None:
    """fp8 takes a byte an element; 4 bits take a scale and shift per group and an unquantised residual."""
    assert memory(model(FULL), kv_cache="fp8").layers[0].kv_cache_bytes == 41 * 2 * 2 * 16
    packed = 1000 * 2 * 2 * (16 // 2 + 4)
    answer = memory(model(FULL), 1000, cache_implementation="quantized", q_group_size=16)
    assert answer.layers[0].kv_cache_bytes == packed + 128 * PER_TOKEN


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_growth_and_requests() -> None:
    """Only layers without a full window grow, and every request has its own cache."""
    answer = memory(model(FULL, SLIDING), 41, 4)
    assert answer.kv_cache_bytes_per_token == PER_TOKEN
    assert answer.bytes_per_request == (41 + 15) * PER_TOKEN


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_layers_are_shared_out_over_devices() -> None:
    """Two equal devices take half of the layers each; nothing is lost."""
    spec = model(*[FULL] * 4)
    answer = memory(spec, devices="RTX 3090,RTX 3090")
    weights = {c.place: c.size_bytes for c in answer.components if c.category is Category.WEIGHTS}
    assert weights == {0: 2 * (128 * 64 + 2 * 64 * 64), 1: 2 * (128 * 64 + 2 * 64 * 64)}
    kv = [c.size_bytes for c in answer.components if c.category is Category.KV_CACHE]
    assert kv == [2 * 41 * PER_TOKEN] * 2


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_an_offloaded_cache_lives_in_the_host() -> None:
    """cache_implementation=offloaded moves the cache off the device."""
    answer = memory(model(FULL), cache_implementation="offloaded")
    assert {c.place for c in answer.components if c.category is Category.KV_CACHE} == {HOST}


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_eager_attention_needs_scores() -> None:
    """Eager attention keeps score matrices; sdpa does not."""

    def compute(kind: str) -> int:
        answer = memory(model(FULL), 4096, attn_implementation=kind)
        return sum(c.size_bytes for c in answer.components if c.category is Category.COMPUTE)

    assert compute("eager") - compute("sdpa") == 4 * 4096 * 4096 * 3 * 2


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_dtype_repacks_an_unquantised_model() -> None:
    """dtype=float32 doubles the weights."""
    sizes = [
        sum(c.size_bytes for c in memory(model(FULL), **o).components if c.category is Category.WEIGHTS)
        for o in ({}, {"dtype": "float32"})
    ]
    assert sizes[1] == 2 * sizes[0]


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "options",
    [
        {"max_cache_len": 100},
        {"kv_cache": "q3_K"},
        {"kv_cache": "fp8", "cache_implementation": "static"},
        {"cache_implementation": "quantized", "nbits": 8},
        {"dtype": "floaty"},
    ],
)
def test_contradictions_are_refused(options: dict[str, object]) -> None:
    """Options that transformers refuses end in a usage error."""
    with pytest.raises(UsageError):
        memory(model(FULL), **options)


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_quantised_caches_need_full_attention() -> None:
    """A cache with windows cannot be quantised, says transformers."""
    with pytest.raises(UsageError, match="full attention"):
        memory(model(FULL, SLIDING), cache_implementation="quantized")


@pytest.mark.requirement("FR-PLAN-TRANSFORMERS")
def test_gguf_weights_are_unpacked() -> None:
    """Transformers has no GGUF kernels: 4-bit tensors of a GGUF file take 16 bits, and that is said."""
    tensor = Tensor("blk.0.attn_q.weight", (64, 64), Part.ATTENTION, 0, stored_type="q4_0", stored_bytes=2304)
    packed = replace(model(FULL), format="gguf", exact_tensors=True, tensors=(tensor,))
    answer = memory(packed)
    weights = sum(c.size_bytes for c in answer.components if c.category is Category.WEIGHTS)
    assert weights == 64 * 64 * 2
    assert "GGUF" in answer.warnings[0]
