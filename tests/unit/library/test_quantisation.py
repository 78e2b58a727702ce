"""Quantisation configs against sizes computed by hand."""

from typing import Any

import pytest

from hwledger.errors import MalformedError
from hwledger.library.config.quantisation import read_quantisation
from hwledger.library.config.reader import Config
from hwledger.model.quantisation import Quantisation
from hwledger.model.tensors import Part, Tensor

ROWS, INPUTS = 256, 512
WEIGHTS = ROWS * INPUTS


def read(quant: dict[str, Any], key: str = "quantization_config", **config: Any) -> Quantisation:
    """Return the quantisation of a config with ``quant`` under ``key``."""
    found = read_quantisation(Config({key: quant, **config}))
    assert found is not None
    return found


def matrix(name: str = "model.layers.0.mlp.up_proj", part: Part = Part.MLP) -> Tensor:
    """Return a linear layer of 256 x 512."""
    return Tensor(f"{name}.weight", (ROWS, INPUTS), part, 0, linear=True)


def size(found: Quantisation, tensor: Tensor | None = None) -> int | None:
    """Return the bytes of a packed matrix; ``None`` where it stays as it is."""
    packing = found.packing_of(tensor or matrix())
    return packing.nbytes((ROWS, INPUTS)) if packing else None


def compressed(weights: dict[str, Any], layout: str, **rest: Any) -> dict[str, Any]:
    """Return a compressed-tensors config with one group for all linear layers."""
    group = {"targets": ["Linear"], "weights": weights}
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "config_groups": {"group_0": group},
        **rest,
    }


CASES = [
    # half a byte, 4 groups per row with 16 + 4 bits, 4 bytes per input
    (
        "gptq",
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        WEIGHTS // 2 + ROWS * 4 * 20 // 8 + INPUTS * 4,
    ),
    # one group per row
    ("gptq -1", {"quant_method": "gptq", "bits": 8, "group_size": -1}, WEIGHTS + ROWS * 24 // 8 + INPUTS * 4),
    ("awq", {"quant_method": "awq", "bits": 4, "group_size": 128}, WEIGHTS // 2 + ROWS * 4 * 20 // 8),
    (
        "awq symmetric",
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": False},
        WEIGHTS // 2 + ROWS * 8 * 2,
    ),
    # 2 x 4 blocks with an fp32 scale
    ("fp8 block", {"quant_method": "fp8", "weight_block_size": [128, 128]}, WEIGHTS + 2 * 4 * 4),
    ("fp8 dynamic", {"quant_method": "fp8", "activation_scheme": "dynamic"}, WEIGHTS + 4),
    ("fp8 static", {"quant_method": "fp8", "activation_scheme": "static"}, WEIGHTS + 8),
    ("fbgemm", {"quant_method": "fbgemm_fp8"}, WEIGHTS + ROWS * 4),
    ("mxfp4", {"quant_method": "mxfp4"}, WEIGHTS // 2 + WEIGHTS // 32),
    ("modelopt fp8", {"quant_method": "modelopt", "quant_algo": "FP8"}, WEIGHTS + 8),
    ("modelopt nvfp4", {"quant_method": "modelopt", "quant_algo": "NVFP4"}, WEIGHTS // 2 + WEIGHTS // 16 + 8),
    ("no method", {"quant_algo": "FP8", "config_groups": {}}, WEIGHTS + 8),
    # 16-bit scale per 32 and the shape as two int64
    (
        "int4 g32",
        compressed({"num_bits": 4, "type": "int", "group_size": 32}, "pack-quantized"),
        WEIGHTS // 2 + WEIGHTS // 32 * 2 + 16,
    ),
    (
        "int8",
        compressed({"num_bits": 8, "type": "int", "strategy": "channel"}, "int-quantized"),
        WEIGHTS + ROWS * 2,
    ),
    (
        "fp8 channel",
        compressed({"num_bits": 8, "type": "float", "strategy": "channel"}, "float-quantized"),
        WEIGHTS + ROWS * 2,
    ),
    (
        "mxfp4 packed",
        compressed({"num_bits": 4, "type": "float", "group_size": 32}, "mxfp4-pack-quantized"),
        WEIGHTS // 2 + WEIGHTS // 32,
    ),
    (
        "nf4",
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        WEIGHTS // 2 + WEIGHTS // 64 * 4 + 64,
    ),
    # 8-bit scales per 64, fp32 per 256 of those, two tables
    (
        "nf4 double",
        {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
        },
        WEIGHTS // 2 + WEIGHTS // 64 + WEIGHTS // 16384 * 4 + 1088,
    ),
    ("int8 bnb", {"quant_method": "bitsandbytes", "load_in_8bit": True}, WEIGHTS + ROWS * 4),
    (
        "hqq",
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
        WEIGHTS // 2 + WEIGHTS // 64 * 4,
    ),
    (
        "torchao",
        {
            "quant_method": "torchao",
            "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}},
        },
        WEIGHTS // 2 + WEIGHTS // 128 * 4,
    ),
    (
        "quark",
        {
            "quant_method": "quark",
            "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}},
        },
        WEIGHTS // 2 + WEIGHTS // 32,
    ),
    (
        "aqlm",
        {"quant_method": "aqlm", "in_group_size": 8, "nbits_per_codebook": 16, "num_codebooks": 1},
        WEIGHTS // 8 * 2 + ROWS * 2 + 2 * 65536 * 8,
    ),
]


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(("quant", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_matrix(quant: dict[str, Any], expected: int) -> None:
    """Each method gives one matrix the bytes of its packed weights, scales, zeros and tables."""
    assert size(read(quant)) == expected


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(
    ("quant", "bits"),
    [
        ({"bits": 4, "group_size": 64}, 4.5),
        ({"bits": 4, "group_size": 32}, 5),
        ({"bits": 6, "group_size": 128, "mode": "affine"}, 6.25),
        ({"mode": "mxfp4", "bits": 4, "group_size": 32}, 4.25),
        ({"mode": "mxfp8", "bits": 8, "group_size": 32}, 8.25),
        ({"mode": "nvfp4", "bits": 4, "group_size": 16}, 4.5),
    ],
)
def test_mlx_modes(quant: dict[str, Any], bits: float) -> None:
    """MLX packs to its bits plus the scales (and biases) of a group, embeddings and routers too."""
    found = read(quant, "quantization")
    assert size(found) == WEIGHTS * bits / 8
    embedding = Tensor("model.embed_tokens.weight", (ROWS, INPUTS), Part.EMBEDDING)
    assert size(found, embedding) == WEIGHTS * bits / 8


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_mlx_overrides() -> None:
    """An entry per module leaves it alone (false), packs it as the rest (true) or its own way."""
    quant = {
        "bits": 4, "group_size": 64,
        "model.layers.0.mlp.gate": {"bits": 8, "group_size": 64},
        "model.layers.0.mlp.down_proj": False, "model.layers.0.mlp.up_proj": True,
    }  # fmt: skip
    found = read(quant, "quantization")
    assert size(found, matrix("model.layers.0.mlp.gate", Part.ROUTER)) == WEIGHTS * 8.5 / 8
    assert size(found, matrix("model.layers.0.mlp.down_proj")) is None
    assert size(found) == WEIGHTS * 4.5 / 8


LEFT_ALONE = [
    (["lm_head", "model.layers.0.mlp.gate"], "model.layers.0.mlp.gate", True),
    (["model.layers.0.mlp.gate"], "model.layers.0.mlp.gate_proj", False),
    (["gate"], "model.layers.3.block_sparse_moe.gate", True),
    (["model.layers.*.self_attn"], "model.layers.3.self_attn.q_proj", True),
    (["model.language_model.layers.1.self_attn*"], "model.layers.1.self_attn.q_proj", True),
    (["model.language_model.layers.1.self_attn*"], "model.layers.11.self_attn.q_proj", False),
    (["language_model.model.layers.0*"], "model.layers.0.mlp.up_proj", True),
    (["*.ffn.shared_experts.*"], "model.layers.4.mlp.shared_experts.up_proj", True),
    (["re:.*self_attn.*"], "model.layers.3.self_attn.q_proj", True),
    (["re:^language_model\\.model\\.layers\\.3\\.mlp\\.up_proj$"], "model.layers.3.mlp.up_proj", True),
    (["layers.0.mlp.experts.0.w1"], "model.layers.0.mlp.experts.*.gate_proj", True),
    (["layers.0.mlp.up_proj"], "model.vision_tower.layers.0.mlp.up_proj", False),
]


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(("ignored", "module", "kept"), LEFT_ALONE)
def test_ignore_lists(ignored: list[str], module: str, *, kept: bool) -> None:
    """Listed modules stay as they are however either side spells the prefix, and nothing beside them does."""
    weights = {"num_bits": 8, "type": "float", "strategy": "tensor"}
    found = read(compressed(weights, "float-quantized", ignore=ignored))
    assert (size(found, matrix(module)) is None) == kept


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize("part", [Part.EMBEDDING, Part.LM_HEAD, Part.ROUTER, Part.TOWER])
def test_parts_that_stay(part: Part) -> None:
    """Embeddings, the output matrix, routers and towers stay unquantised where nothing names them."""
    assert size(read({"quant_method": "fp8", "weight_block_size": [128, 128]}), matrix("x", part)) is None


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_mixed_precision() -> None:
    """ModelOpt's mixed precision packs what it lists, the output matrix included, and nothing else."""
    layers = {
        "model.language_model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"},
        "lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16},
    }
    found = read({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers})
    assert size(found, matrix("model.layers.0.self_attn.q_proj", Part.ATTENTION)) == WEIGHTS + 8
    assert size(found, matrix("lm_head", Part.LM_HEAD)) == WEIGHTS // 2 + WEIGHTS // 16 + 4
    assert size(found) is None


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_expert_type() -> None:
    """``expert_dtype: fp4`` packs routed experts as mxfp4 and gives the fp8 rest 8-bit block scales."""
    found = read({"quant_method": "fp8", "weight_block_size": [128, 128]}, expert_dtype="fp4")
    expert = matrix("model.layers.0.mlp.experts.*.up_proj", Part.EXPERTS)
    assert size(found, expert) == WEIGHTS // 2 + WEIGHTS // 32
    assert size(found) == WEIGHTS + 2 * 4


@pytest.mark.requirement("FR-PLAN-KV")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"kv_cache_quant_algo": "FP8"}, "fp8"), ({"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "fp8"),
     ({"kv_cache_scheme": "FP8"}, "fp8"), ({"kv_cache_quant_algo": None}, None), ({}, None)],
)  # fmt: skip
def test_kv_cache_type(fields: dict[str, Any], expected: str | None) -> None:
    """The KV cache type that a checkpoint asks for is read in each of its spellings."""
    assert read({"quant_method": "modelopt", "quant_algo": "FP8", **fields}).kv_cache_type == expected


@pytest.mark.requirement("FR-PLAN-SOURCES")
def test_second_file() -> None:
    """hf_quant_config.json beside the config is read where the config itself says nothing."""
    quant = {
        "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    }
    found = read_quantisation(Config({"model_type": "llama"}), quant)
    assert found is not None
    assert (found.packing.name, found.kv_cache_type) == ("nvfp4", "fp8")


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_unknown_methods_are_said() -> None:
    """A method that is not known is planned from its stated bits, and said; without bits it is refused."""
    notes: list[str] = []
    found = read_quantisation(
        Config({"quantization_config": {"quant_method": "xyz", "bits": 3}}), None, notes
    )
    assert found is not None
    assert found.packing.bits == 3
    assert ["xyz" in note for note in notes] == [True]
    with pytest.raises(MalformedError, match="'xyz' is not known"):
        read_quantisation(Config({"quantization_config": {"quant_method": "xyz"}}), None, notes)


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "quant",
    [
        {"quant_method": "gptq", "bits": -4},
        {"quant_method": "gptq"},
        {"quant_method": "gptq", "bits": 4, "group_size": -7},
        {"quant_method": "awq", "bits": 10**9},
        {"quant_method": "fp8", "weight_block_size": [0, 128]},
        {"quant_method": "fp8", "weight_block_size": "128"},
        {"quant_method": "fp8", "modules_to_not_convert": [7]},
        {"quant_method": 3},
        {"quant_method": "compressed-tensors", "config_groups": []},
        {"quant_method": "compressed-tensors", "ignore": ["re:("], "config_groups": {}},
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {"a": 1}},
    ],
)
def test_nonsense_is_refused(quant: dict[str, Any]) -> None:
    """A field with a value that makes no sense ends in one sentence."""
    with pytest.raises(MalformedError):
        read(
            {**quant, "config_groups": {"g": {"weights": {"num_bits": 8}}}} if quant.get("ignore") else quant
        )
