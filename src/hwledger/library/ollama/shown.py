"""What ``/api/show`` says of a model, as the GGUF header that it was read from."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any, Final

from hwledger.errors import InputError, MalformedError, UnknownOptionError
from hwledger.library.checkpoint import Checkpoint
from hwledger.library.fields import mapping, rows, text, whole
from hwledger.library.gguf.reader import (
    DEFAULT_ALIGNMENT,
    LARGEST_NAME,
    LARGEST_TENSOR,
    MOST_AXES,
    MOST_TENSORS,
    GgufHeader,
    GgufTensor,
)
from hwledger.library.gguf.values import KEPT_ELEMENTS, ArraySummary
from hwledger.model.number_types import number_type
from hwledger.model.spec import Fact, ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.units import round_up

FILE_BYTES: Final = "ollama.file_bytes"
PACKED: Final = "ollama.quantization_level"
_NAMES: Final = {int: "i64", float: "f64", str: "string", bool: "bool"}


def shown_checkpoint(shown: Mapping[str, Any], where: str, size: int | None) -> Checkpoint:
    """Return the facts of a model that only the server knows.

    Layers are exact, for they come from the file's own metadata. So are weights where the server lists the
    tensors; else the size of the file is kept, for ``with_file_weights``.

    Args:
        shown: the reply of ``/api/show``.
        where: name for sentences.
        size: bytes of the file, where the server says that.

    Raises:
        InputError: the model is no GGUF.
        MalformedError: the reply contradicts itself.
    """
    kind = text(mapping(shown.get("details")).get("format"))
    if kind and kind != "gguf":
        raise InputError(
            f"{where}: Ollama keeps this model as {kind[:40]}, of which its server says no layers; plan the"
            " repository that it was made from"
        )
    metadata = _metadata(shown, where)
    tensors = _tensors(shown, where)
    if size and not tensors:
        packed = text(mapping(shown.get("details")).get("quantization_level"))[:40]
        metadata |= {FILE_BYTES: size, PACKED: packed}
    header = GgufHeader(metadata, tensors, file_bytes=size or 0)
    return Checkpoint(name="", where=where, gguf=header, notes=_projector(shown))


def with_file_weights(spec: ModelSpec) -> ModelSpec:
    """Return the model with the size of its file as weights, where no tensors and that size are known.

    The bytes are spread over the layers, so that layers can be placed; ``unknowns`` says so.
    """
    size, count = whole(spec.metadata.get(FILE_BYTES)), len(spec.layers)
    if spec.tensors or not size or not count:
        return spec
    parameters = whole(spec.metadata.get("general.parameter_count")) or 0
    tensors = tuple(
        Tensor(
            name=f"blk.{layer}.*", shape=(_share(min(parameters, LARGEST_TENSOR), layer, count),),
            part=Part.OTHER, layer=layer, stored_bytes=_share(size, layer, count),
        )
        for layer in range(count)
    )  # fmt: skip
    fact = Fact(size, "size of the file, as Ollama's server states it")
    said = tuple(sentence for sentence in spec.unknowns if "no tensor list" not in sentence)
    return replace(
        spec, tensors=tensors, exact_tensors=True, facts={**spec.facts, "weights": fact},
        unknowns=(*said, _spread_note(size, text(spec.metadata.get(PACKED)))),
    )  # fmt: skip


def lacks_arrays(shown: Mapping[str, Any]) -> bool:
    """Whether the short reply leaves out a list that says how the layers differ."""
    info = mapping(shown.get("model_info"))
    prefix = f"{text(info.get('general.architecture'))}."
    return any(key.startswith(prefix) and value in (None, []) for key, value in info.items())


def _metadata(shown: Mapping[str, Any], where: str) -> dict[str, object]:
    info = mapping(shown.get("model_info"))
    if not info:
        raise MalformedError(f"{where}: the server says nothing of this model's layers; update Ollama")
    values = {key: _value(value) for key, value in info.items() if value not in (None, [])}
    return {key: value for key, value in values.items() if value is not None}


def _value(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        return None
    if len(value) > KEPT_ELEMENTS:
        return ArraySummary(len(value), _NAMES[type(value[0])])
    return tuple(value)


def _tensors(shown: Mapping[str, Any], where: str) -> tuple[GgufTensor, ...]:
    listed = rows(shown.get("tensors"))
    if len(listed) > MOST_TENSORS:
        raise MalformedError(f"{where}: the server lists {len(listed):,} tensors, which no model has")
    tensors, offset, names = [], 0, set()
    for row in listed:
        tensor = _tensor(row, offset, where)
        if tensor.name in names:
            raise MalformedError(f"{where}: the server lists the tensor {tensor.name} twice")
        names.add(tensor.name)
        tensors.append(tensor)
        offset = round_up(offset + tensor.nbytes, DEFAULT_ALIGNMENT)
    return tuple(tensors)


def _tensor(row: Mapping[str, Any], offset: int, where: str) -> GgufTensor:
    name, shape = text(row.get("name"))[:LARGEST_NAME], row.get("shape")
    axes = tuple(whole(axis) or 0 for axis in shape) if isinstance(shape, list) else ()
    try:
        kind = number_type(text(row.get("type"))[:40])
    except UnknownOptionError:
        raise MalformedError(f"{where}: the tensor {name} has a type that ggml does not have") from None
    sound = name and 1 <= len(axes) <= MOST_AXES and 0 < prod(axes) <= LARGEST_TENSOR
    if not sound or axes[0] % kind.block:
        raise MalformedError(f"{where}: the tensor {name!r} has the impossible shape {str(shape)[:80]}")
    return GgufTensor(name, axes, kind, offset, kind.nbytes(prod(axes)))


def _share(whole_size: int, layer: int, layers: int) -> int:
    """Return the piece of one layer; all pieces together are the whole."""
    return whole_size * (layer + 1) // layers - whole_size * layer // layers


def _spread_note(size: int, packed: str) -> str:
    return (
        "this server lists no tensors: layers and cache are exact, and weights are the"
        f" {size:,} bytes of the file{f' ({packed})' if packed else ''} in equal pieces over the layers,"
        " embedding and output included; a newer Ollama, or its store on disk, makes them exact"
    )


def _projector(shown: Mapping[str, Any]) -> tuple[str, ...]:
    if not mapping(shown.get("projector_info")):
        return ()
    return ("the vision or audio projector beside this model is loaded, too, and is not counted",)
