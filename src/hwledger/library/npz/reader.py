"""A bounded reader of the headers in MLX's ``.npz`` files: an uncompressed zip of ``.npy`` arrays."""

import ast
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from math import prod
from pathlib import Path
from typing import IO, Final

from hwledger.errors import MalformedError, MissingError
from hwledger.model.number_types import NumberType, number_type

MAGIC: Final = b"\x93NUMPY"
LARGEST_HEADER: Final = 1 << 16
LARGEST_SIDE: Final = 1 << 48
MOST_ARRAYS: Final = 1 << 17
# numpy has no bfloat16, so MLX writes it as two raw bytes
TYPES: Final = {
    "<f2": "f16", "<f4": "f32", "<f8": "f64", "<V2": "bf16", "|V2": "bf16", "|u1": "u8", "|i1": "i8",
    "|b1": "u8", "<u2": "u16", "<i2": "i16", "<u4": "u32", "<i4": "i32", "<u8": "u64", "<i8": "i64",
}  # fmt: skip

# what zipfile raises for damaged archives, each decompressor with a class of its own
BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError, EOFError, OSError, RuntimeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NpzTensor:
    """One array of the file."""

    name: str
    dtype: NumberType
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class NpzHeader:
    """The arrays of one file."""

    tensors: tuple[NpzTensor, ...]


def read_npz(path: Path) -> NpzHeader:
    """Return the headers of all arrays in an npz file.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is no zip file, is truncated, or an array's header is broken.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise MalformedError(f"{path}: {len(members):,} arrays are more than a model has")
            return NpzHeader(tuple(_read(archive, member, path) for member in members))
    except FileNotFoundError:
        raise MissingError(f"{path}: there is no such file") from None
    except BROKEN as error:
        raise MalformedError(f"{path}: this is no usable npz file ({error})") from None


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> NpzTensor:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        kind, shape, header_bytes = _header(file, f"{path}: {name}")
    nbytes = kind.nbytes(prod(shape))
    if header_bytes + nbytes != member.file_size:
        raise MalformedError(
            f"{path}: {name} holds {member.file_size - header_bytes:,} bytes, {nbytes:,} are needed"
        )
    return NpzTensor(name, kind, shape, nbytes)


def _header(file: IO[bytes], where: str) -> tuple[NumberType, tuple[int, ...], int]:
    start = file.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in {1, 2, 3}:  # noqa: PLR2004
        raise MalformedError(f"{where} is no npy array")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > LARGEST_HEADER:
        raise MalformedError(f"{where}: the header claims {length:,} bytes")
    try:
        header = ast.literal_eval(file.read(length).decode("latin-1").strip())
        descr, shape = header["descr"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise MalformedError(f"{where}: the header cannot be read") from None
    if not isinstance(descr, str) or descr not in TYPES:
        raise MalformedError(f"{where} has the type {descr!r}, which is not known")
    if not isinstance(shape, tuple) or not all(type(v) is int and 0 <= v <= LARGEST_SIDE for v in shape):
        raise MalformedError(f"{where} has an impossible shape")
    return number_type(TYPES[descr]), shape, 8 + width + length
