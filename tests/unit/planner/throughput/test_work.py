"""What one token costs, counted from the model."""

from dataclasses import replace
from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.library.sources.catalogue import shipped_model
from hwledger.model.mixers import FullAttention, LatentAttention, Mamba2, SlidingAttention
from hwledger.planner.plan import plan
from hwledger.planner.throughput import cached_element_bytes, work_of
from hwledger.planner.throughput.attention import AttentionWork, attention_work
from hwledger.planner.weights import weigh

ATTENTION = AttentionWork(
    key_elements=1024, value_elements=1024, heads=32, decode_flops_per_token=4.0 * 32 * 128,
    prefill_flops_per_token=4.0 * 32 * 128,
)  # fmt: skip


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_an_untied_embedding_is_not_read() -> None:
    """A step of Llama 2 7B reads every weight of the file but the embedding: 32,000 rows of 4,096 in q4_0."""
    spec = shipped_model("meta-llama/Llama-2-7b-hf")
    embedding = 32_000 * 4_096 // 32 * 18
    assert work_of(spec, "Q4_0").weight_bytes() == weigh(spec, "Q4_0").total - embedding


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_tied_embedding_is_read_as_the_head() -> None:
    """Llama 3.2 3B has no output matrix of its own: every byte of the file is read."""
    spec = shipped_model("meta-llama/Llama-3.2-3B-Instruct")
    assert work_of(spec, "Q4_K_M").weight_bytes() == weigh(spec, "Q4_K_M").total


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_batch_covers_experts_by_independent_routing() -> None:
    """One token reads 8 of 128 experts, two read 1 - (1 - 1/16)², many all of them."""
    work = work_of(shipped_model("Qwen/Qwen3-30B-A3B"), "Q4_K_M")
    (group,) = work.experts
    assert (group.experts, group.active, group.layers) == (128, 8, 48)
    assert isclose(work.expert_bytes(1), work.all_expert_bytes / 16)
    assert isclose(work.expert_bytes(2), work.all_expert_bytes * (1 - (15 / 16) ** 2))
    assert isclose(work.expert_bytes(10_000), work.all_expert_bytes)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_active_parameters_are_those_of_the_census() -> None:
    """Layers and head together are the census' active parameters less the embedding, routers included."""
    spec = shipped_model("openai/gpt-oss-20b")
    work = work_of(spec)
    counted = work.active_parameters + work.head_parameters
    assert isclose(counted, spec.census.active - spec.census.embedding, rel_tol=1e-6)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_window_bounds_what_is_read() -> None:
    """A sliding layer reads its window, however deep; a full one reads everything."""
    common = {"query_heads": 32, "kv_heads": 8, "key_width": 128, "value_width": 128}
    sliding = attention_work(SlidingAttention(window=1024, **common))
    full = attention_work(FullAttention(**common))
    assert sliding is not None
    assert full is not None
    assert sliding.cache_bytes(100_000, 2, 2) == 1024 * 8 * 256 * 2
    assert full.cache_bytes(100_000, 2, 1) == 100_000 * 8 * (128 * 2 + 128)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_latent_attention_reads_the_latent_once() -> None:
    """MLA reads 576 elements per token for all heads, and does more arithmetic decoding than prefilling."""
    mixer = LatentAttention(query_heads=128, latent_rank=512, rope_width=64, nope_width=128, value_width=128)
    work = attention_work(mixer)
    assert work is not None
    assert work.cache_bytes(1000, 2, 2) == 1000 * 576 * 2
    assert work.decode_flops_per_token == 2 * 128 * (576 + 512)
    assert work.prefill_flops_per_token == 2 * 128 * (192 + 128)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_a_state_is_no_attention() -> None:
    """A recurrent mixer has no cost per cached token."""
    mixer = Mamba2(heads=8, head_width=64, state_size=128, groups=1, conv_kernel=4)
    assert attention_work(mixer) is None


@pytest.mark.requirement("FR-SPEED-MODEL")
@given(
    tokens=st.integers(1, 400), depth=st.integers(0, 400), window=st.sampled_from([inf, 7, 64, 300]),
    ratio=st.sampled_from([0, 4]),
)  # fmt: skip
def test_prefill_sums_over_the_queries(tokens: int, depth: int, window: float, ratio: int) -> None:
    """The closed form of causal attention is the sum over the queries, within one token each."""
    work = replace(ATTENTION, window=window, ratio=ratio, records=16)
    summed = sum(work.visible(depth + i + 0.5) for i in range(tokens))
    assert abs(work.prefill_flops(tokens, depth) / work.prefill_flops_per_token - summed) <= tokens
    assert isclose(work.prefill_scores(tokens, depth) * work.prefill_flops_per_token / 32,
                   work.prefill_flops(tokens, depth))  # fmt: skip


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_the_cache_type_is_the_plans() -> None:
    """K and V may differ; a type with blocks counts with its scales."""
    spec = shipped_model("meta-llama/Llama-3.2-1B-Instruct")
    options = {"cache_type_k": "q8_0", "cache_type_v": "q4_0"}
    made = plan(spec, engine="llama.cpp", options=options)
    assert cached_element_bytes(made) == (34 / 32, 18 / 32)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_heads_are_as_wide_as_their_keys_and_values() -> None:
    """128 in Llama 3, 64 in gpt-oss, 256 in Gemma 3; 0 where nothing attends."""
    widths = {name: work_of(shipped_model(name)).head_width for name in (
        "meta-llama/Meta-Llama-3-8B-Instruct", "openai/gpt-oss-20b", "google/gemma-3-4b-it",
    )}  # fmt: skip
    assert list(widths.values()) == [128.0, 64.0, 256.0]
    bare = replace(work_of(shipped_model("openai/gpt-oss-20b")), attention=())
    assert bare.head_width == 0.0
