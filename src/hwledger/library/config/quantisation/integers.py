"""Integer methods: GPTQ, AWQ, AutoRound, HQQ, bitsandbytes, AQLM, EETQ, and unknown ones that state bits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hwledger.errors import MalformedError
from hwledger.library.config.quantisation.common import (
    KEPT,
    Rule,
    bit_width,
    group_size,
    left_alone,
    names,
    quantisation,
)
from hwledger.library.config.reader import Config
from hwledger.model.module_names import ModuleNames
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.tensors import Part

_HALF: Final = 16
_WORD: Final = 32
_NESTED: Final = 256  # bitsandbytes: first-level scales that share a second-level one
_NESTED_TABLES: Final = 4 * (256 + 16)  # its two look-up tables, fp32
_NF4_TABLE: Final = 4 * 16


def gptq(quant: Config, unknowns: list[str]) -> Quantisation:
    """GPTQModel checkpoints: packed weights, an fp16 scale and a packed zero per group, ``g_idx``.

    Source: vLLM 0.33.0 ``layers/quantization/auto_gptq.py`` (``qweight``, ``qzeros``, ``scales``, ``g_idx``).
    ``dynamic`` holds exceptions: ``-:`` leaves modules alone, ``+:`` or no sign packs them differently.
    """
    del unknowns
    packing = _gptq_packing(bit_width(quant, "bits"), group_size(quant, "group_size", default=128))
    rules = _dynamic(quant, packing)
    kept = KEPT - {Part.LM_HEAD} if quant.flag("lm_head") else KEPT
    return quantisation(packing, *left_alone(names(quant)), *rules, kept=kept)


def _gptq_packing(bits: int, group: int) -> Packing:
    return Packing(
        name=f"gptq int{bits} g{group or -1}",
        bits=bits,
        group=group,
        group_bits=_HALF + bits,
        input_bits=_WORD,
    )


def _dynamic(quant: Config, packing: Packing) -> list[Rule]:
    table = quant.value("dynamic")
    if table is None:
        return []
    if not isinstance(table, Mapping):
        raise quant.unusable("dynamic", table, "an object of module patterns")
    rules: list[Rule] = []
    for pattern, change in table.items():
        modules = ModuleNames(["re:" + pattern.removeprefix("-:").removeprefix("+:")])
        if pattern.startswith("-:") or change is False:
            rules.append((modules, None))
            continue
        one = Config(change or {}, quant.where, path=f"{quant.path}dynamic.{pattern}.")
        bits = bit_width(one, "bits", default=packing.bits)
        rules.append(
            (modules, _gptq_packing(bits, group_size(one, "group_size", default=packing.group or -1)))
        )
    return rules


def awq(quant: Config, unknowns: list[str]) -> Quantisation:
    """AWQ checkpoints: packed weights, an fp16 scale and, unless symmetric, a packed zero per group.

    Source: vLLM 0.33.0 ``layers/quantization/auto_awq.py`` (``qweight``, ``qzeros``, ``scales``).
    """
    del unknowns
    bits = bit_width(quant, "bits", "w_bit", default=4)
    group = group_size(quant, "group_size", "q_group_size", default=128)
    zero = bits if quant.flag("zero_point", default=True) else 0
    packing = Packing(name=f"awq int{bits} g{group or -1}", bits=bits, group=group, group_bits=_HALF + zero)
    return quantisation(packing, *left_alone(names(quant)))


def auto_round(quant: Config, unknowns: list[str]) -> Quantisation:
    """AutoRound checkpoints: packed as GPTQ or AWQ; ``extra_config`` holds exceptions per module."""
    del unknowns
    bits, group = bit_width(quant, "bits", default=4), group_size(quant, "group_size", default=128)
    packing = Packing(
        name=f"auto-round int{bits} g{group or -1}", bits=bits, group=group, group_bits=_HALF + bits
    )
    rules: list[Rule] = []
    extra = quant.value("extra_config", default={})
    if not isinstance(extra, Mapping):
        raise quant.unusable("extra_config", extra, "an object of module names")
    for name, change in extra.items():
        one = Config(change, quant.where, path=f"{quant.path}extra_config.{name}.")
        width = bit_width(one, "bits", default=bits)
        plain = width >= _HALF
        size = group_size(one, "group_size", default=group or -1)
        other = replace(packing, bits=width, group=size, group_bits=_HALF + width)
        rules.append((ModuleNames([name]), None if plain else other))
    return quantisation(packing, *left_alone(names(quant)), *rules)


def hqq(quant: Config, unknowns: list[str]) -> Quantisation:
    """HQQ: packed weights, a 16-bit scale and zero per group (hqq 0.2 ``BaseQuantizeConfig``)."""
    del unknowns
    inner = quant.nested("quant_config") or quant
    weight = inner.nested("weight_quant_params") or inner
    bits = bit_width(weight, "nbits", "bits", default=4)
    group = group_size(weight, "group_size", default=64)
    packing = Packing(name=f"hqq int{bits} g{group}", bits=bits, group=group, group_bits=2 * _HALF)
    return quantisation(packing, *left_alone(names(quant, "skip_modules")))


def bitsandbytes(quant: Config, unknowns: list[str]) -> Quantisation:
    """bitsandbytes: nf4 or fp4 with an absmax per 64 elements (double quantised or not), or int8 per row.

    Source: bitsandbytes 0.48 ``functional.py`` ``quantize_4bit`` (blocks of the flattened matrix; with
    double quantisation 8-bit scales, fp32 scales per 256 of those) and ``Int8Params`` (``SCB`` per row).
    """
    rules = left_alone(names(quant, "llm_int8_skip_modules", "modules_to_not_convert"))
    kept = KEPT - {Part.TOWER, Part.ROUTER}
    if quant.flag("load_in_4bit", "_load_in_4bit"):
        kind = quant.text("bnb_4bit_quant_type", default="fp4")
        return quantisation(
            _four_bits(kind, double=quant.flag("bnb_4bit_use_double_quant")), *rules, kept=kept
        )
    if not quant.flag("load_in_8bit", "_load_in_8bit"):
        unknowns.append(
            "bitsandbytes is stated without load_in_4bit or load_in_8bit: weights are counted as int8"
        )
    return quantisation(Packing(name="bitsandbytes int8", bits=8, row_bits=_WORD), *rules, kept=kept)


def _four_bits(kind: str, *, double: bool) -> Packing:
    if not double:
        return Packing(
            name=f"bitsandbytes {kind}",
            bits=4,
            group=64,
            group_bits=_WORD,
            flat=True,
            matrix_bytes=_NF4_TABLE,
        )
    return Packing(
        name=f"bitsandbytes {kind} double quantised", bits=4, group=64 * _NESTED, flat=True,
        group_bits=8 * _NESTED + _WORD, matrix_bytes=_NESTED_TABLES,
    )  # fmt: skip


def aqlm(quant: Config, unknowns: list[str]) -> Quantisation:
    """AQLM: codes per group of inputs and rows, codebooks and a 16-bit scale per row (arXiv 2401.06118)."""
    del unknowns
    inputs = quant.integer("in_group_size", default=8, least=1)
    rows = quant.integer("out_group_size", default=1, least=1)
    width = bit_width(quant, "nbits_per_codebook", default=16)
    books = quant.integer("num_codebooks", default=1, least=1)
    packing = Packing(
        name=f"aqlm {books}x{width}", bits=0, group=inputs, rows=rows, group_bits=books * width,
        row_bits=_HALF, matrix_bytes=2 * books * (1 << width) * inputs * rows,
    )  # fmt: skip
    return quantisation(packing, *left_alone(names(quant, "linear_weights_not_to_quantize")))


def eetq(quant: Config, unknowns: list[str]) -> Quantisation:
    """EETQ: int8 weights with a 16-bit scale per row."""
    del unknowns
    return quantisation(Packing(name="eetq int8", bits=8, row_bits=_HALF), *left_alone(names(quant)))


def unknown(quant: Config, unknowns: list[str]) -> Quantisation | None:
    """A method that is not known: its stated bits with a 16-bit scale per group, and said so.

    Raises:
        MalformedError: it states no bits.
    """
    stated = quant.value("quant_method") or "without a name"
    if not any(quant.has(key) for key in ("bits", "nbits", "w_bit", "num_bits")):
        raise MalformedError(
            f"{quant.where}: the quantisation method {stated!r} is not known and states no bits, so its "
            "weights cannot be sized; remove the entry to plan the model unquantised"
        )
    bits = bit_width(quant, "bits", "nbits", "w_bit", "num_bits")
    group = group_size(quant, "group_size", default=128)
    unknowns.append(
        f"quantisation method {stated} is not known: its matrices are counted with {bits} bits per weight "
        f"and a 16-bit scale per group of {group or 'a row'}"
    )
    packing = Packing(name=f"{stated} {bits} bits", bits=bits, group=group, group_bits=_HALF)
    return quantisation(packing, *left_alone(names(quant)))
