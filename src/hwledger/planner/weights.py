"""Weight bytes of a model: as stored, or re-packed in another type; the same table for every engine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import finalize

from hwledger.errors import UnknownOptionError
from hwledger.model.ggml_mixes import BASES, ggml_mix, is_ggml_mix, mixed_types
from hwledger.model.kept import kept
from hwledger.model.number_types import NumberType, number_type, number_types
from hwledger.model.packings import NamedPacking, named_packings
from hwledger.model.quantisation import stored_bytes
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.memory import Basis

REPACKED_SPREAD: Final = 0.03
"""Half width of the interval of re-packed weights: tools differ in the tensors that they leave alone."""

Rule = Callable[[Tensor], int]


@dataclass(frozen=True, kw_only=True)
class WeightTable:
    """Bytes of the weights of one model, MTP heads apart.

    Attributes:
        total: bytes of everything that an engine loads without speculation.
        by_layer: bytes per decoder layer.
        by_part: bytes per part.
        mtp: bytes of the MTP heads.
        low, high: 80 % interval of ``total``.
        basis: ``exact`` as stored; ``calibrated`` where the weights are re-packed.
        source: where the figures come from.
    """

    total: int
    by_layer: tuple[int, ...]
    by_part: Mapping[Part, int]
    mtp: int
    low: int
    high: int
    basis: Basis
    source: str

    @property
    def outside_layers(self) -> int:
        """Bytes of everything outside the decoder layers: embeddings, head, final norm, towers."""
        return self.total - sum(self.by_layer)


_tables: dict[int, dict[str | None, WeightTable]] = {}


def weigh(spec: ModelSpec, override: str | None = None) -> WeightTable:
    """Return the weight bytes of ``spec``, computed once per model and type.

    Args:
        spec: the model.
        override: ``None``: as stored. Otherwise the matrices are re-packed: a llama-quantize mix
            (``Q4_K_M``), a packing (``awq``, ``nf4``, MLX's ``4bit``) or a number type (``f16``,
            ``q4_0``). Norms and other vectors, and what that packing leaves alone, stay as they are.

    Raises:
        UnknownOptionError: there is no such type.
    """
    if id(spec) not in _tables:  # a spec is not hashable: its metadata is a plain mapping
        _tables[id(spec)] = {}
        finalize(spec, _tables.pop, id(spec), None)
    tables = _tables[id(spec)]
    if override not in tables:
        tables[override] = _stored(spec) if override is None else _repacked(spec, override)
    return tables[override]


def stored_sizes(spec: ModelSpec) -> tuple[int, ...]:
    """Return the bytes of each tensor as stored, in order, those of the MTP heads behind; computed once."""
    plain = number_type(spec.number_type)
    return kept(
        spec, "stored sizes",
        lambda: tuple(stored_bytes(t, spec.quantisation, plain) for t in (*spec.tensors, *spec.mtp_tensors)),
    )  # fmt: skip


def weight_types() -> tuple[str, ...]:
    """Return the names that ``weigh`` takes, aliases left out."""
    packings = dict.fromkeys(named.packing.name for named in named_packings().values())
    return (*packings, *BASES, *(name for name in number_types() if name.upper() not in BASES))


def check_weight_type(name: str) -> None:
    """Check that ``weigh`` knows a type.

    Raises:
        UnknownOptionError: there is no such type.
    """
    if name.lower() not in named_packings() and not is_ggml_mix(name):
        _known_type(name)


def _stored(spec: ModelSpec) -> WeightTable:
    plain = number_type(spec.number_type)
    if spec.stored_tensors:
        sizes = [(tensor, stored_bytes(tensor, None, plain)) for tensor in spec.stored_tensors]
        return _table(spec, sizes, [], Basis.EXACT, 0.0, "tensor headers")
    source = "tensor headers" if spec.exact_tensors else "tensor shapes of the config and its quantisation"
    sizes = [(tensor, stored_bytes(tensor, spec.quantisation, plain)) for tensor in spec.tensors]
    mtp = [(tensor, stored_bytes(tensor, spec.quantisation, plain)) for tensor in spec.mtp_tensors]
    return _table(spec, sizes, mtp, Basis.EXACT, 0.0, source)


def _repacked(spec: ModelSpec, override: str) -> WeightTable:
    named = named_packings().get(override.lower())
    source = f"matrices re-packed as {override}"
    if named:
        rule, source = _packing_rule(spec, named), f"{source}; {named.source}"
    elif is_ggml_mix(override):
        return _mixed(spec, override)
    else:
        rule = _type_rule(spec, _known_type(override))
    sizes = [(tensor, rule(tensor)) for tensor in spec.tensors]
    mtp = [(tensor, rule(tensor)) for tensor in spec.mtp_tensors]
    return _table(spec, sizes, mtp, Basis.CALIBRATED, REPACKED_SPREAD, source)


def _mixed(spec: ModelSpec, override: str) -> WeightTable:
    kinds = mixed_types(spec, override)
    sizes = [(t, kind.nbytes(t.parameters)) for t, kind in zip(spec.tensors, kinds, strict=True)]
    base = number_type(BASES[ggml_mix(override)])
    mtp = [(tensor, base.nbytes(tensor.parameters)) for tensor in spec.mtp_tensors]
    source = f"{ggml_mix(override)} by llama.cpp b11434 src/llama-quant.cpp"
    return _table(spec, sizes, mtp, Basis.CALIBRATED, REPACKED_SPREAD, source)


def _known_type(name: str) -> NumberType:
    try:
        return number_type(name)
    except UnknownOptionError:
        raise UnknownOptionError("weight type", name, weight_types()) from None


def _packing_rule(spec: ModelSpec, named: NamedPacking) -> Rule:
    def rule(tensor: Tensor) -> int:
        packed = _is_matrix(tensor) and (tensor.linear or spec.exact_tensors or tensor.part is Part.EMBEDDING)
        if packed and tensor.part not in named.kept_parts:
            return named.packing.nbytes(tensor.shape) * tensor.copies
        return _as_it_is(spec, tensor)

    return rule


def _type_rule(spec: ModelSpec, kind: NumberType) -> Rule:
    def rule(tensor: Tensor) -> int:
        fits = _is_matrix(tensor) and tensor.shape[-1] % kind.block == 0
        return kind.nbytes(tensor.parameters) if fits else _as_it_is(spec, tensor)

    return rule


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) > 1 and tensor.part is not Part.NORM


def _as_it_is(spec: ModelSpec, tensor: Tensor) -> int:
    """Bytes of a tensor that is not re-packed: in the model's own type, 16 bits where it was packed."""
    plain = number_type(spec.number_type)
    if _is_matrix(tensor):  # packed in the source, left alone in the new packing
        return plain.nbytes(tensor.parameters)
    return stored_bytes(tensor, None, plain)


def _table(  # noqa: PLR0913, PLR0917 - one place builds the table
    spec: ModelSpec,
    sizes: Sequence[tuple[Tensor, int]],
    mtp_sizes: Iterable[tuple[Tensor, int]],
    basis: Basis,
    spread: float,
    source: str,
) -> WeightTable:
    by_layer = [0] * len(spec.layers)
    by_part: dict[Part, int] = {}
    mtp = sum(size for _, size in mtp_sizes)
    total = 0
    for tensor, size in sizes:
        if tensor.layer is not None and tensor.layer >= len(by_layer):  # MTP layers count on from the last
            mtp += size
            continue
        total += size
        by_part[tensor.part] = by_part.get(tensor.part, 0) + size
        if tensor.layer is not None:
            by_layer[tensor.layer] += size
    return WeightTable(
        total=total, by_layer=tuple(by_layer), by_part=by_part, mtp=mtp, basis=basis, source=source,
        low=round(total * (1 - spread)), high=round(total * (1 + spread)),
    )  # fmt: skip
