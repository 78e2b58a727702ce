"""DeepSeek-V4: counts worked out by hand on a model small enough for it."""

import pytest

from hwledger.errors import MalformedError
from hwledger.library.config import read_config

SMALL = {
    "model_type": "deepseek_ref",
    "hidden_size": 8,
    "vocab_size": 10,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "head_dim": 16,
    "qk_rope_head_dim": 2,
    "q_lora_rank": 4,
    "o_groups": 2,
    "o_lora_rank": 3,
    "index_n_heads": 2,
    "index_head_dim": 5,
    "index_topk": 4,
    "sliding_window": 4,
    "hc_mult": 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 6,
    "num_nextn_predict_layers": 1,
    "compress_ratios": [0, 4, 128, 0],
}
# q 32+4+128, kv 128+16, o 96+48, sinks 2; norms 16; two hyper-connections 128+8+3; experts 32+5*144
WINDOW = 454 + 16 + 278 + 752
SPARSE = WINDOW + 2 * 32 * 8 + 4 * 32 + 16 + (2 * 10 * 8 + 4 * 10 + 5 + 10 * 4 + 2 * 8)
HEAVY = WINDOW + 2 * 16 * 8 + 128 * 16 + 16


@pytest.mark.requirement("FR-PLAN-PARAMETERS", "FR-PLAN-LAYERS")
def test_each_kind_of_layer_has_its_own_tensors() -> None:
    """A compressor, and for ratio 4 an indexer, on top of what every layer has; heads apart."""
    spec = read_config(SMALL)
    assert [layer.kind for layer in spec.layers] == [
        "sliding_attention",
        "compressed_sparse_attention",
        "heavily_compressed_attention",
    ]
    assert list(spec.census.by_layer) == [WINDOW, SPARSE, HEAVY]
    outside = 2 * 10 * 8 + 8 + (2 * 16 + 2 + 1)
    assert spec.census.total == outside + WINDOW + SPARSE + HEAVY
    assert [layer.kind for layer in spec.mtp_layers] == ["sliding_attention"]


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize("ratios", [[0, 4], [0, 4, 7], [0, 4, True], [0, 4, [128]], "0"])
def test_unusable_ratios_are_refused(ratios: object) -> None:
    """A short list, an unknown ratio or another type is an error in a sentence."""
    with pytest.raises(MalformedError, match="compress_ratios"):
        read_config({**SMALL, "compress_ratios": ratios})
