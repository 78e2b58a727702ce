"""Where the bytes of a model are: files that are read in pieces, on disk or elsewhere, as readers see them.

The header readers ask a ``ByteFile`` for bytes at an offset and never learn whether a disk or a server
answers; a ``Files`` is the folder or repository that such files lie in. What hwledger itself writes goes
through ``write_whole``.
"""

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

from hwledger.errors import InputError, MalformedError, MissingError
from hwledger.library.paths import shown

Buffer = bytes | memoryview
Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_TEXT_FILE: Final = 64 << 20
"""A config.json is a few kB; 64 MiB leaves room for generated quantisation maps and indexes."""


class ByteFile(Protocol):
    """The bytes of one file.

    Attributes:
        where: name for sentences.
        size: bytes of the whole file.
    """

    where: str
    size: int

    def read(self, offset: int, least: int, wanted: int = 0) -> Buffer:
        """Return the bytes from ``offset`` on.

        Args:
            offset: place in the file.
            least: bytes that are needed; the caller has checked that the file goes on that far.
            wanted: bytes that will likely be needed next; as many are given as is cheap.

        Raises:
            InputError: the bytes cannot be had.
        """
        ...


class Files(Protocol):
    """The files of one model: a folder or a repository.

    Attributes:
        name: what the model is called.
        where: place for sentences; files add their names to it.
    """

    name: str
    where: str

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file that lies directly here, by name."""
        ...

    def open(self, name: str) -> AbstractContextManager[ByteFile]:
        """Open one file for reading.

        Raises:
            MissingError: there is no such file.
            InputError: it cannot be read.
        """
        ...

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, in order; side by side where that is quicker."""
        ...


class BufferFile:
    """Bytes that are in memory (or mapped into it) as a file."""

    def __init__(self, data: Buffer, where: str) -> None:
        self.where = where
        self.size = len(data)
        self._data = data

    def read(self, offset: int, least: int, wanted: int = 0) -> Buffer:
        """Return everything from ``offset`` on: nothing is copied."""
        del least, wanted
        return memoryview(self._data)[offset:]


class LocalFiles:
    """A folder on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = shown(folder.name)
        self.where = shown(folder)

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file in the folder, by name."""
        try:
            return {
                path.name: path.stat().st_size for path in sorted(self.folder.iterdir()) if path.is_file()
            }
        except OSError as error:
            raise InputError(f"{self.where}: the folder cannot be read ({error.strerror})") from None

    @contextmanager
    def open(self, name: str) -> Iterator[ByteFile]:
        """Map one file into memory: what is not read stays on disk."""
        path = self.folder / name
        where = shown(path)
        try:
            with path.open("rb") as file:
                if file.seek(0, 2) == 0:
                    yield BufferFile(b"", where)
                    return
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                view = memoryview(mapped)
                try:
                    yield BufferFile(view, where)
                finally:
                    # an error on its way out may still hold a slice; the map then closes with it
                    with contextlib.suppress(BufferError):
                        view.release()
                        mapped.close()
        except FileNotFoundError:
            raise MissingError(f"{where}: there is no such file") from None
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror or error})") from None

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, one after the other: a disk gains nothing from haste."""
        return [function(name) for name in names]


def read_whole(files: Files, name: str, limit: int = LARGEST_TEXT_FILE) -> bytes:
    """Return one small file as a whole.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is larger than ``limit``.
        InputError: it cannot be read.
    """
    with files.open(name) as file:
        if file.size > limit:
            raise MalformedError(f"{file.where}: {file.size:,} bytes is too large (limit {limit >> 20} MiB)")
        return bytes(file.read(0, file.size, file.size)[: file.size]) if file.size else b""


def write_whole(path: Path, raw: bytes, *, lasting: bool = True) -> None:
    """Write a file whole or not at all, also when others write it at the same time.

    A link is followed, and the file keeps its permissions. What is no file (a device, a pipe) is written to.

    Args:
        path: the file; its folder has to be there.
        raw: all of its bytes.
        lasting: it has to be whole also after the machine stops.

    Raises:
        InputError: it cannot be written; the one before stays.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(raw)
        else:
            _replace(path.resolve(), raw, lasting=lasting)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)}: cannot be written ({why})") from None


def _replace(path: Path, raw: bytes, *, lasting: bool) -> None:
    draft = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with draft.open("xb") as file:
            file.write(raw)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{shown(folder)}: the folder cannot be made ({error.strerror})") from None
