"""Models in plain folders: those of llama.cpp and of MLX programs."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hwledger.library.local.model import LocalModel, on_disk
from hwledger.library.local.parts import WEIGHTS, gguf_parts, lacking
from hwledger.library.local.walking import entries, is_folder, stat_of, walk
from hwledger.library.paths import shown

UNFINISHED: Final = ".downloadInProgress"
"""What llama.cpp adds to a name until the file is whole (b11434 ``common/download.cpp``)."""


def llama_cpp_models() -> Iterator[LocalModel]:
    """Yield the GGUF files that llama.cpp downloaded (``LLAMA_CACHE``, or its usual place)."""
    folder = _llama_cpp_folder()
    here = [stat for entry in entries(folder) for stat in stat_of(Path(entry.path))]
    for model, files in gguf_parts(here):
        yield LocalModel(
            ref=_from_home(folder / model.path), name=shown(model.path).removesuffix(".gguf"),
            kind="llama.cpp", path=folder / model.path, size_bytes=on_disk(files), quantisation=model.label,
            files=files, problem=lacking(file.name for file in files),
        )  # fmt: skip
    for file in here:
        name = file.name.removesuffix(UNFINISHED)
        if file.name.endswith(UNFINISHED) and name.endswith(".gguf"):
            yield LocalModel(
                ref=_from_home(folder / name), name=shown(name).removesuffix(".gguf"), kind="llama.cpp",
                path=None, size_bytes=file.size, files=(file,),
                problem="incomplete: it is still being downloaded, or that was cut off",
            )  # fmt: skip


def mlx_models() -> Iterator[LocalModel]:
    """Yield the folders that MLX programs downloaded (mlx-swift keeps them in the user's documents)."""
    for publisher in entries(Path.home() / "Documents" / "huggingface" / "models"):
        for folder in entries(publisher.path) if is_folder(publisher) else ():
            files = walk(folder.path)[0] if is_folder(folder) else ()
            weights = [file for file in files if file.name.endswith(WEIGHTS)]
            if weights:
                yield LocalModel(
                    ref=_from_home(Path(folder.path)), name=shown(f"{publisher.name}/{folder.name}"),
                    kind="mlx", path=Path(folder.path), size_bytes=on_disk(files), files=tuple(files),
                    problem=lacking(file.name for file in weights),
                )  # fmt: skip


def _llama_cpp_folder() -> Path:
    """Return llama.cpp's own download folder (b11434 ``common/common.cpp`` ``fs_get_cache_directory``)."""
    chosen = os.environ.get("LLAMA_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llama.cpp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "llama.cpp"
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "llama.cpp"


def _from_home(path: Path) -> str:
    """Return a path as people type it: from their home on."""
    try:
        return f"~/{shown(path.relative_to(Path.home()).as_posix())}"
    except ValueError:
        return shown(path)
