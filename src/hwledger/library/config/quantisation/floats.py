"""Small-float methods: fp8 in blocks, rows or whole matrices, mxfp4, mxfp8, nvfp4."""

from dataclasses import replace
from typing import Final

from hwledger.library.config.quantisation.common import kv_type, left_alone, names, quantisation
from hwledger.library.config.reader import Config
from hwledger.model.module_names import ModuleNames
from hwledger.model.quantisation import Packing, Quantisation

_SINGLE: Final = 32
MXFP4: Final = Packing(name="mxfp4", bits=4, group=32, group_bits=8)
MXFP8: Final = Packing(name="mxfp8", bits=8, group=32, group_bits=8)


def nvfp4(group: int = 16, *, scales: int = 2) -> Packing:
    """NVFP4: an fp8 scale per group of 16 and ``scales`` fp32 scales per matrix (weights, inputs)."""
    return Packing(name="nvfp4", bits=4, group=group, group_bits=8, matrix_bytes=4 * scales)


def fp8_matrix(*, scales: int = 1) -> Packing:
    """fp8 with ``scales`` fp32 scales per matrix: weights, and inputs where they are static."""
    return Packing(name="fp8 per tensor", bits=8, group=-1, matrix_bytes=4 * scales)


def fp8_rows(scale_bits: int = _SINGLE) -> Packing:
    """fp8 with a scale per output row."""
    return Packing(name="fp8 per channel", bits=8, row_bits=scale_bits)


def fp8_blocks(rows: int = 128, inputs: int = 128, scale_bits: int = _SINGLE) -> Packing:
    """fp8 with a scale per block of ``rows`` by ``inputs`` (DeepSeek-V3, arXiv 2412.19437 §3.3)."""
    return Packing(name=f"fp8 block {rows}x{inputs}", bits=8, group=inputs, rows=rows, group_bits=scale_bits)


def fp8(quant: Config, unknowns: list[str]) -> Quantisation:
    """``quant_method: fp8``: blocks where ``weight_block_size`` says so, else one scale per matrix.

    A file may override single modules in ModelOpt's terms (``quantized_layers``); its ``ignore`` list
    then speaks of those overrides, and the rest stays fp8.
    """
    from hwledger.library.config.quantisation import modelopt  # noqa: PLC0415 - modelopt builds on this module

    block = quant.sequence("weight_block_size", length=2)
    static = quant.text("activation_scheme", default="dynamic") == "static"
    packing = fp8_blocks(*_pair(quant, block)) if block else fp8_matrix(scales=2 if static else 1)
    if quant.has("quantized_layers"):
        return quantisation(packing, *modelopt.listed_layers(quant, unknowns), kv_cache_type=kv_type(quant))
    return quantisation(packing, *left_alone(names(quant)), kv_cache_type=kv_type(quant))


def _pair(quant: Config, block: list[object]) -> tuple[int, int]:
    for size in block[:2]:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 1 << 20:
            raise quant.unusable("weight_block_size", block, "two whole numbers from 1")
    rows, inputs = block[:2]
    return int(str(rows)), int(str(inputs))


def fbgemm(quant: Config, unknowns: list[str]) -> Quantisation:
    """FBGEMM fp8 (Llama-3.1-405B-FP8): an fp32 scale per row."""
    del unknowns
    return quantisation(fp8_rows(), *left_alone(names(quant)))


def mxfp4(quant: Config, unknowns: list[str]) -> Quantisation:
    """OCP mxfp4 (gpt-oss): an 8-bit exponent per 32 elements."""
    del unknowns
    return quantisation(MXFP4, *left_alone(names(quant)))


def mxfp8(quant: Config, unknowns: list[str]) -> Quantisation:
    """OCP mxfp8: an 8-bit exponent per 32 elements."""
    del unknowns
    return quantisation(MXFP8, *left_alone(names(quant)))


def fp_quant(quant: Config, unknowns: list[str]) -> Quantisation:
    """FP-Quant: mxfp4 or nvfp4, named by ``forward_dtype`` (transformers 5.23.0 ``FPQuantConfig``)."""
    del unknowns
    kind = quant.text("forward_dtype", default="nvfp4").lower()
    return quantisation(MXFP4 if kind == "mxfp4" else nvfp4(scales=1), *left_alone(names(quant)))


def with_expert_type(found: Quantisation, config: Config, quant: Config) -> Quantisation:
    """Apply ``expert_dtype: fp4`` (DeepSeek-V4): routed experts in mxfp4, 8-bit exponents as fp8 scales.

    Source: vLLM 0.33.0 ``models/deepseek_v4/quant_config.py``. Modules that are listed with a packing
    of their own keep it.
    """
    stated = config.value("expert_dtype") or quant.value("expert_dtype")
    if stated != "fp4":
        return found
    base = replace(found.packing, group_bits=8) if found.packing.rows > 1 else found.packing
    experts = ModuleNames(["re:.*[.]experts[.].*"])
    return replace(found, packing=base, overrides=(*found.overrides, (experts, MXFP4)))
