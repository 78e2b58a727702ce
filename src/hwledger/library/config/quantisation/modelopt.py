"""NVIDIA ModelOpt: ``quantization_config`` with ``quant_algo``, or hf_quant_config.json beside the config."""

from collections.abc import Callable, Mapping
from typing import Final

from hwledger.library.config.quantisation.common import (
    KEPT,
    Rule,
    by_packing,
    group_size,
    kv_type,
    left_alone,
    names,
    quantisation,
)
from hwledger.library.config.quantisation.floats import MXFP4, MXFP8, fp8_blocks, fp8_matrix, fp8_rows, nvfp4
from hwledger.library.config.quantisation.integers import unknown
from hwledger.library.config.reader import Config
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.tensors import Part

_HALF: Final = 16

# vLLM 0.33.0 layers/quantization/modelopt.py and modelopt_block_quant.py: parameters of each algorithm.
ALGORITHMS: Final[dict[str, Callable[[int], Packing]]] = {
    "FP8": lambda _: fp8_matrix(scales=2),
    "FP8_PER_CHANNEL_PER_TOKEN": lambda _: fp8_rows(),
    "FP8_PB_WO": lambda _: fp8_blocks(),
    "FP8_PB_REAL": lambda _: fp8_blocks(),
    "NVFP4": lambda group: nvfp4(group or 16),
    "W4A16_NVFP4": lambda group: nvfp4(group or 16, scales=1),
    "W4A8_NVFP4_FP8": lambda group: nvfp4(group or 16),
    "NVFP4_AWQ": lambda group: _awq(nvfp4(group or 16)),
    "MXFP8": lambda _: MXFP8,
    "MXFP4": lambda _: MXFP4,
    "W4A8_MXFP4_FP8": lambda _: MXFP4,
    "W4A16_AWQ": lambda group: _awq(Packing(name="int4 awq", bits=4, group=group or 128, group_bits=_HALF)),
    "W4A8_AWQ": lambda group: _awq(
        Packing(name="int4 awq", bits=4, group=group or 128, group_bits=_HALF, matrix_bytes=8)
    ),
    "INT4_AWQ": lambda group: _awq(Packing(name="int4 awq", bits=4, group=group or 128, group_bits=_HALF)),
    "INT8_SQ": lambda _: Packing(name="int8", bits=8, row_bits=32, input_bits=_HALF),
    "W8A16": lambda _: Packing(name="int8", bits=8, row_bits=32),
}


def _awq(packing: Packing) -> Packing:
    """The same packing with a smoothing scale per input (``pre_quant_scale``)."""
    return Packing(
        name=packing.name, bits=packing.bits, group=packing.group, group_bits=packing.group_bits,
        matrix_bytes=packing.matrix_bytes, input_bits=_HALF,
    )  # fmt: skip


def read(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """Read one algorithm for all matrices, or ``MIXED_PRECISION`` with one per listed module."""
    quant = quant.nested("quantization") or quant
    algorithm = quant.value("quant_algo")
    if algorithm is None:
        return None  # a KV cache scheme alone, or a checkpoint that went through unquantised
    excluded = left_alone(names(quant, "exclude_modules", "ignore", "modules_to_not_convert"))
    kv_cache_type = kv_type(quant)
    name = quant.text("quant_algo").upper()
    if name in ("MIXED_PRECISION", "MIXED"):
        listed = listed_layers(quant, unknowns)
        plain = Packing(name="mixed precision", bits=16)
        everything = frozenset(Part)
        return quantisation(plain, *excluded, *listed, kept=everything, kv_cache_type=kv_cache_type)
    packing = _packing(quant, name)
    if packing is None:
        return unknown(quant, unknowns)
    # What the exclude list does not name is packed, the output matrix and towers included.
    kept = KEPT - {Part.LM_HEAD, Part.TOWER} if excluded else KEPT
    return quantisation(packing, *excluded, kept=kept, kv_cache_type=kv_cache_type)


def listed_layers(quant: Config, unknowns: list[str]) -> tuple[Rule, ...]:
    """Return the rules of ``quantized_layers``: module → algorithm."""
    table = quant.value("quantized_layers", default={})
    if not isinstance(table, Mapping):
        raise quant.unusable("quantized_layers", table, "an object of module names")
    modules: dict[str, Packing | None] = {}
    strange: set[str] = set()
    for name, entry in table.items():
        one = Config(entry, quant.where, path=f"{quant.path}quantized_layers.{name}.", facts={})
        algorithm = one.text("quant_algo").upper()
        packing = _packing(one, algorithm)
        if packing is None:
            strange.add(algorithm)
        else:
            modules[name] = packing
    unknowns.extend(
        f"ModelOpt algorithm {name or 'without a name'} is not known: its modules are counted unquantised"
        for name in sorted(strange)
    )
    return by_packing(modules)


def _packing(quant: Config, algorithm: str) -> Packing | None:
    build = ALGORITHMS.get(algorithm)
    return build(group_size(quant, "group_size", default=-1)) if build else None
