"""How the weights of a checkpoint are stored: packed matrices, their scales, and what stays as it was."""

from dataclasses import dataclass
from math import prod
from typing import Protocol

from hwledger.model.number_types import NumberType, number_type
from hwledger.model.tensors import Part, Tensor
from hwledger.units import cdiv

_TABLES = frozenset({Part.EMBEDDING, Part.PER_LAYER_EMBEDDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The storage of one packed matrix of shape (out, in).

    Attributes:
        name: what people call it: ``gptq int4 g128``, ``fp8 block 128x128``, ``nvfp4``.
        bits: bits per weight in the packed tensor.
        group: consecutive inputs that share a scale; 0: a whole row; -1: the whole matrix.
        rows: rows that share a scale (128 for block-wise fp8).
        group_bits: bits that each group adds: scale, zero point, bias.
        matrix_bytes: bytes added once per matrix: global or activation scales.
        flat: groups run on over row ends (bitsandbytes), so their number is that of all elements.
        row_bits: bits that each output row adds beside its groups.
        input_bits: bits that each input column adds: GPTQ's order of groups (``g_idx``), AWQ's
            smoothing scales in ModelOpt files.
    """

    name: str
    bits: int
    group: int = 0
    rows: int = 1
    group_bits: int = 0
    matrix_bytes: int = 0
    flat: bool = False
    row_bits: int = 0
    input_bits: int = 0

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of one matrix, its scales and zero points included."""
        *lead, inputs = shape
        outputs = prod(lead)
        extra = outputs * self.row_bits + inputs * self.input_bits
        scales = self._groups(outputs, inputs) * self.group_bits
        weights = outputs * inputs * self.bits
        return cdiv(weights, 8) + cdiv(scales, 8) + cdiv(extra, 8) + self.matrix_bytes

    def _groups(self, outputs: int, inputs: int) -> int:
        if self.group < 0:
            return 1
        if self.flat:
            return cdiv(outputs * inputs, self.group)
        return cdiv(outputs, self.rows) * (cdiv(inputs, self.group) if self.group else 1)


class Modules(Protocol):
    """Something that says whether a module name is meant: ``ModuleNames`` or a compiled expression."""

    def search(self, name: str, /) -> object:
        """Return something true where ``name`` is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """The quantisation of a model.

    Attributes:
        method: name of the method as the config states it (``gptq``, ``fp8``, ``mxfp4`` …).
        packing: storage of the matrices that are quantised.
        overrides: module names with a storage of their own; ``None``: left unquantised. The first
            match wins. They are matched with ``search`` on the tensor name without ``.weight``.
        kept_parts: parts that stay unquantised where no override names them. Embeddings are packed
            only by methods that do not keep them (MLX).
        kv_cache_type: number type that the checkpoint asks for in the KV cache.
        origin: where this was read.
    """

    method: str
    packing: Packing
    overrides: tuple[tuple[Modules, Packing | None], ...] = ()
    kept_parts: frozenset[Part] = frozenset({Part.EMBEDDING, Part.LM_HEAD, Part.NORM, Part.ROUTER})
    kv_cache_type: str | None = None
    origin: str = ""

    def packing_of(self, tensor: Tensor) -> Packing | None:
        """Storage of ``tensor``, or ``None`` where it stays in the model's number type."""
        packable = tensor.linear or tensor.part in _TABLES - self.kept_parts
        if not packable or len(tensor.shape) < 2:  # noqa: PLR2004 - a matrix has two axes
            return None
        module = tensor.name.removesuffix(".weight")
        for pattern, packing in self.overrides:
            if pattern.search(module):
                return packing
        return None if tensor.part in self.kept_parts else self.packing


def stored_bytes(tensor: Tensor, quantisation: Quantisation | None, plain: NumberType) -> int:
    """Bytes of all copies of a tensor: from its header where there was one, computed otherwise."""
    if tensor.stored_bytes is not None:
        return tensor.stored_bytes
    if tensor.stored_type is not None:
        return number_type(tensor.stored_type).nbytes(tensor.parameters)
    packing = quantisation.packing_of(tensor) if quantisation else None
    if packing is None:
        return plain.nbytes(tensor.parameters)
    return packing.nbytes(tensor.shape) * tensor.copies
