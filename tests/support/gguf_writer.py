"""Writing small GGUF files by hand, right and wrong ones."""

import struct
from collections.abc import Mapping, Sequence
from math import prod

from hwledger.model.number_types import ggml_types
from hwledger.units import round_up

ALIGNMENT = 32
TensorRow = tuple[str, tuple[int, ...], int]


def text(value: str) -> bytes:
    """Return a string as GGUF stores it."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(item: object) -> bytes:
    """Return a typed value: bool, int (u32), float (f32), string, or a list of one of them."""
    if isinstance(item, bool):
        return struct.pack("<I?", 7, item)
    if isinstance(item, int):
        return struct.pack("<II", 4, item)
    if isinstance(item, float):
        return struct.pack("<If", 6, item)
    if isinstance(item, str):
        return struct.pack("<I", 8) + text(item)
    if isinstance(item, list):
        parts = [value(each) for each in item]
        return (
            struct.pack("<I", 9)
            + parts[0][:4]
            + struct.pack("<Q", len(item))
            + b"".join(p[4:] for p in parts)
        )
    raise TypeError(item)


def gguf(
    metadata: Mapping[str, object],
    tensors: Sequence[TensorRow] = (),
    *,
    data: bool = True,
    shift: int = 0,
    version: int = 3,
) -> bytes:
    """Return a GGUF file; ``tensors`` are (name, shape, type number), ``shift`` moves the second offset."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(text(key) + value(item) for key, item in metadata.items())
    offset = 0
    for index, (name, shape, number) in enumerate(tensors):
        at = offset + (shift if index == 1 else 0)
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, at)
        kind = ggml_types().get(number)
        elements = prod(shape)
        offset = round_up(offset + (kind.nbytes(elements) if kind else elements), ALIGNMENT)
    if not (data and tensors):
        return head
    return head + bytes(round_up(len(head), ALIGNMENT) - len(head)) + bytes(offset)
