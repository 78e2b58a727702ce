"""The closed forms of llama.cpp's compute buffers, by hand."""

import pytest

from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import FullAttention, SlidingAttention
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.llama_cpp.compute import (
    AttentionGraph,
    FeedForwardGraph,
    GraphShape,
    LayerGraph,
    Offload,
    Placement,
    estimate_compute,
    graph_of_model,
)
from hwledger.planner.engines.llama_cpp.context import Wanted, resolve
from hwledger.units import MIB

CLASSIC = 11063
MIXED = 11549
BYTES = 4 * 512


def llama(**changes: object) -> GraphShape:
    """Return the graph of Llama-3.1-8B at 4096 tokens, 512 at once, one output."""
    attention = AttentionGraph(heads=32, query=4096, output=4096, key=1024, value=1024, cells=4096)
    layer = LayerGraph(attention=attention, feed_forward=(FeedForwardGraph(width=14336),))
    fields: dict[str, object] = {
        "n_vocab": 128256, "n_embd": 4096, "layers": (layer,), "cells": (4096,),
        "n_tokens": 512, "n_outputs": 1,
    }  # fmt: skip
    return GraphShape(**{**fields, **changes})  # type: ignore[arg-type]


def experts() -> GraphShape:
    """Return the graph of Qwen3-30B-A3B in the same context."""
    attention = AttentionGraph(heads=32, query=4096, output=4096, key=512, value=512, cells=4096)
    routed = FeedForwardGraph(width=8 * 768, experts_used=8)
    layer = LayerGraph(attention=attention, feed_forward=(routed,))
    return llama(n_vocab=151936, n_embd=2048, layers=(layer,))


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_feed_forward_is_the_widest_point_with_flash_attention() -> None:
    """Gate, up, product (3 x 14336), two hidden vectors, the queries, an f16 mask and five indices."""
    found = estimate_compute(llama(), build=CLASSIC)
    assert found.devices[0].size_bytes == (3 * 14336 + 2 * 4096 + 4096 + 4096 // 2 + 5) * BYTES
    assert found.host.size_bytes == (2 * 4096 + 2048 + 6) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_mixed_batches_keep_four_hidden_vectors() -> None:
    """From b11549 on four hidden vectors lie beside the block, and four on the host."""
    found = estimate_compute(llama(), build=MIXED)
    assert found.devices[0].size_bytes == (3 * 14336 + 4 * 4096 + 2048 + 7) * BYTES
    assert found.host.size_bytes == (4 * 4096 + 2048 + 9) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_scores_are_the_widest_point_without_flash_attention() -> None:
    """Scores of 32 heads, an f32 mask, queries twice, hidden twice, and an index per V element."""
    found = estimate_compute(llama(flash_attention=False), build=CLASSIC)
    scores, mask, indices = 4096 * 32, 4096, 1 + 2 + 2 * 1024
    assert found.devices[0].size_bytes == (scores + mask + 4 * 4096 + indices) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_logits_of_all_tokens_are_wider_than_any_layer() -> None:
    """Logits and the hidden vectors they come from, for all 512 tokens."""
    found = estimate_compute(llama(n_outputs=512), build=CLASSIC)
    assert found.devices[0].size_bytes == (128256 + 4096) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_expert_results_lie_behind_a_narrow_block() -> None:
    """Eight results of 2048 do not fit over gate and up (2 x 6144), so they come on top of 3 x 6144."""
    found = estimate_compute(experts(), build=MIXED)
    assert found.devices[0].size_bytes == (3 * 6144 + 8 * 2048 + 4 * 2048 + 2048 + 7) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_cpu_holds_one_hidden_vector_more() -> None:
    """Without a device the graph is the host's, with five hidden vectors; nothing is on a device."""
    found = estimate_compute(llama(), Placement(devices=0), MIXED)
    assert found.devices == ()
    assert found.host.size_bytes == (3 * 14336 + 5 * 4096 + 2048 + 7) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "FR-PLAN-DEVICES")
def test_pipeline_parallelism_keeps_four_copies_of_inputs() -> None:
    """Three more copies of mask and indices; hidden inputs four times, twice that behind the first."""
    one = estimate_compute(llama(), build=CLASSIC).devices[0].size_bytes
    three = estimate_compute(llama(), Placement(devices=3), CLASSIC)
    copies = 3 * (2048 + 5) * BYTES
    assert three.devices[0].size_bytes == one + copies + 4 * 4096 * BYTES
    assert three.devices[1].size_bytes == one + copies + 8 * 4096 * BYTES
    assert three.host.size_bytes == (2 * 4096 + 4 * (2048 + 6)) * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "FR-PLAN-DEVICES")
def test_no_layer_on_the_device_still_copies_the_output_matrix() -> None:
    """Qwen3-14B Q8_0 at ngl 0 on a real card: 788.2 MiB of matrix and 306.8 MiB of logits = 1094.99 MiB."""
    shape = llama(n_vocab=151936, n_embd=5120, n_outputs=512)
    matrix = 151936 * 5120 // 32 * 34
    found = estimate_compute(shape, Placement(offload=Offload.NONE, output_bytes=matrix), CLASSIC)
    assert found.devices[0].size_bytes / MIB == pytest.approx(1094.99, abs=0.1)


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "FR-PLAN-DEVICES")
def test_experts_on_the_host_add_a_copy_of_one_tensor() -> None:
    """The largest tensor that stays behind is copied whole, for batches of 32 tokens and more."""
    plain = estimate_compute(experts(), build=CLASSIC).devices[0].size_bytes
    kept = Placement(copied_bytes=100 * MIB, overrides=True)
    assert estimate_compute(experts(), kept, CLASSIC).devices[0].size_bytes == plain + 100 * MIB
    off = Placement(copied_bytes=100 * MIB, overrides=True, op_offload=False)
    assert estimate_compute(experts(), off, CLASSIC).devices[0].size_bytes == plain


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_early_builds_keep_an_f32_mask() -> None:
    """A real log, b8211, Qwen3-1.7B at 40,960 tokens: 300 MiB on the device, 88 MiB on the host, cut."""
    attention = AttentionGraph(heads=16, query=2048, output=2048, key=1024, value=1024, cells=40960)
    layer = LayerGraph(attention=attention, feed_forward=(FeedForwardGraph(width=6144),))
    shape = llama(n_vocab=151936, n_embd=2048, layers=(layer,), cells=(40960,), n_outputs=512)
    found = estimate_compute(shape, build=8211)
    assert found.devices[0].size_bytes // MIB == 300
    assert found.host.size_bytes // MIB == 84 + 4


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_builds_between_two_measured_ones_span_both() -> None:
    """Between b11063 and b11549 the interval covers either graph."""
    between = estimate_compute(llama(), build=11434).devices[0]
    older, newer = (estimate_compute(llama(), build=build).devices[0] for build in (CLASSIC, MIXED))
    assert between.low_bytes == older.low_bytes
    assert between.high_bytes == newer.high_bytes
    assert between.size_bytes == newer.size_bytes


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_a_model_becomes_its_graph() -> None:
    """Layers of a kind appear once; a window has a cache of its own, padded to 256 cells."""
    full = FullAttention(query_heads=16, kv_heads=8, key_width=256, value_width=256)
    slide = SlidingAttention(query_heads=16, kv_heads=8, key_width=256, value_width=256, window=1024)
    mlp = DenseMLP(width=15360)
    layers = tuple(
        LayerSpec(
            index=index, kind="full_attention", mixers=(full if index % 6 == 5 else slide,), channel=mlp
        )
        for index in range(12)
    )
    spec = ModelSpec(
        id="m", architecture="gemma3", source="test", format="config", hidden_size=3840, vocab_size=262208,
        context_length=131072, number_type="bf16", layers=layers,
    )  # fmt: skip
    f16 = number_type("f16")
    context = resolve(Wanted(n_ctx=4096, type_k=f16, type_v=f16), CLASSIC)
    shape = graph_of_model(spec, context)
    assert shape.cells == (4096, 1536)
    assert len(shape.layers) == 2
    assert shape.layers[1].attention == AttentionGraph(
        heads=16, query=4096, output=4096, key=2048, value=2048, cells=4096
    )
    expected = 3 * 15360 + 2 * 3840 + 4096 + (4096 + 1536) // 2 + 9
    assert estimate_compute(shape, build=CLASSIC).devices[0].size_bytes == expected * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_routed_and_shared_experts_are_blocks_of_their_own() -> None:
    """A routed block of used x width and a shared one; neither adds to the other."""
    full = FullAttention(query_heads=28, kv_heads=4, key_width=128, value_width=128)
    channel = MixtureOfExperts(experts=64, active_experts=8, expert_width=2560, shared_width=20480)
    layer = LayerSpec(index=0, kind="full_attention", mixers=(full,), channel=channel)
    spec = ModelSpec(
        id="m", architecture="qwen2moe", source="test", format="config", hidden_size=3584, vocab_size=151936,
        context_length=32768, number_type="bf16", layers=(layer,),
    )  # fmt: skip
    f16 = number_type("f16")
    shape = graph_of_model(spec, resolve(Wanted(n_ctx=4096, type_k=f16, type_v=f16), MIXED))
    assert shape.layers[0].feed_forward == (
        FeedForwardGraph(width=20480, experts_used=8),
        FeedForwardGraph(width=20480),
    )
    expected = 3 * 20480 + 4 * 3584 + 2048 + 7
    assert estimate_compute(shape, build=MIXED).devices[0].size_bytes == expected * BYTES


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_logs_of_several_years_are_met() -> None:
    """Host buffers in real logs: Qwen3-14B in 2025 18.01 MiB, Llama-3-8B in 2024 9.01 MiB."""
    qwen = llama(n_vocab=151936, n_embd=5120, flash_attention=False)
    old = llama(cells=(512,), flash_attention=False)
    assert estimate_compute(qwen, build=5000).host.size_bytes / MIB == pytest.approx(18.01, abs=0.01)
    assert estimate_compute(old, build=2500).host.size_bytes / MIB == pytest.approx(9.01, abs=0.01)


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_logits_on_the_cpu_keep_two_hidden_vectors() -> None:
    """A real log of 2026, Gemma-2-2B on the CPU at 8192 tokens: 509.00 MiB."""
    attention = AttentionGraph(heads=8, query=2048, output=2048, key=1024, value=1024, cells=8192)
    layer = LayerGraph(attention=attention, feed_forward=(FeedForwardGraph(width=9216),))
    shape = llama(n_vocab=256000, n_embd=2304, layers=(layer,), cells=(8192, 8192), n_outputs=512)
    found = estimate_compute(shape, Placement(devices=0), CLASSIC)
    assert found.host.size_bytes == 509 * MIB


@pytest.mark.requirement("FR-PLAN-LLAMACPP")
def test_unmeasured_structures_have_a_wider_interval() -> None:
    """A model with parallel blocks holds one hidden vector more and says that it was not measured."""
    plain = estimate_compute(llama(), build=MIXED).devices[0]
    layer = LayerGraph(
        attention=llama().layers[0].attention, feed_forward=llama().layers[0].feed_forward, parallel=True
    )
    found = estimate_compute(llama(layers=(layer,)), build=MIXED).devices[0]
    assert found.size_bytes == plain.size_bytes + 4096 * BYTES
    assert "widened" in found.source
    assert found.high_bytes - found.low_bytes > 5 * (plain.high_bytes - plain.low_bytes)
