"""Towers and wrappers against counts made by hand, and against small models built by transformers 5.23."""

from typing import Any

import pytest

from hwledger.library.config import read_config
from hwledger.model.mixers import CrossAttention, FullAttention, SlidingAttention
from hwledger.model.tensors import Part

TEXT: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 48, "image_size": 56, "intermediate_size": 96, "num_attention_heads": 4,
    "num_hidden_layers": 5, "patch_size": 14,
}  # fmt: skip
CLIP = {**VISION, "model_type": "clip_vision_model"}
SIGLIP = {**VISION, "model_type": "siglip_vision_model", "vision_use_head": False}
PIXTRAL = {**VISION, "model_type": "pixtral"}
INTERN = {**VISION, "model_type": "internvl_vision", "image_size": [56, 56], "patch_size": [14, 14]}
QWEN = {**TEXT, "model_type": "qwen2"}

# Totals as transformers 5.23.0 builds these small models.
TOTALS = [
    ({"model_type": "llava", "text_config": TEXT, "vision_config": CLIP}, 255216),
    ({"model_type": "llava", "text_config": TEXT, "vision_config": CLIP, "vision_feature_layer": [-2, -1],
      "multimodal_projector_bias": False, "tie_word_embeddings": True}, 251760),
    ({"model_type": "llava_next_video", "text_config": TEXT, "vision_config": CLIP}, 255280),
    ({"model_type": "llava_onevision", "text_config": QWEN, "vision_config": SIGLIP}, 255520),
    ({"model_type": "mistral3", "text_config": {**TEXT, "model_type": "mistral", "head_dim": 32},
      "vision_config": PIXTRAL}, 314688),
    ({"model_type": "internvl", "text_config": QWEN, "vision_config": INTERN}, 258416),
    ({"model_type": "idefics3", "text_config": TEXT,
      "vision_config": {**VISION, "model_type": "idefics3_vision"}}, 260064),
    ({"model_type": "bart", "architectures": ["BartForConditionalGeneration"]}, 406291456),
    ({"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "encoder_layers": 3,
      "decoder_layers": 5, "num_mel_bins": 128, "vocab_size": 51866}, 38408064),
    ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, 60506624),
    ({"model_type": "bert", "architectures": ["BertModel"]}, 109482240),
    ({"model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"]}, 149655232),
]  # fmt: skip


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(("raw", "expected"), TOTALS, ids=[case[0]["model_type"] for case in TOTALS])
def test_totals(raw: dict[str, Any], expected: int) -> None:
    """Text model, tower and projector together count as many parameters as transformers builds."""
    assert read_config(raw).census.total == expected


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_clip_by_hand() -> None:
    """CLIP's tower and LLaVA's projector are counted apart from the text model, outside its layers."""
    spec = read_config({"model_type": "llava", "text_config": TEXT, "vision_config": CLIP})
    layer = 4 * (48 * 48 + 48) + (96 * 48 + 96) + (48 * 96 + 48) + 4 * 48
    tower = 48 + 48 * 3 * 14 * 14 + (16 + 1) * 48 + 5 * layer + 2 * (2 * 48)
    projector = 64 * 48 + 64 + 64 * 64 + 64
    assert spec.census.by_part[Part.TOWER] == tower + projector
    assert all(tensor.layer is None for tensor in spec.tensors if tensor.part is Part.TOWER)


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_gemma4_shares_caches() -> None:
    """The last layers of Gemma 4 read the cache of the last own layer of their kind."""
    raw = {
        "model_type": "gemma4_text", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 12,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 32,
        "vocab_size": 100, "vocab_size_per_layer_input": 100, "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 5, "use_double_wide_mlp": True,
    }  # fmt: skip
    spec = read_config(raw)
    mixers = [layer.mixers[0] for layer in spec.layers]
    shared = [m.shares_cache_of for m in mixers if isinstance(m, FullAttention | SlidingAttention)]
    assert shared == [None] * 7 + [6, 6, 6, 6, 5]
    assert [layer.kind for layer in spec.layers].count("full_attention") == 2
    assert spec.census.total == 603944


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_cross_attention() -> None:
    """A Whisper decoder layer attends to itself and to 1,500 frames; the encoder keeps no cache."""
    spec = read_config({"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]})
    own, cross = spec.layers[0].mixers
    assert isinstance(own, FullAttention)
    assert isinstance(cross, CrossAttention)
    assert cross.source_tokens == 1500
    assert (len(spec.layers), len(spec.encoder_layers)) == (4, 4)


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_encoders_keep_nothing() -> None:
    """BERT has encoder layers and no decoder layers."""
    spec = read_config({"model_type": "bert"})
    assert (len(spec.layers), len(spec.encoder_layers)) == (0, 12)


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_unknown_wrapper_is_said() -> None:
    """A wrapper that is not listed is planned by its text model; its towers are said to be missing."""
    spec = read_config({"model_type": "new_vl", "text_config": TEXT, "vision_config": VISION})
    plain = read_config(TEXT)
    assert spec.census.total == plain.census.total
    assert any("towers" in sentence for sentence in spec.unknowns)
