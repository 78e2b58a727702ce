"""Layers, states and tensors of GGUF headers."""

import pytest

from hwledger.errors import MalformedError
from hwledger.model.mixers import (
    ChunkedAttention,
    FullAttention,
    GatedDeltaNet,
    LatentAttention,
    Mamba1,
    Mamba2,
    Rwkv,
    ShortConvolution,
    SlidingAttention,
)
from hwledger.model.tensors import Part
from support.gguf_models import LLAMA_8B, decoder_tensors, model

BASE = {
    "block_count": 12, "embedding_length": 512, "feed_forward_length": 1024, "vocab_size": 100,
    "attention.head_count": 8, "attention.head_count_kv": 2, "attention.key_length": 64,
}  # fmt: skip


def kinds(architecture: str, **keys: object) -> str:
    """Return one letter per layer: the first of its kind."""
    stated = {name.replace("__", "."): value for name, value in keys.items()}
    return "".join(layer.kind[0] for layer in model(architecture, {**BASE, **stated}).layers)


@pytest.mark.requirement("FR-PLAN-LAYERS", "FR-PLAN-SOURCES")
@pytest.mark.parametrize(
    ("architecture", "keys", "expected"),
    [
        ("llama", {"attention__sliding_window": 512}, "f" * 12),
        ("phi3", {"attention__sliding_window": 512}, "f" * 12),
        ("gemma2", {}, "sf" * 6),
        ("gemma3", {"attention__sliding_window": 512}, "sssssf" * 2),
        ("gemma3", {}, "f" * 12),
        ("gpt-oss", {"attention__sliding_window": 128}, "sf" * 6),
        ("cohere2", {"attention__sliding_window": 128}, "sssf" * 3),
        ("cohere2moe", {"attention__sliding_window": 128}, "fsss" * 3),
        ("olmo2", {"attention__sliding_window": 128}, "sssf" * 3),
        ("plamo3", {"attention__sliding_window": 128}, "sssssssfssss"),
        ("exaone4", {"attention__sliding_window": 128}, "f" * 12),
        ("llama4", {}, "cccf" * 3),
        ("llama4", {"attention__sliding_window": 0}, "f" * 12),
        ("gemma3", {"attention__sliding_window": 512, "attention__sliding_window_pattern": 3}, "ssf" * 4),
        (
            "mimo2",
            {"attention__sliding_window": 8, "attention__sliding_window_pattern": [True, False] * 6},
            "sf" * 6,
        ),
    ],
)
def test_sliding_layers(architecture: str, keys: dict[str, object], expected: str) -> None:
    """Each architecture's own default says which layers slide, and the file's pattern wins over it."""
    assert kinds(architecture, **keys) == expected


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_windows_that_ignore_the_file() -> None:
    """Llama 4 chunks 8192 tokens and SmallThinker slides over 4096, whatever the file states."""
    chunked = model("llama4", BASE).layers[0].mixers[0]
    sliding = model("smallthinker", {**BASE, "attention.sliding_window": 7}).layers[1].mixers[0]
    assert isinstance(chunked, ChunkedAttention)
    assert isinstance(sliding, SlidingAttention)
    assert (chunked.chunk, sliding.window) == (8192, 4096)


@pytest.mark.requirement("FR-PLAN-STATE", "FR-PLAN-LAYERS")
def test_states() -> None:
    """The kind of state follows from the keys, and its elements are llama.cpp's rows."""
    ssm = {"ssm.conv_kernel": 4, "ssm.inner_size": 1024, "ssm.state_size": 16, "ssm.time_step_rank": 8}
    mamba1 = model("mamba", {**BASE, **ssm, "attention.head_count": 0}).layers[0].mixers[0]
    hybrid = model("falcon-h1", {**BASE, **ssm, "ssm.group_count": 2}).layers[0]
    delta = model("qwen3next", {**BASE, **ssm, "ssm.group_count": 4}).layers
    rwkv = model("rwkv7", {**BASE, "attention.head_count": 0, "wkv.head_size": 64}).layers[0].mixers[0]
    assert isinstance(mamba1, Mamba1)
    assert (mamba1.conv_elements(), mamba1.state_elements()) == (3 * 1024, 16 * 1024)
    assert [type(mixer) for mixer in hybrid.mixers] == [FullAttention, Mamba2]
    assert hybrid.kind == "hybrid"
    assert "".join(layer.kind[0] for layer in delta) == "lllf" * 3
    assert isinstance(delta[0].mixers[0], GatedDeltaNet)
    assert delta[0].mixers[0].conv_elements() == 3 * (1024 + 2 * 4 * 16)
    assert isinstance(rwkv, Rwkv)
    assert (rwkv.conv_elements(), rwkv.state_elements()) == (2 * 512, 512 * 64)


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_hybrids_by_kv_heads() -> None:
    """A layer of a hybrid without KV heads is recurrent; Nemotron-H's feed-forward layers are neither."""
    heads = [0, 0, 2] * 4
    lfm2 = model("lfm2", {**BASE, "attention.head_count_kv": heads, "shortconv.l_cache": 3})
    assert "".join(layer.kind[0] for layer in lfm2.layers) == "ccf" * 4
    assert isinstance(lfm2.layers[0].mixers[0], ShortConvolution)
    ssm = {"ssm.conv_kernel": 4, "ssm.inner_size": 1024, "ssm.state_size": 16, "ssm.time_step_rank": 8}
    nemotron = model(
        "nemotron_h",
        {**BASE, **ssm, "ssm.group_count": 2, "attention.head_count_kv": heads,
         "feed_forward_length": [0, 1024, 0] * 4},
    )  # fmt: skip
    assert "".join(layer.kind[0] for layer in nemotron.layers) == "lmf" * 4


@pytest.mark.requirement("FR-PLAN-LAYERS", "FR-PLAN-KV")
def test_latent_attention_with_and_without_its_keys() -> None:
    """With MLA keys one latent is cached; a file without them holds every head's key and value."""
    latent = {"attention.kv_lora_rank": 512, "rope.dimension_count": 64}
    absorbed = {
        "attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512,
        "attention.key_length_mla": 192, "attention.value_length_mla": 128,
    }  # fmt: skip
    expanded = {"attention.head_count_kv": 8, "attention.key_length": 192, "attention.value_length": 128}
    one = model("deepseek2", {**BASE, **latent, **absorbed}).layers[0].mixers[0]
    other = model("deepseek2", {**BASE, **latent, **expanded}).layers[0].mixers[0]
    assert isinstance(one, LatentAttention)
    assert isinstance(other, LatentAttention)
    assert (one.elements_per_token, one.expanded) == (576, False)
    assert (other.expanded_key_width, other.value_width, other.expanded) == (192, 128, True)


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_shared_caches_and_mtp_blocks() -> None:
    """Gemma 4's last layers read an earlier cache of their kind; MTP blocks are apart."""
    pattern = [True, True, False] * 4
    gemma = model(
        "gemma4",
        {**BASE, "attention.sliding_window": 8, "attention.sliding_window_pattern": pattern,
         "attention.shared_kv_layers": 6, "attention.key_length_swa": 32},
    )  # fmt: skip
    sharing = [getattr(layer.mixers[0], "shares_cache_of", None) for layer in gemma.layers]
    assert sharing == [None] * 6 + [4, 4, 5, 4, 4, 5]
    glm = model("glm4moe", {**BASE, "nextn_predict_layers": 1})
    assert (len(glm.layers), len(glm.mtp_layers)) == (11, 1)


@pytest.mark.requirement("FR-PLAN-SOURCES", "FR-PLAN-PARAMETERS", "FR-PLAN-WEIGHTS")
def test_tensors() -> None:
    """Tensors get part, layer and bytes; the 8B Llama counts 8,030,261,248 parameters."""
    spec = model("llama", LLAMA_8B, decoder_tensors(LLAMA_8B, tied=False))
    assert spec.census.total == 8_030_261_248
    assert sum(one.stored_bytes or 0 for one in spec.tensors) == 4_653_375_488
    assert {one.part for one in spec.tensors} == {
        Part.EMBEDDING, Part.LM_HEAD, Part.NORM, Part.ATTENTION, Part.MLP,
    }  # fmt: skip
    assert not spec.tied_embeddings
    assert spec.exact_tensors


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_metadata_alone() -> None:
    """Without tensors the layers are known and the weights are said to be unknown."""
    spec = model("llama", LLAMA_8B)
    assert len(spec.layers) == 32
    assert "weights are unknown" in spec.unknowns[0]


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "keys",
    [
        {"block_count": 0},
        {"embedding_length": "wide"},
        {"block_count": -3},
        {"attention.head_count_kv": [1, 2]},
        {"attention.key_length": 2.5},
    ],
)
def test_contradictions(keys: dict[str, object]) -> None:
    """A header that contradicts itself is refused with a sentence."""
    with pytest.raises(MalformedError, match=r"llama\.gguf"):
        model("llama", {**BASE, **keys})
