"""A hub on loopback: it speaks the API of the Hugging Face hub for repositories that a test gives it.

Model info with file sizes, trees, search, and files by redirect to a second host, as the real one does for
large files; with gated and private repositories, revisions, and faults to order.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Self

from support.web import Asked, Reply, WebServer, parts_of

LARGE = 1 << 20
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """One repository; ``revisions`` maps branches and tags to commits, all with the same files."""

    files: Mapping[str, bytes]
    commit: str = COMMIT
    revisions: Mapping[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    library: str = "transformers"
    task: str = "text-generation"
    downloads: int = 0


class HubServer(WebServer):
    """The hub; ``cdn`` is the second host, which large files come from.

    Attributes:
        faults: (pattern of the path, replies): each reply is given once before the real answer.
        tokens: tokens that may see gated and private repositories.
    """

    def __init__(self, repos: Mapping[str, Repo], *, pause_s: float = 0.0, large: int = LARGE) -> None:
        super().__init__(self._answer, pause_s=pause_s)
        self.repos = dict(repos)
        self.tokens = {"hf_right"}
        self.faults: list[tuple[str, list[Reply]]] = []
        self.large = large
        self.cdn = WebServer(self._stored, pause_s=pause_s)

    def __enter__(self) -> Self:
        self.cdn.__enter__()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.cdn.__exit__(*error)

    @property
    def requests(self) -> int:
        """Requests to both hosts."""
        return len(self.asked) + len(self.cdn.asked)

    @property
    def all_sent_bytes(self) -> int:
        """Bytes of all bodies of both hosts."""
        return self.sent_bytes + self.cdn.sent_bytes

    def _fault(self, asked: Asked) -> Reply | None:
        for pattern, replies in self.faults:
            if replies and re.search(pattern, asked.path):
                return replies.pop(0)
        return None

    def _answer(self, asked: Asked) -> Reply:
        fault = self._fault(asked)
        if fault:
            return fault
        if asked.path == "/api/models":
            return self._search(asked)
        found = re.fullmatch(
            r"/api/models/([^/]+(?:/[^/]+)??)(?:/revision/(.+)|/tree/([^/]+).*)?", asked.path
        )
        if found:
            return self._info(asked, found[1], found[2] or found[3] or "main", tree=bool(found[3]))
        found = re.fullmatch(r"/((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)", asked.path)
        return self._resolve(asked, *found.groups()) if found else _refused(404, "", "nothing here")

    def _repo(self, asked: Asked, name: str, revision: str) -> Repo | Reply:
        repo = self.repos.get(name)
        known = asked.headers.get("authorization", "").removeprefix("Bearer ") in self.tokens
        if repo is None or (repo.private and not known):
            return _refused(404 if known else 401, "RepoNotFound", "Repository not found")
        if revision not in {"main", repo.commit, *repo.revisions, *repo.revisions.values()}:
            return _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo

    def _info(self, asked: Asked, name: str, revision: str, *, tree: bool) -> Reply:
        repo = self._repo(asked, name, revision)
        if isinstance(repo, Reply):
            return repo
        commit = repo.revisions.get(revision, repo.commit)
        if tree:
            rows = [
                {"type": "file", "oid": _oid(raw), "size": len(raw), "path": p}
                for p, raw in repo.files.items()
            ]
            return _json(rows)
        blobs = asked.query.get("blobs") in {"true", "True", "1"}
        siblings = [
            {"rfilename": path} | ({"size": len(raw), "blobId": _oid(raw)} if blobs else {})
            for path, raw in repo.files.items()
        ]
        return _json({**_summary(name, repo), "sha": commit, "siblings": siblings})

    def _search(self, asked: Asked) -> Reply:
        words = asked.query.get("search", "").lower().split()
        wanted = {"author": asked.query.get("author"), "library": asked.query.get("filter"),
                  "task": asked.query.get("pipeline_tag")}  # fmt: skip
        found = [
            _summary(name, repo)
            for name, repo in self.repos.items()
            if all(word in name.lower() for word in words)
            and wanted["author"] in {None, name.split("/", maxsplit=1)[0]}
            and wanted["library"] in {None, repo.library}
            and wanted["task"] in {None, repo.task}
        ]
        found.sort(key=lambda row: -int(str(row["downloads"])))
        return _json(found[: int(asked.query.get("limit", "1000"))])

    def _resolve(self, asked: Asked, name: str, revision: str, path: str) -> Reply:
        repo = self._repo(asked, name, revision)
        if isinstance(repo, Reply):
            return repo
        if repo.gated and asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _refused(403, "GatedRepo", f"Access to model {name} is restricted")
        if path not in repo.files:
            return _refused(404, "EntryNotFound", "Entry not found")
        raw = repo.files[path]
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{_oid(raw)}"', "X-Linked-Size": str(len(raw))}
        if len(raw) < self.large:
            reply = parts_of(raw, asked)
            return Reply(reply.status, {**reply.headers, **headers}, reply.body)
        return Reply(302, {**headers, "Location": f"{self.cdn.url}/{_oid(raw)}?signature=abc"})

    def _stored(self, asked: Asked) -> Reply:
        fault = self._fault(asked)
        if fault:
            return fault
        content = {_oid(raw): raw for repo in self.repos.values() for raw in repo.files.values()}
        raw = content.get(asked.path.strip("/"))
        if raw is None or asked.query.get("signature") != "abc":
            return Reply(403, {}, b"<Error>expired</Error>")
        return parts_of(raw, asked, ETag=f'"{_oid(raw)}"')


def _summary(name: str, repo: Repo) -> dict[str, object]:
    return {
        "_id": "x", "id": name, "modelId": name, "author": name.split("/", maxsplit=1)[0],
        "gated": "manual" if repo.gated else False,
        "private": repo.private, "downloads": repo.downloads, "likes": 3, "tags": [repo.library],
        "library_name": repo.library, "pipeline_tag": repo.task, "lastModified": "2026-11-01T10:00:00.000Z",
        "createdAt": "2026-01-01T10:00:00.000Z",
    }  # fmt: skip


@cache
def _oid(raw: bytes) -> str:
    return sha256(raw).hexdigest()


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def _refused(status: int, code: str, message: str) -> Reply:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return Reply(status, headers, json.dumps({"error": message}).encode())
