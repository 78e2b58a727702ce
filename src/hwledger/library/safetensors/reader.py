"""A bounded reader of safetensors headers, for one file or all files of a model.

Format: safetensors 0.8: a 64-bit length, a JSON object, the data. Checked here as the library checks it
(holes, overlaps, sizes), and duplicate keys besides, which the library lets the last one win.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any, Final, TypeGuard

from hwledger.errors import MalformedError, MissingError
from hwledger.library.files import Files
from hwledger.library.json_file import read_json_object
from hwledger.library.stored import StoredTensor
from hwledger.model.number_types import number_type

LARGEST_HEADER: Final = 100_000_000
LENGTH_BYTES: Final = 8
FIRST_READ: Final = 16 << 10
"""What is asked for with the length: it holds the whole header of most shards."""
MOST_AXES: Final = 16
LARGEST_SIDE: Final = 1 << 48
INDEX: Final = "model.safetensors.index.json"
TYPES: Final = {
    "BOOL": "u8", "U8": "u8", "I8": "i8", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "F8_E8M0": "fp8", "U16": "u16",
    "I16": "i16", "F16": "f16", "BF16": "bf16", "U32": "u32", "I32": "i32", "F32": "f32", "U64": "u64",
    "I64": "i64", "F64": "f64", "F4": "fp4",
}  # fmt: skip
_PLAIN: Final = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_COPY: Final = re.compile(r"consolidated.*\.safetensors|model\.[\w-]+?(-\d+-of-\d+)?\.safetensors")


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What the header of one file, or of all files of a model, says.

    Attributes:
        tensors: in the order of their data.
        metadata: the free-text ``__metadata__``.
        header_bytes: bytes read, an index included.
        files: files read, an index included.
        notes: what was left aside, in sentences.
    """

    tensors: tuple[StoredTensor, ...]
    metadata: dict[str, str]
    header_bytes: int
    files: int = 1
    notes: tuple[str, ...] = ()


def read_safetensors(files: Files, name: str) -> SafetensorsHeader:
    """Return the header of the file ``name``.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is truncated, no safetensors file, hostile or contradictory.
        InputError: it cannot be read.
    """
    with files.open(name) as file:
        if file.size < LENGTH_BYTES:
            what = f"{file.size} bytes are no safetensors file" if file.size else "the file is empty"
            raise MalformedError(f"{file.where}: {what}")
        first = file.read(0, LENGTH_BYTES, FIRST_READ)
        length = int.from_bytes(first[:LENGTH_BYTES], "little")
        _check_length(file.where, length, file.size)
        end = LENGTH_BYTES + length
        # what came with the length is not asked for again
        held = bytes(first[LENGTH_BYTES:end])
        missing = length - len(held)
        rest = bytes(file.read(end - missing, missing, missing)[:missing]) if missing else b""
        return parse_safetensors(held + rest, file.size - end, file.where)


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


def read_safetensors_model(files: Files) -> SafetensorsHeader:
    """Return the headers of the model in a folder or repository as one.

    The index names the files where there is one; without it every file counts, except the
    ``consolidated`` copies and the variants (``model.fp16.safetensors``) beside a plain set.

    Raises:
        MissingError: a file that the index names is not there, or there is none.
        MalformedError: a header is broken, or two files hold the same tensor.
    """
    names, notes = _names(files)
    headers = files.each(lambda name: read_safetensors(files, name), names)
    tensors = [tensor for header in headers for tensor in header.tensors]
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise MalformedError(f"{files.where}: the tensor {tensor.name} is in two files")
        seen.add(tensor.name)
    metadata = {key: value for header in headers for key, value in header.metadata.items()}
    index = files.sizes().get(INDEX)
    size = sum(header.header_bytes for header in headers) + (index or 0)
    return SafetensorsHeader(tuple(tensors), metadata, size, len(headers) + (index is not None), notes)


def _check_length(where: str, length: int, size: int) -> None:
    if length > LARGEST_HEADER:
        raise MalformedError(f"{where}: the header claims {length:,} bytes; 100,000,000 are allowed")
    if not 2 <= length <= size - LENGTH_BYTES:  # noqa: PLR2004 - an empty JSON object
        raise MalformedError(
            f"{where}: the header claims {length:,} bytes, {size - LENGTH_BYTES:,} are there"
        )


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


def _names(files: Files) -> tuple[list[str], tuple[str, ...]]:
    """Return the files that make up the model, and notes on those left aside."""
    sizes = files.sizes()
    present = sorted(name for name in sizes if name.endswith(".safetensors"))
    if INDEX in sizes:
        return _indexed(files, present)
    if not present:
        raise MissingError(f"{files.where}: there is no .safetensors file")
    plain = [name for name in present if _PLAIN.fullmatch(name)]
    copies = [name for name in present if _COPY.fullmatch(name)]
    if plain and copies:
        return [n for n in present if n not in copies], (f"left aside as copies: {', '.join(copies)}",)
    return present, ()


def _indexed(files: Files, present: list[str]) -> tuple[list[str], tuple[str, ...]]:
    weights = read_json_object(files, INDEX).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        raise MalformedError(f"{files.where}/{INDEX}: weight_map must map tensors to files")
    names = sorted(set(weights.values()))
    for name in names:
        if name not in present:
            raise MissingError(
                f"{files.where}: {name} is named by {INDEX} and is not there; the model is incomplete"
            )
    aside = [name for name in present if name not in names]
    return names, (f"left aside, not named by {INDEX}: {', '.join(aside)}",) if aside else ()
