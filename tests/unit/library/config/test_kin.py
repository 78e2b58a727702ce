"""Families read from the keys of their configs, against counts by transformers and by the hub.

``transformers_totals.json``: what transformers 5.24.0 builds on the meta device from these configs.
``published_totals.json``: the configs of released models and the parameters in their files.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from hwledger.errors import MalformedError
from hwledger.library.config import read_config
from hwledger.library.config.families.multimodal import TEXT_KEYS
from hwledger.model.channel import MixtureOfExperts
from hwledger.model.mixers import GatedLinearRecurrence, LatentAttention, LightningAttention
from hwledger.shipped import shipped_text

DATA = Path(__file__).parents[3] / "data"
BUILT: list[dict[str, Any]] = json.loads((DATA / "transformers_totals.json").read_text("utf-8"))
PUBLISHED: list[dict[str, Any]] = json.loads((DATA / "published_totals.json").read_text("utf-8"))
LONGCAT: dict[str, Any] = {
    "model_type": "longcat_flash", "hidden_size": 8, "num_layers": 2, "num_attention_heads": 2,
    "vocab_size": 10, "ffn_hidden_size": 20, "expert_ffn_hidden_size": 4, "n_routed_experts": 4,
    "zero_expert_num": 2,
    "moe_topk": 3, "kv_lora_rank": 4, "q_lora_rank": 6, "qk_rope_head_dim": 2, "qk_nope_head_dim": 2,
    "v_head_dim": 2,
}  # fmt: skip
GROK: dict[str, Any] = {
    "model_type": "git", "architectures": ["Grok1ForCausalLM"], "hidden_size": 8, "intermediate_size": 20,
    "moe_intermediate_size": 6, "num_local_experts": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10, "residual_moe": True,
}  # fmt: skip


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize("case", BUILT, ids=[case["model_type"] for case in BUILT])
def test_totals_of_transformers(case: dict[str, Any]) -> None:
    """A config counts as many parameters as transformers builds from it, with no part that is not known."""
    spec = read_config({key: value for key, value in case.items() if key != "total"})
    assert spec.census.total == case["total"]
    assert not any("not known" in each for each in spec.unknowns)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize("case", PUBLISHED, ids=[case["model"] for case in PUBLISHED])
def test_totals_of_released_models(case: dict[str, Any]) -> None:
    """The config of a released model counts as many parameters as its files hold."""
    assert read_config(case["config"]).census.total == case["total"]


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_longcat_has_two_caches_per_layer_and_experts_without_weights() -> None:
    """Each of LongCat's layers attends twice; experts that are the identity have a row in the router only."""
    spec = read_config(LONGCAT)
    attention = 6 * 8 + 6 + 8 * 6 + 6 * 8 + 4 + 8 * 4 + 8 * 4
    layer = 2 * (attention + 3 * 160 + 16) + 6 * 8 + 4 * 3 * 32
    assert spec.census.total == 2 * layer + 2 * 80 + 8
    assert len(spec.layers) == 4
    assert all(isinstance(layer.mixers[0], LatentAttention) for layer in spec.layers)
    channel = spec.layers[0].channel
    assert isinstance(channel, MixtureOfExperts)
    assert channel.active_experts == 2  # of three, one is the identity on average


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_the_class_names_the_family_where_the_type_is_not_listed() -> None:
    """Grok 2 states the type of another model; its class is Grok's, with a dense MLP beside the experts."""
    spec = read_config(GROK)
    layer = 192 + 4 * 8 + 4 * 3 * 48 + 3 * 160 + 4 * 8
    assert spec.census.total == 2 * layer + 2 * 80 + 8
    assert not spec.unknowns
    assert spec.facts["model_type"].origin == "derived: the class in architectures"


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(("beside", "more"), [(True, 2 * (3 * 64 + 8)), (False, 2 * 8)])
def test_arctic_has_a_dense_mlp_beside_its_experts(beside: bool, more: int) -> None:  # noqa: FBT001 - a case
    """Arctic's dense MLP is as wide as the hidden size; the file says whether there is one."""
    raw = {**GROK, "model_type": "arctic", "architectures": ["ArcticForCausalLM"],
           "parallel_attn_mlp_res": beside}  # fmt: skip
    experts = 192 + 4 * 8 + 4 * 3 * 160 + 16
    assert read_config(raw).census.total == 2 * experts + more + 2 * 80 + 8


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_states_of_linear_layers() -> None:
    """RecurrentGemma keeps one value per channel, MiniMax a square per head; both in float32."""
    gemma = read_config({"model_type": "recurrent_gemma"}).layers[0].mixers[0]
    assert isinstance(gemma, GatedLinearRecurrence)
    assert (gemma.state_elements(), gemma.conv_elements(), gemma.state_type) == (2560, 3 * 2560, "float32")
    lightning = read_config({"model_type": "minimax"}).layers[0].mixers[0]
    assert isinstance(lightning, LightningAttention)
    assert lightning.state_elements() == 32 * 128 * 128


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
@pytest.mark.parametrize(
    "raw",
    [
        {"model_type": "minimax", "layer_types": ["full_attention"]},
        {"model_type": "minimax", "num_local_experts": 0},
        {"model_type": "recurrent_gemma", "block_types": ["recurrent", "else"]},
        {**LONGCAT, "n_routed_experts": 0},
    ],
)
def test_unusable_configs_are_refused(raw: dict[str, Any]) -> None:
    """A list that is too short, an unknown block, or a mixture without experts is refused in a sentence."""
    with pytest.raises(MalformedError):
        read_config(raw)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_molmo_is_read_without_its_tower() -> None:
    """Molmo's file states the width of gate and up together, and nothing of its tower, which is said."""
    raw = {
        "model_type": "molmo", "hidden_size": 8, "intermediate_size": 40, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10, "qkv_bias": True,
    }  # fmt: skip
    spec = read_config(raw)
    assert spec.census.total == 192 + 16 + 3 * 160 + 16 + 2 * 80 + 8 + 128 * 8
    assert any("vision tower of molmo" in each for each in spec.unknowns)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_a_text_type_over_a_nested_text_model_is_read_as_the_wrapper_of_its_class() -> None:
    """Ministral 3 states the type of its text model at the top; no class default stands in for its sizes."""
    text = {**GROK, "model_type": "ministral3", "architectures": None, "tie_word_embeddings": True}
    raw = {"model_type": "ministral3", "architectures": ["Mistral3ForConditionalGeneration"],
           "text_config": text, "vision_config": None}  # fmt: skip
    spec = read_config(raw)
    assert (spec.architecture, spec.hidden_size, len(spec.layers)) == ("mistral3", 8, 2)
    plain = read_config({**raw, "architectures": None})
    assert (plain.hidden_size, len(plain.layers)) == (8, 2)
    assert any("towers" in each for each in plain.unknowns)


@pytest.mark.requirement("FR-PLAN-PARAMETERS")
def test_no_model_of_the_catalogue_falls_back_on_class_defaults_beside_its_own_sizes() -> None:
    """Where a catalogued config keeps a text model one level below, its sizes are those that are read."""
    lines = shipped_text("hwledger.library", "data/catalogue.jsonl").splitlines()
    for row in map(json.loads, lines):
        inner = next((row["config"][key] for key in TEXT_KEYS if key in row.get("config", {})), None)
        if inner and "num_hidden_layers" in inner:
            spec = read_config(row["config"])
            assert (len(spec.layers), row["id"]) == (inner["num_hidden_layers"], row["id"])
