"""MLX: ``quantization`` with bits, group_size and mode, and exceptions per module."""

from collections.abc import Mapping
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.config.quantisation.common import bit_width, by_packing, group_size, quantisation
from hwledger.library.config.quantisation.floats import MXFP4, MXFP8
from hwledger.library.config.reader import Config
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.tensors import Part

_SETTINGS: Final = {"bits", "group_size", "mode", "quant_method", "linear_class", "quantize_input"}
_KEPT: Final = frozenset({Part.NORM, Part.TOWER})
_FIXED: Final = {
    "mxfp4": MXFP4,
    "mxfp8": MXFP8,
    "nvfp4": Packing(name="nvfp4", bits=4, group=16, group_bits=8),
}


def read(quant: Config, unknowns: list[str]) -> Quantisation:
    """Embeddings, the output matrix and routers are packed too; an entry per module overrides.

    ``false`` leaves a module alone, ``true`` packs it as the rest, an object packs it its own way.
    Source: mlx-lm 0.32.2 ``utils.py`` ``load_model``; mlx 0.32 ``quantize``: affine adds a 16-bit scale
    and bias per group, the others an 8-bit scale.
    """
    packing = _packing(quant, 4, 64, "affine")
    modules: dict[str, Packing | None] = {}
    for name, change in quant.raw.items():
        if name in _SETTINGS:
            continue
        modules[name] = _override(quant, name, change, packing)
        if isinstance(change, str | int | float) and not isinstance(change, bool):
            del modules[name]
            unknowns.append(f"MLX quantization field {name} is not known and is left out")
    return quantisation(packing, *by_packing(modules), kept=_KEPT)


def _override(quant: Config, name: str, change: Any, packing: Packing) -> Packing | None:
    if isinstance(change, Mapping):
        one = Config(change, quant.where, path=f"{quant.path}{name}.", facts={})
        return _packing(one, packing.bits, packing.group, "affine")  # the mode is not inherited
    return packing if change else None


def _packing(quant: Config, bits: int, group: int, mode: str) -> Packing:
    mode = quant.text("mode", default=mode)
    if mode in _FIXED:
        return _FIXED[mode]
    if mode != "affine":
        raise MalformedError(
            f"{quant.where}: {quant.path}mode is {mode!r}; MLX knows affine, {', '.join(_FIXED)}"
        )
    bits = bit_width(quant, "bits", default=bits)
    group = group_size(quant, "group_size", default=group)
    return Packing(name=f"mlx {bits}-bit g{group}", bits=bits, group=group, group_bits=32)
