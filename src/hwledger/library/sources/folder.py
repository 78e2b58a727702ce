"""config.json files, and folders of a config, safetensors or MLX weights."""

from collections.abc import Sequence
from pathlib import Path

from hwledger.errors import InputError, MissingError
from hwledger.library.config import read_config
from hwledger.library.json_file import read_json_object
from hwledger.model.spec import ModelSpec

CONFIG = "config.json"
QUANT_CONFIG = "hf_quant_config.json"


class FolderSource:
    """A ``config.json``, a folder with one, or a folder of safetensors files."""

    name = "file"
    precedence = 20

    def candidates(self, ref: str) -> Sequence[str]:
        """Return the file or folder where it is one that this source reads."""
        path = Path(ref).expanduser()
        try:
            if path.is_dir():
                self._check_folder(path)
                return [str(path)]
            if path.is_file():
                return [str(path)]
        except (OSError, ValueError):  # a name too long, or with a NUL byte
            return []
        if path.suffix in {".json", ".gguf", ".safetensors", ".npz"} or ref.startswith((".", "/", "~")):
            raise MissingError(f"{ref}: there is no such file or folder")
        return []

    def open(self, ref: str) -> ModelSpec:
        """Read the config and the headers of the weights beside it."""
        path = Path(ref).expanduser()
        if path.suffix in {".safetensors", ".npz"}:
            return self._open_weights(path.parent)
        if path.is_dir():
            folder, config = path, path / CONFIG
            if not config.is_file():
                return self._open_weights(folder)
            return self._open_config(config, folder)
        return self._open_config(path, path.parent if path.name == CONFIG else None)

    def nearest(self, ref: str) -> Sequence[str]:
        """Return nothing: a path is right or wrong."""
        del ref
        return ()

    @staticmethod
    def _check_folder(folder: Path) -> None:
        if (folder / CONFIG).is_file():
            return
        if any(next(folder.glob(pattern), None) for pattern in ("*.safetensors", "*.npz")):
            return
        raise InputError(f"{folder}: no model here: no config.json, no .gguf, .safetensors or .npz file")

    @staticmethod
    def _open_config(config: Path, folder: Path | None) -> ModelSpec:
        raw = read_json_object(config)
        quant = folder / QUANT_CONFIG if folder else None
        quant_raw = read_json_object(quant) if quant and quant.is_file() else None
        name = config.parent.name if config.name == CONFIG and config.parent.name else config.stem
        name = str(raw.get("_name_or_path") or name)
        spec = read_config(raw, where=str(config), name=name, quant_raw=quant_raw)
        if folder is None:
            return spec
        from hwledger.library.stored import with_stored_weights  # noqa: PLC0415 - start-up time

        return with_stored_weights(spec, folder)

    @staticmethod
    def _open_weights(folder: Path) -> ModelSpec:
        from hwledger.library.stored import spec_from_weights  # noqa: PLC0415 - start-up time

        return spec_from_weights(folder)
