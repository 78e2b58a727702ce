"""A bounded reader of the headers in MLX's ``.npz`` files: an uncompressed zip of ``.npy`` arrays."""

import ast
import io
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from math import prod
from typing import IO, Any, Final

from hwledger.errors import MalformedError
from hwledger.library.files import ByteFile, Files
from hwledger.library.stored import StoredTensor
from hwledger.model.number_types import NumberType, number_type

MAGIC: Final = b"\x93NUMPY"
LARGEST_HEADER: Final = 1 << 16
LARGEST_SIDE: Final = 1 << 48
MOST_ARRAYS: Final = 1 << 17
ENTRY_BYTES: Final = 4096
"""What one look into the archive fetches: an entry's two headers, or a part of the directory."""
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
class NpzHeader:
    """The arrays of one file."""

    tensors: tuple[StoredTensor, ...]


def read_npz(files: Files, name: str) -> NpzHeader:
    """Return the headers of all arrays in the npz file ``name``.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is no zip file, is truncated, or an array's header is broken.
        InputError: it cannot be read.
    """
    with files.open(name) as file:
        try:
            with zipfile.ZipFile(_Seekable(file)) as archive:
                members = archive.infolist()
                if len(members) > MOST_ARRAYS:
                    raise MalformedError(f"{file.where}: {len(members):,} arrays are more than a model has")
                return NpzHeader(tuple(_read(archive, member, file.where) for member in members))
        except BROKEN as error:
            raise MalformedError(f"{file.where}: this is no usable npz file ({str(error)[:160]})") from None


class _Seekable(io.RawIOBase):
    """A file in pieces as the kind of file that ``zipfile`` reads."""

    def __init__(self, file: ByteFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0
        self._window = b""
        self._start = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + (self._at if whence == io.SEEK_CUR else self._file.size if whence == io.SEEK_END else 0)
        if at < 0:
            raise OSError("a place before the file")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), max(0, self._file.size - self._at))
        if not self._start <= self._at <= self._at + size <= self._start + len(self._window):
            wanted = min(max(size, ENTRY_BYTES), self._file.size - self._at)
            self._start = self._at
            self._window = bytes(self._file.read(self._at, size, wanted)[: max(size, ENTRY_BYTES)])
        first = self._at - self._start
        buffer[:size] = self._window[first : first + size]
        self._at += size
        return size


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> StoredTensor:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        kind, shape, header_bytes = _header(file, f"{where}: {name}")
    nbytes = kind.nbytes(prod(shape))
    if header_bytes + nbytes != member.file_size:
        raise MalformedError(
            f"{where}: {name} holds {member.file_size - header_bytes:,} bytes, {nbytes:,} are needed"
        )
    return StoredTensor(name, kind, shape, nbytes)


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
