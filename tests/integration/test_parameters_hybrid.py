"""Parameter counts and layers of recurrent and hybrid models."""

import pytest

from hwledger.errors import MalformedError
from hwledger.library.config import read_config

# Built with transformers 5.23.0 from the default config of each class.
DEFAULTS = {
    "mamba": 159308544,
    "mamba2": 7285403648,
    "falcon_mamba": 159308544,
    "jamba": 51570323328,
    "bamba": 9992765440,
    "granitemoehybrid": 38601064448,
    "falcon_h1": 8514961408,
    "lfm2": 2705497600,
    "zamba2": 2481848336,
    "rwkv": 7392649216,
}


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize("model_type", DEFAULTS)
def test_class_defaults_are_counted_exactly(model_type: str) -> None:
    """The class defaults give the very count that transformers builds."""
    assert read_config({"model_type": model_type}).census.total == DEFAULTS[model_type]


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_letters_name_the_layers_of_nemotron_h() -> None:
    """Each letter is one layer, and the pattern outranks ``num_hidden_layers``."""
    spec = read_config(
        {"model_type": "nemotron_h", "hybrid_override_pattern": "ME*-", "num_hidden_layers": 9}
    )
    kinds = [layer.kind for layer in spec.layers]
    assert kinds == ["linear_attention", "moe", "full_attention", "mlp"]
    assert spec.layers[0].mixers[0].state_type == "f32"


@pytest.mark.requirement("FR-PLAN-LAYERS")
def test_mtp_heads_of_nemotron_h_stand_apart() -> None:
    """A head of attention and experts adds two MTP layers and leaves the model's count alone."""
    plain = {"model_type": "nemotron_h", "hybrid_override_pattern": "M*"}
    head = {"num_nextn_predict_layers": 1, "mtp_hybrid_override_pattern": "*E"}
    without, spec = read_config(plain), read_config({**plain, **head})
    assert [layer.kind for layer in spec.mtp_layers] == ["full_attention", "moe"]
    assert spec.census.total == without.census.total


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "MX"}, "hybrid_override_pattern"),
        ({"model_type": "nemotron_h", "layers_block_type": ["rnn"]}, "layers_block_type"),
        ({"model_type": "zamba2", "layers_block_type": [{}]}, "layers_block_type"),
        ({"model_type": "lfm2", "layer_types": ["conv"]}, "layer_types"),
        ({"model_type": "jamba", "attn_layer_offset": 8}, "attn_layer_offset"),
        ({"model_type": "mamba2", "num_heads": 7}, "num_heads"),
    ],
)
def test_bad_patterns_name_their_key(raw: dict[str, object], key: str) -> None:
    """A pattern that cannot be read is one sentence that names the key."""
    with pytest.raises(MalformedError, match=key):
        read_config(raw)
