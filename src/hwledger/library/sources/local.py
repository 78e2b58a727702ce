"""Reading a model on disk, and keeping what is slow to read under the identity of its files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from hwledger.errors import HwledgerError
from hwledger.library.access import Access
from hwledger.library.checkpoint import Checkpoint, checkpoint_spec
from hwledger.model.origin import Origin, Place
from hwledger.model.reading import Reading
from hwledger.model.spec import ModelSpec

WORTH_KEEPING_BYTES: Final = 64 << 20
"""Size of the files from which on a header may take long enough to read that keeping it pays."""
_KIND: Final = "local"


def identity(paths: Sequence[Path]) -> str:
    """Return what identifies the content of files without reading it: path, size, time and inode of each.

    Raises:
        OSError: a file is not there.
    """
    rows = []
    for path in paths:
        stat = path.stat()
        rows.append(f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}")
    return "\n".join(rows)


def recalled(paths: Sequence[Path], access: Access, read: Callable[[], Checkpoint]) -> Checkpoint:
    """Return what was kept of these files, or what ``read`` gives, which then is kept.

    Small files are read anew: that is as quick.
    """
    if sum(_size(path) for path in paths) < WORTH_KEEPING_BYTES:
        return read()
    from hwledger.library.checkpoint_document import checkpoint_document, read_document  # noqa: PLC0415
    from hwledger.library.kept import keep, recall  # noqa: PLC0415 - start-up time

    key = identity(paths)
    kept = None if access.refresh else recall(_KIND, key)
    if kept:
        try:
            return read_document(kept.document)
        except (KeyError, TypeError, ValueError, HwledgerError):
            pass  # another version's document: read anew
    checkpoint = read()
    keep(_KIND, key, checkpoint_document(checkpoint))
    return checkpoint


def local_spec(checkpoint: Checkpoint, ref: str) -> ModelSpec:
    """Return the model of files on disk, with what was read of them.

    Raises:
        MalformedError: as ``checkpoint_spec``.
    """
    spec = checkpoint_spec(checkpoint)
    reading = Reading(checkpoint.where, checkpoint.files, checkpoint.header_bytes)
    source = ref if checkpoint.gguf else spec.source
    return replace(spec, source=source, reading=reading, origin=_origin(checkpoint))


def _origin(checkpoint: Checkpoint) -> Origin:
    """Where the files are: a GGUF file, or the folder of a config and weights."""
    where = Path(checkpoint.where).expanduser().absolute()
    if checkpoint.gguf:
        return Origin(place=Place.FILE, name=str(where))
    return Origin(place=Place.FOLDER, name=str(where.parent if where.suffix == ".json" else where))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
