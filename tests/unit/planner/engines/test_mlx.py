"""The MLX profile against hand-computed cache sizes."""

from functools import partial

import pytest

from hwledger.errors import UsageError
from hwledger.model.mixers import (
    ChunkedAttention,
    FullAttention,
    GatedDeltaNet,
    LatentAttention,
    Mixer,
    ShortConvolution,
    SlidingAttention,
)
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.engines.mlx import profile
from support import specs

FULL = FullAttention(query_heads=32, kv_heads=8, key_width=128, value_width=128)
SLIDING = SlidingAttention(query_heads=32, kv_heads=8, key_width=128, value_width=128, window=1024)
LATENT = LatentAttention(query_heads=16, latent_rank=512, rope_width=64, nope_width=128, value_width=128)
TOKEN = 2 * 8 * 128 * 2
memory = partial(specs.answer, profile)


def model(*mixers: Mixer, architecture: str = "llama") -> ModelSpec:
    """Return a model with one layer per mixer."""
    embedding = Tensor("embed.weight", (32000, 4096), Part.EMBEDDING)
    return specs.stack(
        *mixers, width=11008, architecture=architecture, vocab_size=32000, tensors=(embedding,)
    )


@pytest.mark.requirement("FR-PLAN-MLX")
def test_a_cache_grows_in_steps_of_256() -> None:
    """1000 tokens take the room of 1024, for each of the requests."""
    answer = memory(model(FULL, FULL), 1000, 3)
    assert [layer.kv_cache_bytes for layer in answer.layers] == [3 * 1024 * TOKEN] * 2
    assert answer.kv_cache_bytes_per_token == 2 * TOKEN
    assert answer.bytes_per_request == 2 * 1024 * TOKEN


@pytest.mark.requirement("FR-PLAN-MLX")
def test_a_sliding_window_is_a_rotating_cache() -> None:
    """The window bounds the cache, and a full window does not grow."""
    answer = memory(model(SLIDING, architecture="gemma3_text"), 8000)
    assert answer.layers[0].kv_cache_bytes == 1024 * TOKEN
    assert answer.kv_cache_bytes_per_token == 0


@pytest.mark.requirement("FR-PLAN-MLX")
def test_quantised_keys_and_values() -> None:
    """4 bits and a 16-bit scale and bias per 64 elements, once quantized_kv_start is reached."""
    per_head = 128 // 2 + 2 * 2 * 2
    assert memory(model(FULL), 8192, kv_bits=4).layers[0].kv_cache_bytes == 8192 * 8 * 2 * per_head
    assert memory(model(FULL), 8192, kv_cache="4bit").layers[0].kv_cache_bytes == 8192 * 8 * 2 * per_head
    early = memory(model(FULL), 4096, kv_bits=4)
    assert early.layers[0].kv_cache_bytes == 4096 * TOKEN
    assert "quantized_kv_start" in early.warnings[0]


@pytest.mark.requirement("FR-PLAN-MLX")
def test_what_mlx_cannot_quantise_is_refused() -> None:
    """Rotating caches have no quantised form, and a group must divide the head."""
    with pytest.raises(UsageError, match="rotating"):
        memory(model(FULL, SLIDING), 8192, kv_bits=8)
    narrow = FullAttention(query_heads=8, kv_heads=8, key_width=80, value_width=80)
    with pytest.raises(UsageError, match="kv_group_size"):
        memory(model(narrow), 8192, kv_bits=8)


@pytest.mark.requirement("FR-PLAN-MLX")
def test_caches_without_a_quantised_form_stay_as_they_are() -> None:
    """Chunked caches are left in 16 bits beside quantised full ones (Llama 4)."""
    chunked = ChunkedAttention(query_heads=32, kv_heads=8, key_width=128, value_width=128, chunk=8192)
    mixed = memory(model(chunked, FULL, architecture="llama4"), 8192, kv_bits=8).layers
    assert mixed[0].kv_cache_bytes == 8192 * TOKEN
    assert mixed[1].kv_cache_bytes == 8192 * 8 * 2 * (128 + 8)


@pytest.mark.requirement("FR-PLAN-MLX")
def test_latents_are_compressed_or_expanded_as_the_model_file_does() -> None:
    """deepseek_v3 caches 512 + 64 elements, deepseek_v2 caches 16 heads of 192 + 128."""
    compressed = memory(model(LATENT, architecture="deepseek_v3"), 256)
    expanded = memory(model(LATENT, architecture="deepseek_v2"), 256)
    assert compressed.layers[0].kv_cache_bytes == 256 * 576 * 2
    assert expanded.layers[0].kv_cache_bytes == 256 * 16 * (192 + 128) * 2


@pytest.mark.requirement("FR-PLAN-MLX")
def test_states_do_not_depend_on_the_context() -> None:
    """A delta net keeps a float32 state and three 16-bit taps; a short convolution only its taps."""
    net = GatedDeltaNet(key_heads=16, value_heads=32, key_width=128, value_width=128, conv_kernel=4)
    short, long = (memory(model(net, architecture="qwen3_next"), n).layers[0] for n in (256, 65536))
    assert short == long
    assert short.state_bytes == 32 * 128 * 128 * 4 + 3 * (2 * 16 * 128 + 32 * 128) * 2
    conv = ShortConvolution(channels=2048, conv_kernel=3)
    assert memory(model(conv, architecture="lfm2"), 256).layers[0].state_bytes == 2 * 2048 * 2


@pytest.mark.requirement("FR-PLAN-MLX")
def test_max_kv_size_counts_only_where_the_model_builds_no_cache() -> None:
    """qwen3 takes it; llama builds its own caches and says so."""
    assert memory(model(FULL, architecture="qwen3"), 8192, max_kv_size=1000).layers[0].kv_cache_bytes == (
        1000 * TOKEN
    )
    ignored = memory(model(FULL, architecture="llama"), 8192, max_kv_size=1000)
    assert ignored.layers[0].kv_cache_bytes == 8192 * TOKEN
    assert "max_kv_size does nothing" in ignored.warnings[0]


@pytest.mark.requirement("FR-PLAN-MLX")
def test_an_unknown_architecture_is_planned_and_said() -> None:
    """No model file: planned from the layers, with a warning."""
    assert "no model file" in memory(model(FULL, architecture="brand_new"), 256).warnings[0]


@pytest.mark.requirement("FR-PLAN-MLX")
def test_several_devices_are_one_device_and_a_warning() -> None:
    """Everything is planned on the first device, and that is said."""
    answer = memory(model(FULL), devices="M4 16GB, M4 24GB")
    assert {component.place for component in answer.components} == {0}
    assert "one device" in answer.warnings[0]


@pytest.mark.requirement("FR-PLAN-MLX", "NFR-BAD-INPUT")
def test_wrong_requests_are_refused() -> None:
    """An unknown cache type, an unknown or absurd version."""
    with pytest.raises(UsageError, match="q3_K"):
        memory(model(FULL), 8192, kv_cache="q3_K")
    for version in ("", "b123", "0.1.0", "x" * 1000):
        with pytest.raises(UsageError):
            profile.check_version(version)
    assert profile.check_version("v0.32.2.dev0") == "0.32.2"
