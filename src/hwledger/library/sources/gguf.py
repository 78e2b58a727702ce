"""GGUF files, and folders that hold them."""

import re
from collections.abc import Sequence
from pathlib import Path

from hwledger.library.access import Access
from hwledger.library.paths import shown, typed
from hwledger.model.spec import ModelSpec

_FIRST_SHARD = r"-00001-of-(\d{5})\.gguf$"
_LATER_SHARD = r"-(?!00001)\d{5}-of-\d{5}\.gguf$"


class GgufSource:
    """A ``.gguf`` file, or a folder whose models are GGUF files."""

    name = "gguf"
    precedence = 10

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the file itself, or every model in the folder (sharded ones by their first file).

        A config.json beside them is one more candidate, so that nothing is chosen silently.
        """
        path = typed(ref)
        if _is_file(path):
            return [shown(path)] if path.suffix.lower() == ".gguf" or _starts_as_gguf(path) else []
        if _is_folder(path):
            found = [shown(p) for p in sorted(path.glob("*.gguf")) if _is_model(p)]
            config = path / "config.json"
            return [*found, shown(config)] if found and config.is_file() else found
        return []

    def named(self, ref: str) -> Sequence[str]:
        """Return the same: a path is a path."""
        return self.candidates(ref)

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the header; the weights stay on disk."""
        from hwledger.library.checkpoint import read_gguf_checkpoint  # noqa: PLC0415
        from hwledger.library.files import LocalFiles  # noqa: PLC0415 - start-up time
        from hwledger.library.sources.local import local_spec, recalled  # noqa: PLC0415

        path = typed(ref)
        files = LocalFiles(path.parent)
        read = recalled(_parts(path), access, lambda: read_gguf_checkpoint(files, path.name))
        return local_spec(read, ref)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return files that llama.cpp downloaded and that are called like ``ref``."""
        from hwledger.library.local.folders import llama_cpp_models  # noqa: PLC0415 - start-up time
        from hwledger.library.near import closest_here  # noqa: PLC0415

        return closest_here(ref, llama_cpp_models())


def _parts(path: Path) -> list[Path]:
    """Return every file of the model whose first file is ``path``."""
    match = re.search(_FIRST_SHARD, path.name)
    if not match:
        return [path]
    import glob  # noqa: PLC0415 - start-up time

    return sorted(path.parent.glob(f"{glob.escape(path.name[: match.start()])}-*-of-{match[1]}.gguf"))


def _is_model(path: Path) -> bool:
    """Whether a file is a model of its own: no later shard and no vision projector."""
    return not re.search(_LATER_SHARD, path.name) and not path.name.lower().startswith("mmproj")


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
