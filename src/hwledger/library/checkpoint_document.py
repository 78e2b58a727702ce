"""A checkpoint as a JSON document and back, so that what was read can be kept."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hwledger.library.checkpoint import Checkpoint
from hwledger.library.gguf.reader import GgufHeader, GgufTensor
from hwledger.library.gguf.values import ArraySummary
from hwledger.library.stored import StoredTensor
from hwledger.model.number_types import number_type
from hwledger.model.origin import Origin, Place


def checkpoint_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the facts as JSON values; ``read_document`` gives an equal checkpoint back."""
    gguf = checkpoint.gguf
    return {
        "name": checkpoint.name,
        "where": checkpoint.where,
        "config": checkpoint.config,
        "quant_config": checkpoint.quant_config,
        "adapter": checkpoint.adapter,
        "tensors": [[t.name, t.dtype.name, list(t.shape), t.nbytes] for t in checkpoint.tensors],
        "tensor_format": checkpoint.tensor_format,
        "header_bytes": checkpoint.header_bytes,
        "files": checkpoint.files,
        "notes": list(checkpoint.notes),
        "origin": None if checkpoint.origin is None else asdict(checkpoint.origin),
        "gguf": None if gguf is None else _gguf_document(gguf),
    }


def read_document(document: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint of a document.

    Raises:
        KeyError, TypeError, ValueError, UnknownOptionError: it was not made by ``checkpoint_document``.
    """
    return Checkpoint(
        name=document["name"],
        where=document["where"],
        config=document["config"],
        quant_config=document["quant_config"],
        adapter=document["adapter"],
        tensors=tuple(
            StoredTensor(name, number_type(kind), tuple(shape), nbytes)
            for name, kind, shape, nbytes in document["tensors"]
        ),
        tensor_format=document["tensor_format"],
        header_bytes=document["header_bytes"],
        files=document["files"],
        notes=tuple(document["notes"]),
        origin=_read_origin(document["origin"]),
        gguf=None if document["gguf"] is None else _read_gguf(document["gguf"]),
    )


def _read_origin(document: Mapping[str, Any] | None) -> Origin | None:
    if document is None:
        return None
    return Origin(
        place=Place(document["place"]), name=document["name"], path=document["path"],
        withheld=document["withheld"],
    )  # fmt: skip


def _gguf_document(header: GgufHeader) -> dict[str, Any]:
    return {
        "metadata": {key: _value_document(value) for key, value in header.metadata.items()},
        "tensors": [[t.name, list(t.shape), t.type.name, t.offset, t.nbytes] for t in header.tensors],
        "numbers": [header.version, header.alignment, header.header_bytes, header.file_bytes,
                    header.missing_data_bytes],
    }  # fmt: skip


def _read_gguf(document: Mapping[str, Any]) -> GgufHeader:
    tensors = tuple(
        GgufTensor(name, tuple(shape), number_type(kind), offset, nbytes)
        for name, shape, kind, offset, nbytes in document["tensors"]
    )
    metadata = {key: _read_value(value) for key, value in document["metadata"].items()}
    return GgufHeader(metadata, tensors, *document["numbers"])


def _value_document(value: object) -> object:
    if isinstance(value, ArraySummary):
        return {"length": value.length, "element_type": value.element_type}
    return list(value) if isinstance(value, tuple) else value


def _read_value(value: object) -> object:
    if isinstance(value, dict):
        return ArraySummary(value["length"], value["element_type"])
    return tuple(value) if isinstance(value, list) else value
