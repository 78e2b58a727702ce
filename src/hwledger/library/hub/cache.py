"""The hub's own cache on this machine: snapshots of repositories, laid out as ``huggingface_hub`` does."""

import os
import re
from pathlib import Path
from typing import Final

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def hub_cache_folder() -> Path:
    """Return the cache folder: ``HF_HUB_CACHE``, ``HF_HOME/hub``, or the usual place.

    Source: huggingface_hub 2.4.0 ``constants.py``; read at each call and without importing the library.
    """
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches).expanduser() if caches else Path.home() / ".cache") / "huggingface" / "hub"


def snapshot_of(repo: str, revision: str | None) -> Path | None:
    """Return the snapshot of a repository at a revision, or ``None`` where it is not in the cache."""
    folder = hub_cache_folder() / f"models--{repo.replace('/', '--')}"
    try:
        commit = revision or "main"
        if not _COMMIT.fullmatch(commit):
            commit = (folder / "refs" / commit).read_text("utf-8").strip()
        snapshot = folder / "snapshots" / commit
        return snapshot if _COMMIT.fullmatch(commit) and snapshot.is_dir() else None
    except (OSError, ValueError):
        return None


def snapshot_sizes(snapshot: Path) -> dict[str, int]:
    """Return the bytes of every file of a snapshot by its path; links whose content is gone are left out."""
    found: dict[str, int] = {}
    for path in sorted(snapshot.rglob("*")):
        try:
            if path.is_file():
                found[path.relative_to(snapshot).as_posix()] = path.stat().st_size
        except OSError:
            continue
    return found
