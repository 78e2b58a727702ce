"""One model on this machine, as the program that keeps it knows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """One file without its content; what the system does not say is 0.

    Attributes:
        name: its path within the folder of the model.
        size: bytes.
        mtime_ns: when it was last written.
        inode, device: where it is; the same for two names of one file.
    """

    name: str
    size: int
    mtime_ns: int = 0
    inode: int = 0
    device: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """One model on this machine.

    Attributes:
        ref: what to type to plan it.
        name: what the keeping program calls it.
        kind: who keeps it: ``hub cache``, ``ollama``, ``lm studio``, ``llama.cpp`` or ``mlx``.
        path: file or folder that its headers are in; ``None`` where that cannot be told.
        size_bytes: what it takes on disk; what several names share counts once.
        quantisation: as the program states it; empty where it does not.
        parameters: as the program states it (``8.0B``); empty where it does not.
        files: all files that it is read from or made of.
        problem: why it cannot be used, in a sentence; empty: nothing is known against it.
        note: what else there is to know of it, in a sentence.
    """

    ref: str
    name: str
    kind: str
    path: Path | None
    size_bytes: int
    quantisation: str = ""
    parameters: str = ""
    files: tuple[Stat, ...] = ()
    problem: str = ""
    note: str = ""

    @property
    def identity(self) -> str:
        """What changes whenever one of its files does: a digest of their names, sizes, times and inodes."""
        return blake2b(repr(self.files).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def on_disk(files: Iterable[Stat]) -> int:
    """Return the bytes of files, those with several names once."""
    return sum({(f.device, f.inode) if f.inode else f.name: f.size for f in files}.values())
