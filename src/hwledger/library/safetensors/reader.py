"""A bounded reader of safetensors headers, for one file or all files of a model.

Format: safetensors 0.8: a 64-bit length, a JSON object, the data. Checked here as the library checks it
(holes, overlaps, sizes), and duplicate keys besides, which the library lets the last one win.
"""

import json
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, TypeGuard

from hwledger.errors import InputError, MalformedError, MissingError
from hwledger.library.json_file import read_json_object
from hwledger.model.number_types import NumberType, number_type

LARGEST_HEADER: Final = 100_000_000
LENGTH_BYTES: Final = 8
MOST_AXES: Final = 16
LARGEST_SIDE: Final = 1 << 48
INDEX: Final = "model.safetensors.index.json"
TYPES: Final = {
    "BOOL": "u8", "U8": "u8", "I8": "i8", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "F8_E8M0": "fp8", "U16": "u16",
    "I16": "i16", "F16": "f16", "BF16": "bf16", "U32": "u32", "I32": "i32", "F32": "f32", "U64": "u64",
    "I64": "i64", "F64": "f64", "F4": "fp4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a header; ``shape`` as stored, so packed where the weights are."""

    name: str
    dtype: NumberType
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What the header of one file, or of all files of a model, says.

    Attributes:
        tensors: in the order of their data.
        metadata: the free-text ``__metadata__``.
        header_bytes: bytes read.
        notes: what was left aside, in sentences.
    """

    tensors: tuple[StoredTensor, ...]
    metadata: dict[str, str]
    header_bytes: int
    notes: tuple[str, ...] = ()


def read_safetensors(path: Path) -> SafetensorsHeader:
    """Return the header of one file.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is truncated, no safetensors file, hostile or contradictory.
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            _check_length(path, length, size)
            raw = file.read(length)
    except FileNotFoundError:
        raise MissingError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_safetensors(raw, size - LENGTH_BYTES - length, str(path))


def parse_safetensors(raw: bytes, data_bytes: int, where: str) -> SafetensorsHeader:
    """Return the header whose JSON is ``raw``; ``data_bytes`` follow it in the file.

    Raises:
        MalformedError: as ``read_safetensors``.
    """
    entries = _parse(raw, where)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedError(f"{where}: __metadata__ must map text to text")
    placed = sorted((_entry(name, entry, where) for name, entry in entries.items()), key=lambda item: item[0])
    end = 0
    for (start, stop), tensor in placed:
        if start != end:
            what = "overlap" if start < end else "leave a hole"
            raise MalformedError(f"{where}: the data of {tensor.name} and of its neighbour {what}")
        end = stop
    if data_bytes and end != data_bytes:
        what = "is cut short" if end > data_bytes else "goes on after its last tensor"
        raise MalformedError(
            f"{where}: the file {what} ({data_bytes:,} bytes of data, {end:,} are described)"
        )
    return SafetensorsHeader(tuple(t for _, t in placed), metadata, len(raw) + LENGTH_BYTES)


def read_safetensors_folder(folder: Path) -> SafetensorsHeader:
    """Return the headers of the model in ``folder`` as one.

    The index names the files where there is one; without it every file counts, except the
    ``consolidated`` copies beside a sharded set.

    Raises:
        MissingError: a file that the index names is not there, or there is none.
        MalformedError: a header is broken, or two files hold the same tensor.
    """
    names, notes = _files(folder)
    headers = [read_safetensors(folder / name) for name in names]
    tensors = [tensor for header in headers for tensor in header.tensors]
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise MalformedError(f"{folder}: the tensor {tensor.name} is in two files")
        seen.add(tensor.name)
    metadata = {key: value for header in headers for key, value in header.metadata.items()}
    return SafetensorsHeader(tuple(tensors), metadata, sum(h.header_bytes for h in headers), notes)


def _check_length(path: Path, length: int, size: int) -> None:
    if size == 0:
        raise MalformedError(f"{path}: the file is empty")
    if size < LENGTH_BYTES:
        raise MalformedError(f"{path}: {size} bytes are no safetensors file")
    if length > LARGEST_HEADER:
        raise MalformedError(f"{path}: the header claims {length:,} bytes; 100,000,000 are allowed")
    if not 2 <= length <= size - LENGTH_BYTES:  # noqa: PLR2004 - an empty JSON object
        raise MalformedError(f"{path}: the header claims {length:,} bytes, {size - LENGTH_BYTES:,} are there")


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise MalformedError(f"{where}: the key {twice!r} is in the header twice")
        return found

    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except UnicodeDecodeError:
        raise MalformedError(f"{where}: the header is no UTF-8 text, so no safetensors file") from None
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedError(
            f"{where}: the header is no valid JSON ({why}), so no safetensors file"
        ) from None
    if not isinstance(value, dict):
        raise MalformedError(
            f"{where}: the header is a JSON {type(value).__name__} where an object is needed"
        )
    return value


def _entry(name: str, entry: object, where: str) -> tuple[tuple[int, int], StoredTensor]:
    if not isinstance(entry, dict):
        raise MalformedError(f"{where}: the entry of {name} is no object")
    kind, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in TYPES:
        raise MalformedError(f"{where}: the tensor {name} has the type {kind!r}, which is not known")
    if not _whole_numbers(shape) or len(shape) > MOST_AXES:
        raise MalformedError(f"{where}: the tensor {name} has an impossible shape")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:  # noqa: PLR2004
        raise MalformedError(f"{where}: the tensor {name} has impossible data_offsets")
    number = number_type(TYPES[kind])
    size = number.nbytes(prod(shape))
    if size != offsets[1] - offsets[0]:
        raise MalformedError(
            f"{where}: the tensor {name} needs {size:,} bytes, its offsets give {offsets[1] - offsets[0]:,}"
        )
    return (offsets[0], offsets[1]), StoredTensor(name, number, tuple(shape), size)


def _whole_numbers(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v <= LARGEST_SIDE for v in value)


def _files(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    present = sorted(path.name for path in folder.glob("*.safetensors"))
    if (folder / INDEX).is_file():
        return _indexed(folder, present)
    if not present:
        raise MissingError(f"{folder}: there is no .safetensors file")
    model = [name for name in present if name.startswith("model")]
    aside = [name for name in present if name.startswith("consolidated")]
    if model and aside:
        return [name for name in present if name not in aside], (f"left aside as copies: {', '.join(aside)}",)
    return present, ()


def _indexed(folder: Path, present: list[str]) -> tuple[list[str], tuple[str, ...]]:
    weights = read_json_object(folder / INDEX).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        raise MalformedError(f"{folder / INDEX}: weight_map must map tensors to files")
    names = sorted(set(weights.values()))
    for name in names:
        if name not in present or Path(name).name != name:
            raise MissingError(
                f"{folder}: {name} is named by {INDEX} and is not there; the model is incomplete"
            )
    aside = [name for name in present if name not in names]
    return names, (f"left aside, not named by {INDEX}: {', '.join(aside)}",) if aside else ()
