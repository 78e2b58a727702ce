"""Which layers slide: the rule of each family."""

from typing import Any

import pytest

from hwledger.library.config.experts import sparse_layers
from hwledger.library.config.pattern import layer_kinds
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import traits_of


def letters(model_type: str, count: int, **keys: Any) -> str:
    """Return the kinds of the layers, ``s`` for sliding and ``f`` for full."""
    config = Config({"model_type": model_type, **keys})
    kinds = layer_kinds(config, count, traits_of(model_type).pattern)
    return "".join("s" if kind == "sliding_attention" else "f" for kind in kinds)


@pytest.mark.requirement("FR-PLAN-LAYERS")
@pytest.mark.parametrize(
    ("model_type", "keys", "wanted"),
    [
        ("gemma2", {}, "sfsfsf"),
        ("gemma3_text", {}, "sssssf"),
        ("gemma3_text", {"sliding_window_pattern": 3}, "ssfssf"),
        ("cohere2", {}, "sssfss"),
        ("olmo3", {}, "sssfss"),
        ("exaone4", {"sliding_window": 9, "sliding_window_pattern": "LLLG"}, "sssfss"),
        ("exaone4", {"sliding_window": None}, "ffffff"),
        ("gpt_oss", {}, "sfsfsf"),
        ("mistral", {"sliding_window": 4096}, "ssssss"),
        ("mistral", {"sliding_window": None}, "ffffff"),
        ("qwen2", {"sliding_window": 9, "use_sliding_window": False}, "ffffff"),
        ("qwen2", {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 4}, "ffffss"),
        ("phi3", {"sliding_window": 2047}, "ssssss"),
        ("cwm", {}, "fsssfs"),
        ("smollm3", {"use_sliding_window": True, "sliding_window": 9}, "fffsff"),
        ("mimo_v2_flash", {}, "fssssf"),
        ("mimo_v2_flash", {"hybrid_layer_pattern": [0, 1, 1, 0, 1, 1]}, "fssfss"),
        ("gpt_neo", {"attention_types": [[["global", "local"], 3]]}, "fsfsfs"),
        ("llama", {"sliding_window": 9}, "ffffff"),
        ("llama", {"layer_types": ["full_attention", "sliding_attention"] * 3}, "fsfsfs"),
    ],
)
def test_the_rule_of_a_family(model_type: str, keys: dict[str, Any], wanted: str) -> None:
    """Lists in the file win; derived rules follow transformers' config classes."""
    assert letters(model_type, 6, **keys) == wanted


@pytest.mark.requirement("FR-PLAN-LAYERS")
@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, "111111"),
        ({"first_k_dense_replace": 2}, "001111"),
        ({"first_k_dense_replace": 1, "moe_layer_freq": 2}, "001010"),
        ({"moe_layer_freq": [0, 1, 1, 0, 1, 1]}, "011011"),
        ({"decoder_sparse_step": 2}, "010101"),
        ({"mlp_only_layers": [0, 5]}, "011110"),
        ({"mlp_layer_types": ["dense"] + ["sparse"] * 5}, "011111"),
        ({"moe_layers": [1, 3]}, "010100"),
        ({"moe_layer_start_index": 2, "moe_layer_end_index": 4, "moe_layer_interval": 1}, "001110"),
    ],
)
def test_which_layers_hold_experts(keys: dict[str, Any], wanted: str) -> None:
    """Counts of leading dense layers, steps, lists and stretches give the same kind of answer."""
    sparse = sparse_layers(Config({"model_type": "brand_new", **keys}), 6)
    assert "".join("1" if each else "0" for each in sparse) == wanted
