"""torchao and AMD Quark: schemes named by type."""

from collections.abc import Mapping
from typing import Any, Final

from hwledger.library.config.quantisation.common import Rule, group_size, left_alone, names, quantisation
from hwledger.library.config.quantisation.floats import MXFP4, fp8_blocks, fp8_matrix, fp8_rows
from hwledger.library.config.quantisation.integers import unknown
from hwledger.library.config.reader import Config
from hwledger.model.module_names import ModuleNames
from hwledger.model.quantisation import Packing, Quantisation

_HALF: Final = 16


def torchao(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """Read torchao 0.14: ``quant_type`` is a name or ``{"default": {"_type": …, "_data": {…}}}``."""
    stated = quant.value("quant_type")
    fields: Mapping[str, Any] = quant.value("quant_type_kwargs", default={}) or {}
    if isinstance(stated, Mapping):
        inner = stated.get("default", stated)
        if not isinstance(inner, Mapping):
            raise quant.unusable("quant_type", stated, "a name or an object with _type")
        stated, fields = inner.get("_type", ""), inner.get("_data", {})
    if not isinstance(fields, Mapping):
        raise quant.unusable("quant_type", fields, "an object of options")
    name = str(stated or "").lower().replace("_", "")
    options = Config(fields, quant.where, path=f"{quant.path}quant_type.", facts=quant.facts)
    packing = _torchao_packing(name, options)
    if packing is None:
        return unknown(quant, unknowns)
    return quantisation(packing, *left_alone(names(quant)))


def _torchao_packing(name: str, options: Config) -> Packing | None:
    if "int4" in name:  # a 16-bit scale and zero per group
        group = group_size(options, "group_size", default=128)
        return Packing(name=f"torchao int4 g{group}", bits=4, group=group, group_bits=2 * _HALF)
    if "float8" in name:
        rows = "row" in str(options.value("granularity", default="")).lower()
        return fp8_rows() if rows else fp8_matrix()
    if "int8" in name:
        return Packing(name="torchao int8", bits=8, row_bits=_HALF)
    return None


def quanto(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """Quanto: ``weights`` names the type; whole bytes have a scale per row, fewer bits one per 128."""
    kind = quant.text("weights", default="int8")
    bits = {"int8": 8, "float8": 8, "int4": 4, "int2": 2}.get(kind)
    if bits is None:
        return unknown(quant, unknowns)
    grouped = bits < 8  # noqa: PLR2004 - whole bytes
    packing = Packing(
        name=f"quanto {kind}",
        bits=bits,
        group=128 if grouped else 0,
        group_bits=(2 if grouped else 1) * _HALF,
    )
    return quantisation(packing, *left_alone(names(quant)))


def bitnet(quant: Config, unknowns: list[str]) -> Quantisation:
    """BitNet: four ternary weights in a byte and one scale per matrix (arXiv 2402.17764)."""
    del unknowns
    return quantisation(Packing(name="bitnet", bits=2, matrix_bytes=2), *left_alone(names(quant)))


def quark(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """AMD Quark: a global scheme, exceptions per module in ``layer_quant_config``, and ``exclude``."""
    general = _quark_packing(quant.nested("global_quant_config"))
    if general is None:
        return unknown(quant, unknowns)
    rules: list[Rule] = []
    table = quant.value("layer_quant_config", default={}) or {}
    if not isinstance(table, Mapping):
        raise quant.unusable("layer_quant_config", table, "an object of module names")
    for name, raw in table.items():
        layer = Config(raw, quant.where, path=f"{quant.path}layer_quant_config.{name}.", facts={})
        rules.append((ModuleNames([name]), _quark_packing(layer)))
    return quantisation(general, *left_alone(names(quant, "exclude")), *rules)


def _quark_packing(layer: Config | None) -> Packing | None:
    weight = layer.nested("weight") if layer else None
    if weight is None:
        return None
    kind, scheme = weight.text("dtype"), weight.text("qscheme", default="per_tensor")
    group = group_size(weight, "group_size", default=-1)
    if kind in ("fp4", "mxfp4"):
        return MXFP4
    if kind.startswith("fp8"):
        if scheme == "per_channel":
            return fp8_rows()
        return fp8_blocks() if scheme == "per_block" else fp8_matrix(scales=2)
    bits = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int2": 2, "int3": 3}.get(kind)
    if bits is None:
        return None
    group = group if scheme == "per_group" else 0
    return Packing(name=f"quark {kind}", bits=bits, group=group, group_bits=_HALF + bits)
