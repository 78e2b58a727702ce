"""Repositories of the hub on loopback, and what the real hub would say about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1, sha256
from pathlib import PurePosixPath

SHA = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10 << 20
LARGE_KINDS = {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".npz", ".onnx"}
POINTER_SIZE = 135
Row = dict[str, object]
EXPANDABLE = {
    "author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "downloads",
    "downloadsAllTime", "evalResults", "gated", "gguf", "inference", "inferenceProviderMapping",
    "lastModified", "library_name", "likes", "mask_token", "model-index", "pipeline_tag", "private",
    "resourceGroup", "safetensors", "sha", "siblings", "spaces", "tags", "transformersInfo", "trendingScore",
    "usedStorage", "widgetData",
}  # fmt: skip


@dataclass
class Repo:
    """One repository.

    Attributes:
        branches, tags: commits by name; ``main`` is ``sha`` unless it is given.
        at: files of other commits, where they differ from ``files``.
        gated: False, ``auto`` or ``manual``.
        allowed: tokens that may see it where it is gated or private; None means every valid one.
        tags_list: its labels; those of the library and the task are added.
        author: the owner, where it is not the id's first part.
        extra: more fields of its info, such as ``safetensors``, ``gguf``, ``config`` or ``cardData``.
    """

    id: str
    files: Mapping[str, bytes]
    sha: str = SHA
    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    at: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    gated: bool | str = False
    private: bool = False
    allowed: frozenset[str] | None = None
    library_name: str | None = "transformers"
    pipeline_tag: str | None = "text-generation"
    tags_list: Sequence[str] = ()
    downloads: int = 0
    likes: int = 0
    last_modified: str = "2026-11-01T10:00:00.000Z"
    author: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    def commit(self, revision: str) -> str | None:
        """Return the commit that a branch, tag or commit names; None where there is none."""
        names = {"main": self.sha, **self.branches, **self.tags}
        return names.get(revision, revision if revision in {*names.values(), *self.at} else None)

    def tree(self, commit: str) -> Mapping[str, bytes]:
        """Return the files of a commit."""
        return self.at.get(commit, self.files)

    def contents(self) -> Iterator[bytes]:
        """Return the files of all commits."""
        for files in (self.files, *self.at.values()):
            yield from files.values()

    def admits(self, token: str | None) -> bool:
        """Tell whether a valid token, or none, opens what is gated or private here."""
        return token is not None and (self.allowed is None or token in self.allowed)

    def info(self, commit: str, *, blobs: bool = False) -> Row:
        """Return all that the hub says about the repository at a commit."""
        kind = {"library_name": self.library_name, "pipeline_tag": self.pipeline_tag}
        files = self.tree(commit)
        return {
            "_id": _sha1(self.id.encode())[:24], "id": self.id, "modelId": self.id,
            "author": self.author or self.id.rpartition("/")[0] or None, "sha": commit,
            "lastModified": self.last_modified, "createdAt": "2026-01-01T10:00:00.000Z",
            "private": self.private, "gated": self.gated, "disabled": False, "downloads": self.downloads,
            "likes": self.likes, "trendingScore": self.likes,
            "tags": list(dict.fromkeys(label for label in (*kind.values(), *self.tags_list) if label)),
            **{key: value for key, value in kind.items() if value},
            "siblings": [sibling(path, files[path], blobs=blobs) for path in sorted(files)],
            "usedStorage": sum(map(len, files.values())), **self.extra,
        }  # fmt: skip


def sibling(path: str, raw: bytes, *, blobs: bool) -> Row:
    """Return a file as the repository's info lists it."""
    found: Row = {"rfilename": path}
    if blobs:
        found |= {"size": len(raw), "blobId": oid(path, raw)}
    if blobs and is_large(path, raw):
        found["lfs"] = {"sha256": digest(raw), "size": len(raw), "pointerSize": POINTER_SIZE}
    return found


def tree_rows(files: Mapping[str, bytes], under: str, *, recursive: bool, expand: bool) -> list[Row]:
    """Return the folders and files below a path as the tree's pages list them."""
    start = f"{under}/" if under else ""
    inside = [path for path in sorted(files) if path.startswith(start)]
    folders = {str(each) for path in inside for each in PurePosixPath(path).parents if str(each) != "."}
    rows = [
        {"type": "directory", "oid": _sha1(path.encode()), "size": 0, "path": path}
        for path in sorted(folders)
        if path.startswith(start)
    ] + [_file_row(path, files[path]) for path in inside]
    rows = [row for row in rows if recursive or "/" not in str(row["path"])[len(start) :]]
    return [row | _expanded(row) for row in rows] if expand else rows


def _file_row(path: str, raw: bytes) -> Row:
    row: Row = {"type": "file", "oid": oid(path, raw), "size": len(raw), "path": path}
    if is_large(path, raw):
        row["lfs"] = {"oid": digest(raw), "size": len(raw), "pointerSize": POINTER_SIZE}
    return row


def _expanded(row: Row) -> Row:
    last = {"id": SHA, "title": "Upload", "date": "2026-11-01T10:00:00.000Z"}
    safe = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return {"lastCommit": last} | ({"securityFileStatus": safe} if row["type"] == "file" else {})


def is_large(path: str, raw: bytes) -> bool:
    """Tell whether the hub keeps a file in its large-file storage: weights of any size, and what is large."""
    return PurePosixPath(path).suffix in LARGE_KINDS or len(raw) >= LARGE


def oid(path: str, raw: bytes) -> str:
    """Return the object id that git gives a file; large ones are there as pointers."""
    kept = raw
    if is_large(path, raw):
        lines = (
            "version https://git-lfs.github.com/spec/v1",
            f"oid sha256:{digest(raw)}",
            f"size {len(raw)}",
        )
        kept = "".join(f"{line}\n" for line in lines).encode()
    return _sha1(b"blob %d\0%b" % (len(kept), kept))


@cache
def digest(raw: bytes) -> str:
    """Return the SHA-256 of a file."""
    return sha256(raw).hexdigest()


@cache
def _sha1(raw: bytes) -> str:
    return sha1(raw, usedforsecurity=False).hexdigest()
