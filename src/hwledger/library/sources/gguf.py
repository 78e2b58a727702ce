"""GGUF files, and folders that hold them."""

import re
from collections.abc import Sequence
from pathlib import Path

from hwledger.model.spec import ModelSpec

_LATER_SHARD = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


class GgufSource:
    """A ``.gguf`` file, or a folder whose models are GGUF files."""

    name = "gguf"
    precedence = 10

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the file itself, or every model in the folder (sharded ones by their first file).

        A config.json beside them is one more candidate, so that nothing is chosen silently.
        """
        path = Path(ref).expanduser()
        if _is_file(path):
            return [str(path)] if path.suffix.lower() == ".gguf" or _starts_as_gguf(path) else []
        if _is_folder(path):
            found = [str(p) for p in sorted(path.glob("*.gguf")) if _is_model(p)]
            config = path / "config.json"
            return [*found, str(config)] if found and config.is_file() else found
        return []

    def open(self, ref: str) -> ModelSpec:
        """Read the header; the weights stay on disk."""
        from hwledger.library.gguf.shards import read_gguf_model  # noqa: PLC0415 - start-up time
        from hwledger.library.gguf.spec import gguf_spec  # noqa: PLC0415 - start-up time

        return gguf_spec(read_gguf_model(Path(ref)), ref)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return nothing: a path is right or wrong."""
        del ref
        return ()


def _is_model(path: Path) -> bool:
    """Whether a file is a model of its own: no later shard and no vision projector."""
    return not _LATER_SHARD.search(path.name) and not path.name.lower().startswith("mmproj")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL byte
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _starts_as_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False
