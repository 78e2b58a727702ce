"""quantization_config → Quantisation: one module per kind of method.

Where a config says it: ``quantization_config`` or ``compression_config`` at the top or in the text
config, ``quantization`` for MLX, and ``hf_quant_config.json`` beside it for NVIDIA ModelOpt.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from hwledger.library.config.quantisation import compressed_tensors, floats, integers, mlx, modelopt, tables
from hwledger.library.config.quantisation.common import KEPT_EVERYWHERE
from hwledger.library.config.reader import Config
from hwledger.model.quantisation import Quantisation

Method = Callable[[Config, list[str]], Quantisation | None]
METHODS: Final[dict[str, Method]] = {
    "gptq": integers.gptq, "awq": integers.awq, "gptq_marlin": integers.gptq, "awq_marlin": integers.awq,
    "auto-round": integers.auto_round, "auto_round": integers.auto_round, "hqq": integers.hqq,
    "bitsandbytes": integers.bitsandbytes, "aqlm": integers.aqlm, "eetq": integers.eetq,
    "fp8": floats.fp8, "fbgemm_fp8": floats.fbgemm, "mxfp4": floats.mxfp4, "deepseek_v4_fp8": floats.fp8,
    "finegrained_fp8": floats.fp8, "mxfp8": floats.mxfp8,
    "compressed-tensors": compressed_tensors.read, "compressed_tensors": compressed_tensors.read,
    "modelopt": modelopt.read, "modelopt_fp4": modelopt.read, "modelopt_mixed": modelopt.read,
    "mlx": mlx.read, "torchao": tables.torchao, "quark": tables.quark,
    "quanto": tables.quanto, "bitnet": tables.bitnet, "fp_quant": floats.fp_quant,
}  # fmt: skip


def read_quantisation(
    config: Config, quant_raw: Mapping[str, Any] | None = None, unknowns: list[str] | None = None
) -> Quantisation | None:
    """Return how the weights are packed, or ``None`` for a model that is not quantised.

    Args:
        config: the model's config.
        quant_raw: the parsed hf_quant_config.json, where there is one.
        unknowns: receives a sentence where the method, or a part of it, is not known.

    Raises:
        MalformedError: a field has a value that makes no sense.
    """
    notes = unknowns if unknowns is not None else []
    quant = _find(config, quant_raw)
    if quant is None:
        return None
    name = _method(quant)
    found = METHODS.get(name, integers.unknown)(quant, notes)
    if found is None:
        return None
    found = replace(found, method=name, origin=f"{quant.where}: {quant.path.rstrip('.')}")
    found = floats.with_expert_type(found, config, quant)
    return replace(found, overrides=((KEPT_EVERYWHERE, None), *found.overrides))


def _find(config: Config, quant_raw: Mapping[str, Any] | None) -> Config | None:
    homes = [
        config,
        config.nested("text_config"),
        config.nested("llm_config"),
        config.nested("thinker_config"),
    ]
    for home in homes:
        if home is None:
            continue
        for key in ("quantization_config", "compression_config", "quantization"):
            found = home.nested(key)
            if found is None and home.has(key):
                raise home.unusable(key, home.raw[key], "an object")
            if found is not None and found.raw:
                return found
    if quant_raw is None:
        return None
    return Config(quant_raw, "hf_quant_config.json", facts=config.facts)


def _method(quant: Config) -> str:
    stated = quant.value("quant_method")
    if stated is not None:
        return quant.text("quant_method").lower()
    for key, method in (
        ("quant_algo", "modelopt"), ("quantization", "modelopt"), ("config_groups", "compressed-tensors"),
        ("load_in_4bit", "bitsandbytes"), ("load_in_8bit", "bitsandbytes"), ("w_bit", "awq"),
        ("desc_act", "gptq"), ("weight_block_size", "fp8"), ("mode", "mlx"),
    ):  # fmt: skip
        if quant.has(key):
            return method
    return "mlx" if quant.has("bits") and quant.has("group_size") else "unknown"
