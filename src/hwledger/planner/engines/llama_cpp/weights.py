"""Bytes of a model's weights by where llama.cpp can put them: input, layers, experts, output.

Sources: llama.cpp b11434 ``src/llama-model.cpp`` ``load_tensors``, ``src/llama-model-loader.cpp``
``create_tensor``; padding: ``ggml/src/ggml-cuda/ggml-cuda.cu`` ``buffer_type_get_alloc_size``.
"""

from dataclasses import dataclass
from typing import Final
from weakref import finalize

from hwledger.model.kept import kept
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.weights import weigh
from hwledger.units import round_up

ALIGNMENT: Final = 128
ROW_PADDING: Final = 512
INPUT: Final = frozenset({Part.EMBEDDING, Part.PER_LAYER_EMBEDDING})


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of some tensors in host memory and, padded, on a device; and the largest of them."""

    host: int = 0
    device: int = 0
    largest: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.host + other.host, self.device + other.device, max(self.largest, other.largest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """The weights of one model.

    Attributes:
        input: token and per-layer embeddings, which stay in host memory.
        output: output matrix and final norm; where the embedding is tied, a second copy of it.
        own_output: the same without that copy.
        layers: per layer without routed experts, MTP layers behind the others.
        experts: routed experts per layer.
    """

    input: Size
    output: Size
    own_output: Size
    layers: tuple[Size, ...]
    experts: tuple[Size, ...]


_loads: dict[int, dict[str | None, Loads]] = {}


def loads_of(spec: ModelSpec, override: str | None) -> Loads:
    """Return the weights of ``spec`` sorted by destination, computed once per model and type."""
    if id(spec) not in _loads:  # a spec is not hashable: its metadata is a plain mapping
        _loads[id(spec)] = {}
        finalize(spec, _loads.pop, id(spec), None)
    known = _loads[id(spec)]
    if override not in known:
        known[override] = _sorted(spec, _scales(spec, override))
    return known[override]


def _scales(spec: ModelSpec, override: str | None) -> dict[int | None, float] | None:
    """Re-packed bytes over stored bytes of each layer, and of what is outside; ``None``: as stored."""
    if override is None and spec.exact_tensors:
        return None
    table = weigh(spec, override)
    stored: dict[int | None, int] = {}
    for one, size in zip(spec.tensors, _stored(spec), strict=False):
        stored[one.layer] = stored.get(one.layer, 0) + size
    scales: dict[int | None, float] = {
        index: size / max(1, stored.get(index, 0)) for index, size in enumerate(table.by_layer)
    }
    scales[None] = table.outside_layers / max(1, stored.get(None, 0))
    return scales


def _sorted(spec: ModelSpec, scales: dict[int | None, float] | None) -> Loads:
    count = len(spec.layers) + len(spec.mtp_layers)
    layers, experts = [Size()] * count, [Size()] * count
    read, output, embedding = Size(), Size(), Size()
    for one, stored in zip((*spec.tensors, *spec.mtp_tensors), _stored(spec), strict=True):
        size = _size(one, stored, scales)
        if one.layer is not None and one.layer < count:
            where = experts if one.part is Part.EXPERTS else layers
            where[one.layer] += size
        elif one.part in INPUT:
            read += size
            embedding += size if one.part is Part.EMBEDDING and len(one.shape) > 1 else Size()
        else:
            output += size
    return Loads(
        input=read,
        output=output + embedding if spec.tied_embeddings else output,
        own_output=output,
        layers=tuple(layers),
        experts=tuple(experts),
    )


def _stored(spec: ModelSpec) -> tuple[int, ...]:
    """Bytes of each tensor as stored, those of MTP layers last; summed up anew for each packing."""
    tensors = (*spec.tensors, *spec.mtp_tensors)
    return kept(spec, "llama.cpp stored", lambda: tuple(_bytes(one, spec.number_type) for one in tensors))


def _bytes(one: Tensor, plain: str) -> int:
    if one.stored_bytes is not None:
        return one.stored_bytes
    return number_type(one.stored_type or plain).nbytes(one.parameters)


def _size(one: Tensor, stored: int, scales: dict[int | None, float] | None) -> Size:
    if scales is not None:
        stored = round(stored * scales.get(one.layer, 1.0))
        return Size(stored, stored, stored)
    return Size(stored, _padded(one, stored), stored)


def _padded(one: Tensor, stored: int) -> int:
    """Bytes on a CUDA device: quantised rows up to 512 elements once, then 128 bytes."""
    kind = number_type(one.stored_type) if one.stored_type else None
    rest = one.shape[-1] % ROW_PADDING if one.shape else 0
    if kind is not None and kind.block > 1 and rest:
        stored += kind.nbytes(ROW_PADDING - rest)
    return round_up(stored, ALIGNMENT)
