"""Models in plain folders and in the hub's cache: what is there, and how large it is."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hwledger.library.hub.cache import hub_cache_folder, snapshot_of, snapshot_sizes
from hwledger.library.hub.choose import gguf_models
from hwledger.library.local.model import LocalModel

_REPO: Final = re.compile(r"models--(?P<publisher>[^-].*?)--(?P<name>.+)|models--(?P<short>[^-]+.*)")
_WEIGHTS: Final = (".safetensors", ".npz", ".bin")


def hub_cache_models() -> Iterator[LocalModel]:
    """Yield the models of the hub's cache at their main revision, or at the one that is there.

    GGUF files count one by one; what else a repository holds counts as one model where it has weights.
    """
    folder = hub_cache_folder()
    for entry in _entries(folder):
        match = _REPO.fullmatch(entry.name)
        if not match or not entry.is_dir():
            continue
        repo = match["short"] or f"{match['publisher']}/{match['name']}"
        for snapshot in _snapshots(entry, repo):
            yield from _in_snapshot(snapshot, repo)


def llama_cpp_models() -> Iterator[LocalModel]:
    """Yield the GGUF files that llama.cpp downloaded (``LLAMA_CACHE``, or its usual place)."""
    folder = _llama_cpp_folder()
    sizes = {path.name: path.stat().st_size for path in _entries(folder) if path.is_file()}
    for model in gguf_models(sizes):
        yield LocalModel(
            ref=_typed(folder / model.path), name=model.path.removesuffix(".gguf"), kind="llama.cpp",
            path=folder / model.path, size_bytes=model.size, quantisation=model.label,
        )  # fmt: skip


def mlx_models() -> Iterator[LocalModel]:
    """Yield the folders that MLX programs downloaded (mlx-swift keeps them in the user's documents)."""
    for publisher in _entries(Path.home() / "Documents" / "huggingface" / "models"):
        for folder in _entries(publisher) if publisher.is_dir() else ():
            sizes = snapshot_sizes(folder) if folder.is_dir() else {}
            if any(name.endswith(_WEIGHTS) for name in sizes):
                yield LocalModel(
                    ref=_typed(folder), name=f"{publisher.name}/{folder.name}", kind="mlx", path=folder,
                    size_bytes=sum(sizes.values()),
                )  # fmt: skip


def _snapshots(entry: Path, repo: str) -> list[Path]:
    main = snapshot_of(repo, None)
    if main is not None:
        return [main]
    return [path for path in _entries(entry / "snapshots") if path.is_dir()][-1:]


def _in_snapshot(snapshot: Path, repo: str) -> Iterator[LocalModel]:
    sizes = snapshot_sizes(snapshot)
    weights = sum(size for name, size in sizes.items() if name.endswith(_WEIGHTS))
    if weights and "config.json" in sizes:
        yield LocalModel(ref=f"hf:{repo}", name=repo, kind="hub cache", path=snapshot, size_bytes=weights)
    for model in gguf_models(sizes):
        ref = f"hf:{repo}:{model.label}" if model.label else f"hf:{repo}/{model.path}"
        yield LocalModel(
            ref=ref, name=f"{repo}:{model.label or model.path}", kind="hub cache", path=snapshot / model.path,
            size_bytes=model.size, quantisation=model.label,
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


def _typed(path: Path) -> str:
    """Return a path as people type it: from their home on."""
    with contextlib.suppress(ValueError):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return str(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
