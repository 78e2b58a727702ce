"""The hub's own cache on disk, laid out as huggingface_hub does it."""

import os
from collections.abc import Mapping
from pathlib import Path

from support.checkpoints import put
from support.hub_repo import oid


def put_snapshot(
    cache: Path, repo: str, files: Mapping[str, bytes], commit: str, ref: str | None = "main"
) -> Path:
    """Put a repository into the cache: blobs, a snapshot of links to them, a ref; return the snapshot."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    put(home / "blobs", {oid(name, raw): raw for name, raw in files.items()})
    for name, raw in files.items():
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(home / "blobs" / oid(name, raw), link.parent))
    if ref:
        put(home / "refs", {ref: commit.encode()})
    return snapshot
