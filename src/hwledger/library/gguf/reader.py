"""A bounded reader of GGUF headers: metadata and tensor list, never the weights.

Format: ggml ``docs/gguf.md``, versions 2 and 3. Everything that a hostile file could claim is checked
against the bytes that are there before it is believed, so time and memory are bounded by the header.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final

from hwledger.errors import MalformedError
from hwledger.library.files import ByteFile, Files
from hwledger.library.gguf.cursor import LARGEST_CHUNK, Cursor
from hwledger.library.gguf.values import read_value
from hwledger.model.number_types import NumberType, ggml_types
from hwledger.units import round_up

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
LARGEST_KEY: Final = 1 << 16
LARGEST_NAME: Final = 256
MOST_KEYS: Final = 1 << 16
MOST_TENSORS: Final = 1 << 17
MOST_AXES: Final = 4
DEFAULT_ALIGNMENT: Final = 32
LARGEST_ALIGNMENT: Final = 1 << 20
LARGEST_TENSOR: Final = 1 << 60
# A key takes at least a length, a type and a byte of value; a tensor a length, axes, a type and an offset.
LEAST_KEY_BYTES: Final = 13
LEAST_TENSOR_BYTES: Final = 24
USUAL_TENSOR_BYTES: Final = 60


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of the list; ``shape`` is in the file's order, the fastest axis first."""

    name: str
    shape: tuple[int, ...]
    type: NumberType
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header of one file, or of all files of a split model, says.

    Attributes:
        metadata: key → value; long arrays as ``ArraySummary``.
        tensors: the tensor list, in file order.
        version: of the format.
        alignment: of the tensor data, in bytes.
        header_bytes: bytes read.
        file_bytes: size of the file or files.
        missing_data_bytes: tensor data that the header lists, where the file is the header alone.
    """

    metadata: Mapping[str, object]
    tensors: tuple[GgufTensor, ...] = ()
    version: int = 3
    alignment: int = DEFAULT_ALIGNMENT
    header_bytes: int = 0
    file_bytes: int = 0
    missing_data_bytes: int = field(default=0)


def read_gguf(files: Files, name: str) -> GgufHeader:
    """Return the header of the GGUF file ``name``.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is no GGUF file, or its header is truncated, hostile or contradictory.
        InputError: it cannot be read.
    """
    with files.open(name) as file:
        return parse_gguf(file)


def parse_gguf(file: ByteFile) -> GgufHeader:
    """Return the header of ``file``, which may go on with tensor data.

    Raises:
        MalformedError: as ``read_gguf``.
    """
    if not file.size:
        raise MalformedError(f"{file.where}: the file is empty")
    cursor = Cursor(file)
    version = _read_version(cursor)
    tensor_count = cursor.u64("the number of tensors")
    key_count = cursor.u64("the number of keys")
    _check_counts(cursor, tensor_count, key_count)
    metadata = _read_metadata(cursor, key_count)
    alignment = _alignment(cursor, metadata)
    tensors = _read_tensors(cursor, tensor_count)
    missing = _check_data(cursor, tensors, alignment)
    return GgufHeader(metadata, tensors, version, alignment, cursor.position, cursor.size, missing)


def _read_version(cursor: Cursor) -> int:
    magic = cursor.take(min(len(MAGIC), cursor.size), "its first bytes")
    if magic != MAGIC:
        raise MalformedError(f"{cursor.where}: this is no GGUF file (it starts with {magic!r})")
    version = cursor.u32("the version")
    if version and version & 0xFFFF == 0:
        raise MalformedError(
            f"{cursor.where}: this GGUF file is big-endian, which llama.cpp does not load here"
        )
    if version not in VERSIONS:
        raise MalformedError(
            f"{cursor.where}: GGUF version {version} is not one of 2 and 3; convert the file anew"
        )
    return version


def _check_counts(cursor: Cursor, tensors: int, keys: int) -> None:
    left = cursor.left
    if keys > MOST_KEYS or keys * LEAST_KEY_BYTES > left:
        raise cursor.broken(f"it claims {keys:,} keys, {left:,} bytes are left")
    if tensors > MOST_TENSORS or tensors * LEAST_TENSOR_BYTES > left:
        raise cursor.broken(f"it claims {tensors:,} tensors, {left:,} bytes are left")


def _read_metadata(cursor: Cursor, count: int) -> dict[str, object]:
    metadata: dict[str, object] = {}
    for _ in range(count):
        key = _name(cursor, "a key", LARGEST_KEY)
        if key in metadata:
            raise cursor.broken(f"the key {key} is there twice")
        metadata[key] = read_value(cursor, cursor.u32(f"the type of {key}"), key)
    return metadata


def _name(cursor: Cursor, what: str, limit: int) -> str:
    raw = cursor.text(what, limit)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise cursor.broken(f"{what} is no UTF-8 text") from None


def _alignment(cursor: Cursor, metadata: Mapping[str, object]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= LARGEST_ALIGNMENT or value & (value - 1):
        raise cursor.broken(f"general.alignment is {value!r}; it must be a power of two up to 2**20")
    return value


def _read_tensors(cursor: Cursor, count: int) -> tuple[GgufTensor, ...]:
    tensors = []
    names: set[str] = set()
    for read in range(count):
        cursor.expected = min(LARGEST_CHUNK, (count - read) * USUAL_TENSOR_BYTES)
        tensor = _read_tensor(cursor)
        if tensor.name in names:
            raise cursor.broken(f"the tensor {tensor.name} is there twice")
        names.add(tensor.name)
        tensors.append(tensor)
    return tuple(tensors)


def _read_tensor(cursor: Cursor) -> GgufTensor:
    name = _name(cursor, "the name of a tensor", LARGEST_NAME)
    axes = cursor.u32(f"the axes of {name}")
    if not 1 <= axes <= MOST_AXES:
        raise cursor.broken(f"the tensor {name} has {axes:,} axes; 1 to 4 are possible")
    shape = tuple(cursor.u64(f"the shape of {name}") for _ in range(axes))
    number = cursor.u32(f"the type of {name}")
    kind = ggml_types().get(number)
    if kind is None:
        raise cursor.broken(f"the tensor {name} has type {number}, which ggml has removed or never had")
    elements = prod(shape)
    if not 0 < elements <= LARGEST_TENSOR or shape[0] % kind.block:
        raise cursor.broken(f"the tensor {name} has the shape {shape}, impossible for blocks of {kind.block}")
    return GgufTensor(name, shape, kind, cursor.u64(f"the offset of {name}"), kind.nbytes(elements))


def _check_data(cursor: Cursor, tensors: tuple[GgufTensor, ...], alignment: int) -> int:
    """Hold the offsets against each other; return the bytes of data that a header-only file lacks."""
    expected = 0
    for tensor in tensors:
        if tensor.offset != expected:
            raise cursor.broken(
                f"the tensor {tensor.name} lies at offset {tensor.offset:,} where {expected:,} is next: "
                "tensors overlap, leave a gap or are not aligned"
            )
        expected = round_up(tensor.offset + tensor.nbytes, alignment)
    if not tensors:
        return 0
    start = round_up(cursor.position, alignment)
    missing = start + tensors[-1].offset + tensors[-1].nbytes - cursor.size
    if missing > 0 and cursor.size > start:
        raise MalformedError(
            f"{cursor.where}: the file is cut short, {missing:,} bytes of its tensors are missing"
        )
    return max(0, missing)
