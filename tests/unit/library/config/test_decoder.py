"""The common decoder: each trait adds the parameters that it should, counted by hand."""

from typing import Any

import pytest

from hwledger.errors import MalformedError
from hwledger.library.config import read_config
from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.mixers import FullAttention, SlidingAttention

TINY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
    "tie_word_embeddings": False,
}
# Per layer: q 8x8, k and v 4x8 each, o 8x8, three MLP matrices of 8x20, two norms of 8.
LAYER = 64 + 32 + 32 + 64 + 3 * 160 + 16
TOTAL = 2 * LAYER + 2 * 80 + 8


def total(**changes: Any) -> int:
    """Return the count of the tiny model with some keys changed."""
    return read_config({**TINY, **changes}).census.total


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_llama_is_counted_by_hand() -> None:
    """The plain decoder has embedding, output matrix, two layers and a final norm."""
    census = read_config(TINY).census
    assert census.total == census.active == TOTAL
    assert census.by_layer == (LAYER, LAYER)
    assert census.embedding == 80


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"tie_word_embeddings": True}, -80),
        ({"attention_bias": True}, 2 * (8 + 4 + 4 + 8)),
        ({"mlp_bias": True}, 2 * (20 + 20 + 8)),
        ({"head_dim": 4}, 2 * (64 + 32 + 32 + 64)),
        ({"num_key_value_heads": 4}, 2 * (32 + 32)),
        ({"model_type": "qwen2"}, 2 * (8 + 4 + 4)),
        ({"model_type": "qwen3", "head_dim": 2}, 2 * (2 + 2)),
        ({"model_type": "olmo2"}, 2 * (8 + 4)),
        ({"model_type": "gemma2", "head_dim": 2}, 2 * (8 + 8)),
        ({"model_type": "olmo"}, -(2 * 16 + 8)),
        ({"model_type": "cohere"}, -2 * 8),
        ({"model_type": "arcee"}, -2 * 160),
        ({"model_type": "jais2", "head_dim": 2}, -2 * 160 + 2 * (16 + 24 + 28) + 8),
        ({"model_type": "granite_swa"}, 2 * 4),
    ],
)
def test_each_trait_adds_its_parameters(changes: dict[str, Any], more: int) -> None:
    """Ties, biases, widths, query-key norms, four norms, no norms, one norm, no gate, sinks."""
    assert total(**changes) == TOTAL + more


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_gpt2_has_learned_positions_and_biases() -> None:
    """GPT-2: fused attention, plain MLP of four hidden sizes, LayerNorms, tied embedding."""
    raw = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "n_positions": 16, "vocab_size": 10}
    spec = read_config(raw)
    layer = (24 * 8 + 24) + (64 + 8) + (32 * 8 + 32) + (8 * 32 + 8) + 2 * 16
    assert spec.census.total == 80 + 128 + layer + 16
    assert spec.tied_embeddings
    assert spec.rope_tables == ()
    assert "transformer.h.0.attn.c_attn.weight" in {tensor.name for tensor in spec.tensors}


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_opt_positions_start_two_rows_early() -> None:
    """OPT keeps two rows before the first position, and a narrow embedding is projected."""
    raw = {
        "model_type": "opt", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
        "ffn_dim": 16, "max_position_embeddings": 4, "vocab_size": 10,
    }  # fmt: skip
    layer = 4 * 72 + (128 + 16) + (128 + 8) + 2 * 16
    assert read_config(raw).census.total == 80 + 6 * 8 + layer + 16
    narrow = read_config({**raw, "word_embed_proj_dim": 4}).census.total
    assert narrow == 40 + 2 * 32 + 6 * 8 + layer + 16


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_experts_are_resident_and_partly_active() -> None:
    """Four experts of which one is used, one shared expert, a dense first layer."""
    moe = {"n_routed_experts": 4, "num_experts_per_tok": 1, "n_shared_experts": 1, "moe_intermediate_size": 5}
    spec = read_config({**TINY, **moe, "model_type": "deepseek", "first_k_dense_replace": 1})
    expert = 3 * 8 * 5
    sparse = LAYER - 480 + 4 * 8 + 4 * expert + expert
    assert spec.census.by_layer == (LAYER, sparse)
    assert spec.census.active_by_layer == (LAYER, sparse - 3 * expert)
    assert isinstance(spec.layers[0].channel, DenseMLP)
    assert isinstance(spec.layers[1].channel, MixtureOfExperts)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(
    ("flags", "norms", "kv_heads"),
    [
        ({}, 1, 1),
        ({"parallel_attn": False}, 2, 1),
        ({"multi_query": False}, 1, 4),
        ({"new_decoder_architecture": True, "num_kv_heads": 2}, 2, 2),
        ({"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}, 1, 2),
    ],
)
def test_falcon_flags_decide_norms_and_heads(flags: dict[str, Any], norms: int, kv_heads: int) -> None:
    """The 7B, 40B and 11B designs differ by flags alone."""
    raw = {"model_type": "falcon", "hidden_size": 8, "num_attention_heads": 4, "num_hidden_layers": 1,
           "vocab_size": 10, **flags}  # fmt: skip
    spec = read_config(raw)
    attention = 8 * 2 * (4 + 2 * kv_heads) + 64
    assert spec.census.total == 80 + attention + 2 * 8 * 32 + norms * 16 + 16
    mixer = spec.layers[0].mixers[0]
    assert isinstance(mixer, FullAttention)
    assert mixer.kv_heads == kv_heads


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_nemotron_nas_layers_may_lack_attention() -> None:
    """Each block states its own KV heads and MLP width; a no-op has neither norm nor cache."""
    blocks = [
        {"attention": {"n_heads_in_group": 4}, "ffn": {"intermediate_size": 20}},
        {"attention": {"no_op": True}, "ffn": {"intermediate_size": 10}},
    ]
    spec = read_config({**TINY, "model_type": "nemotron-nas", "block_configs": blocks})
    first = 64 + 16 + 16 + 64 + 480 + 16
    assert spec.census.by_layer == (first, 240 + 8)
    assert [len(layer.mixers) for layer in spec.layers] == [1, 0]


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_sliding_layers_may_have_their_own_geometry() -> None:
    """MiMo-V2: other KV heads and widths on sliding layers, values narrower than keys, sinks there."""
    raw = {**TINY, "model_type": "mimo_v2_flash", "hybrid_layer_pattern": [0, 1], "sliding_window": 7,
           "head_dim": 6, "v_head_dim": 4, "swa_num_key_value_heads": 4, "swa_head_dim": 6,
           "swa_v_head_dim": 4, "n_routed_experts": 2, "num_experts_per_tok": 1,
           "moe_intermediate_size": 5}  # fmt: skip
    spec = read_config(raw)
    full, sliding = (layer.mixers[0] for layer in spec.layers)
    assert isinstance(full, FullAttention)
    assert isinstance(sliding, SlidingAttention)
    assert (full.kv_heads, full.key_width, full.value_width) == (2, 6, 4)
    assert (sliding.kv_heads, sliding.window) == (4, 7)


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_an_unlisted_type_is_read_and_said_so() -> None:
    """A model_type without a row is planned from its keys and named among the unknowns."""
    spec = read_config({**TINY, "model_type": "brand_new"})
    assert spec.census.total == TOTAL
    assert any("brand_new" in line for line in spec.unknowns)
    assert not read_config(TINY).unknowns


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_rotary_tables_follow_the_rotating_share() -> None:
    """A quarter of a head of 16 rotates: a table of four elements per position."""
    raw = {**TINY, "head_dim": 16, "partial_rotary_factor": 0.25, "max_position_embeddings": 32}
    assert read_config(raw).rope_tables == ((32, 4),)


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", -8),
        ("hidden_size", float("nan")),
        ("hidden_size", "8"),
        ("hidden_size", True),
        ("hidden_size", [8]),
        ("vocab_size", 10**18),
        ("num_hidden_layers", 10**18),
        ("num_hidden_layers", 2.5),
        ("num_attention_heads", 3),
        ("num_attention_heads", 16),
        ("num_key_value_heads", 8),
        ("num_key_value_heads", 3),
        ("num_key_value_heads", 0),
        ("head_dim", -1),
        ("intermediate_size", {}),
        ("attention_bias", "yes"),
        ("layer_types", ["full_attention"]),
        ("layer_types", ["full_attention"] * 3),
        ("layer_types", [1, 2]),
        ("partial_rotary_factor", 7),
    ],
)
def test_a_bad_value_names_its_key(key: str, value: object) -> None:
    """Absurd, mistyped and contradictory values end in a sentence with the key."""
    with pytest.raises(MalformedError, match=key):
        read_config({**TINY, "max_position_embeddings": 32, key: value})


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_experts_per_tok", 5),
        ("num_experts_per_tok", 0),
        ("moe_intermediate_size", -1),
        ("mlp_only_layers", "all"),
        ("moe_layer_freq", 0),
        ("moe_layer_freq", [1]),
    ],
)
def test_bad_experts_name_their_key(key: str, value: object) -> None:
    """More active experts than there are, and unusable lists, are refused."""
    moe = {"model_type": "brand_new", "num_experts": 4, "num_experts_per_tok": 2}
    with pytest.raises(MalformedError, match=key):
        read_config({**TINY, **moe, key: value})


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_mtp_heads_are_kept_apart() -> None:
    """A head is a layer, a projection of twice the width, three norms, and copies where GLM has them."""
    raw = {**TINY, "num_nextn_predict_layers": 1}
    plain = read_config({**raw, "model_type": "mimo"})
    assert plain.census.total == TOTAL
    assert plain.census.mtp == LAYER + 2 * 64 + 24
    copies = read_config({**raw, "model_type": "glm4_moe", "num_experts": None, "n_routed_experts": 2,
                          "num_experts_per_tok": 1, "moe_intermediate_size": 20})  # fmt: skip
    sparse = LAYER - 480 + 16 + 2 * 480 + 480
    assert copies.census.mtp == sparse + 2 * 64 + 24 + 2 * 80
    assert any("MTP" in line for line in read_config(raw).unknowns)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(
    ("raw", "total"),
    [
        # Published checkpoints, counts from their safetensors headers less MTP, buffers and scales.
        ({"model_type": "chatglm", "add_bias_linear": False, "add_qkv_bias": True, "ffn_hidden_size": 13696,
          "hidden_size": 4096, "kv_channels": 128, "multi_query_attention": True, "multi_query_group_num": 2,
          "num_attention_heads": 32, "num_layers": 28, "padded_vocab_size": 65024,
          "tie_word_embeddings": False}, 6_243_584_000),
        ({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "vocab_size": 100352,
          "attn_config": {"kv_n_heads": 8}, "tie_word_embeddings": False,
          "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}}, 131_596_523_520),
        ({"model_type": "bloom", "n_embed": 14336, "n_layer": 70, "n_head": 112, "vocab_size": 250880},
         176_247_271_424),
        ({"model_type": "exaone", "hidden_size": 4096, "intermediate_size": 14336, "num_layers": 32,
          "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 102400}, 7_818_448_896),
        ({"model_type": "qwen", "hidden_size": 2048, "intermediate_size": 11008, "kv_channels": 128,
          "no_bias": True, "num_attention_heads": 16, "num_hidden_layers": 24, "vocab_size": 151936},
         1_836_828_672),
    ],
)  # fmt: skip
def test_families_outside_transformers_match_their_checkpoints(raw: dict[str, Any], total: int) -> None:
    """Remote code and nested configs give the counts that their publishers state."""
    assert read_config(raw).census.total == total


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_an_unlisted_type_is_read_as_its_kin() -> None:
    """Keys of latent attention make an unlisted type a latent decoder; it is said in place of which kind."""
    latent = {
        "model_type": "not_listed", "hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 10, "kv_lora_rank": 4, "q_lora_rank": None,
        "qk_rope_head_dim": 2, "qk_nope_head_dim": 2, "v_head_dim": 2, "tie_word_embeddings": False,
    }  # fmt: skip
    spec = read_config(latent)
    layer = 8 * 8 + 6 * 8 + 4 + 8 * 4 + 4 * 8 + 3 * 160 + 16
    assert spec.census.total == 2 * layer + 2 * 80 + 8
    assert any("latent attention" in each for each in spec.unknowns)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_an_unlisted_encoder_is_read_as_bert() -> None:
    """Segments make an unlisted type an encoder, which keeps no cache; a decoder by its own word is none."""
    raw = {
        "model_type": "not_listed", "hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 10, "type_vocab_size": 2, "max_position_embeddings": 16,
    }  # fmt: skip
    assert len(read_config(raw).encoder_layers) == 2
    assert not read_config({**raw, "is_decoder": True}).encoder_layers


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(("version", "more"), [("4.50.0.dev0", 80), ("5.1.0", 0), ("", 0)])
def test_wrappers_of_an_older_library_leave_the_output_matrix_to_the_text(version: str, more: int) -> None:
    """A wrapper that says nothing ties since transformers 5; before, the text model's class decided."""
    text = {**TINY, "model_type": "mistral"}
    del text["tie_word_embeddings"]
    raw = {
        "model_type": "mistral3",
        "transformers_version": version,
        "text_config": text,
        "vision_config": None,
    }
    assert read_config(raw).census.total == TOTAL - 80 + more
