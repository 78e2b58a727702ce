"""compressed-tensors (llm-compressor): groups of targets, each with a weight scheme, and an ignore list.

Source: compressed-tensors 0.12 ``quantization/quant_args.py`` and ``compressors``; vLLM 0.33.0
``layers/quantization/compressed_tensors``.
"""

from collections.abc import Mapping
from typing import Final

from hwledger.library.config.quantisation.common import (
    KEPT,
    Rule,
    bit_width,
    group_size,
    kv_type,
    left_alone,
    names,
    quantisation,
)
from hwledger.library.config.quantisation.floats import MXFP4, MXFP8, fp8_blocks, fp8_matrix, nvfp4
from hwledger.library.config.reader import Config
from hwledger.model.module_names import ModuleNames
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.tensors import Part

_HALF: Final = 16
_WORD: Final = 32
_SHAPE_BYTES: Final = 16  # weight_shape: two int64
_CLASSES: Final = {"Linear", "FusedMoE", "MoEGMM", "Embedding"}


def read(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """Read every group; what no group targets stays as it is."""
    groups = quant.value("config_groups", default={})
    if not isinstance(groups, Mapping):
        raise quant.unusable("config_groups", groups, "an object of groups")
    ignored = names(quant, "ignore")
    general: Packing | None = None
    rules: list[Rule] = []
    for name, raw in groups.items():
        group = Config(raw, quant.where, path=f"{quant.path}config_groups.{name}.", facts=quant.facts)
        packing = _packing(group, str(group.value("format") or quant.value("format") or ""))
        targets = names(group, "targets") or ["Linear"]
        if packing and _CLASSES & set(targets):
            general = general or packing
        modules = [target for target in targets if target not in _CLASSES]
        if packing and modules:
            rules.append((ModuleNames(modules), packing))
    if general is None and not rules:
        unknowns.append("compressed-tensors states no group that packs weights: they are counted unquantised")
        return None
    _say_sparsity(quant, unknowns)
    kept = KEPT - {Part.LM_HEAD, Part.TOWER} if general and ignored else KEPT
    packing = general or rules[0][1] or Packing(name="unquantised", bits=16)
    return quantisation(
        packing, *left_alone(ignored), *rules,
        kept=kept if general else frozenset(Part), kv_cache_type=kv_type(quant),
    )  # fmt: skip


def _say_sparsity(quant: Config, unknowns: list[str]) -> None:
    sparsity = quant.nested("sparsity_config")
    if sparsity is not None and sparsity.value("format") not in (None, "dense"):
        unknowns.append(
            f"sparse storage ({sparsity.value('format')}) is not modelled: weights are smaller than shown"
        )


def _packing(group: Config, layout: str) -> Packing | None:
    weights = group.nested("weights")
    if weights is None:
        return None
    bits = bit_width(weights, "num_bits", default=8)
    inputs = group.value("input_activations")
    static = isinstance(inputs, Mapping) and inputs.get("dynamic") is False
    if weights.text("type", default="int") == "float":
        return _float(weights, bits, layout, static=static, activations=inputs is not None)
    return _integer(weights, bits, layout, static=static)


def _strategy(weights: Config) -> str:
    stated = weights.value("strategy")
    if stated is not None:
        return weights.text("strategy")
    return "group" if weights.has("group_size") else "tensor"


def _float(weights: Config, bits: int, layout: str, *, static: bool, activations: bool) -> Packing:
    size = group_size(weights, "group_size", default=16 if bits == 4 else -1)  # noqa: PLR2004 - fp4
    if bits == 4:  # noqa: PLR2004 - fp4
        if layout.startswith("mxfp4") or (size == MXFP4.group and not layout.startswith("nvfp4")):
            return MXFP4
        return nvfp4(size, scales=2 if activations else 1)
    if layout.startswith("mxfp8") or size == MXFP8.group:
        return MXFP8
    strategy = _strategy(weights)
    if strategy == "block":
        block = weights.sequence("block_structure", length=2) or [128, 128]
        if not all(isinstance(side, int) and side > 0 for side in block):
            raise weights.unusable("block_structure", block, "two whole numbers from 1")
        return fp8_blocks(block[0], block[1])
    if strategy == "channel":
        return Packing(name="fp8 per channel", bits=bits, row_bits=_HALF, matrix_bytes=2 if static else 0)
    return fp8_matrix(scales=2 if static else 1)


def _integer(weights: Config, bits: int, layout: str, *, static: bool) -> Packing:
    packed = layout in ("pack-quantized", "marlin-24") or bits < 8  # noqa: PLR2004 - whole bytes are not packed
    zero = 0 if weights.flag("symmetric", default=True) else bits
    order = _WORD if weights.value("actorder") in ("group", True) else 0
    strategy = _strategy(weights)
    group = group_size(weights, "group_size", default=-1) if strategy == "group" else 0
    return Packing(
        name=f"int{bits} {f'g{group}' if group else 'per ' + strategy}",
        bits=bits, group=-1 if strategy == "tensor" else group, group_bits=_HALF + zero, input_bits=order,
        matrix_bytes=(_SHAPE_BYTES if packed else 0) + (4 if static else 0),
    )  # fmt: skip
