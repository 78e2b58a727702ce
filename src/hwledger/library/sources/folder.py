"""config.json files, and folders of a config, safetensors or MLX weights."""

from collections.abc import Sequence
from pathlib import Path

from hwledger.errors import InputError, MissingError
from hwledger.library.access import Access
from hwledger.library.paths import shown, typed
from hwledger.model.spec import ModelSpec

CONFIG = "config.json"


class FolderSource:
    """A ``config.json``, a folder with one, or a folder of safetensors files."""

    name = "file"
    precedence = 20

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the file or folder where it is one that this source reads."""
        if "://" in ref or not ref.strip():
            return []
        path = typed(ref)
        try:
            if path.is_dir():
                self._check_folder(path)
                return [shown(path)]
            if path.is_file():
                return [shown(path)]
        except (OSError, ValueError):  # a name too long, or with a NUL byte
            return []
        if path.suffix in {".json", ".gguf", ".safetensors", ".npz"} or ref.startswith((".", "/", "~")):
            raise MissingError(f"{ref}: there is no such file or folder")
        return []

    def named(self, ref: str) -> Sequence[str]:
        """Return the same: a path is a path."""
        return self.candidates(ref)

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the config and the headers of the weights beside it."""
        from hwledger.library.checkpoint import read_checkpoint  # noqa: PLC0415
        from hwledger.library.files import LocalFiles  # noqa: PLC0415 - start-up time
        from hwledger.library.sources.local import local_spec, recalled  # noqa: PLC0415

        path = typed(ref)
        folder = path if path.is_dir() else path.parent
        files = LocalFiles(folder)
        alone = path.is_file() and path.suffix not in {".safetensors", ".npz"}
        config = path.name if alone else CONFIG
        if alone and config != CONFIG:
            return local_spec(read_checkpoint(files, config), ref)
        return local_spec(recalled(_parts(folder), access, lambda: read_checkpoint(files)), ref)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return folders of MLX programs that are called like ``ref``."""
        from hwledger.library.local.folders import mlx_models  # noqa: PLC0415 - start-up time
        from hwledger.library.near import closest_here  # noqa: PLC0415

        return closest_here(ref, mlx_models())

    @staticmethod
    def _check_folder(folder: Path) -> None:
        if (folder / CONFIG).is_file():
            return
        if any(next(folder.glob(pattern), None) for pattern in ("*.safetensors", "*.npz")):
            return
        raise InputError(
            f"{shown(folder)}: no model here: no config.json, no .gguf, .safetensors or .npz file"
        )


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors", ".npz"})
