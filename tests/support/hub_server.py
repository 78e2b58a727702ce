"""A hub on loopback that speaks the Hugging Face hub's API for repositories that a test gives it.

Large files come from a second server, ``hub.cdn``, by redirect to a signed address, as from the real one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self
from urllib.parse import quote, urlencode

from support.hub_repo import EXPANDABLE, Repo, Row, digest, is_large, oid, tree_rows
from support.web_server import Answer, Reply, Request, WebServer, json_reply, ranged

PAGE = 1000
SIGNATURE = "X-Amz-Signature"
LISTED = {
    "_id", "id", "modelId", "likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag",
    "library_name", "createdAt",
}  # fmt: skip
LISTED_IN_FULL = LISTED | {"author", "sha", "lastModified", "gated", "disabled", "siblings"}


class RefusedError(Exception):
    """A reply that ends the handling of a request."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Cdn(WebServer):
    """The host of large files: it serves whoever has a signed address."""

    def __init__(self, repos: Mapping[str, Repo]) -> None:
        super().__init__()
        self.repos = repos

    @property
    def got_authorization(self) -> bool:
        """Whether any request brought a token along, which none may."""
        return any(request.authorization is not None for request in self.log)

    def address(self, raw: bytes, signature: str = "signed") -> str:
        """Return the signed address of a file."""
        query = urlencode({"X-Amz-Expires": "3600", SIGNATURE: signature})
        return f"{self.url}/xet-bridge/{digest(raw)}?{query}"

    def answer(self, request: Request) -> Answer:
        """Return the file or its part."""
        content = {digest(raw): raw for repo in self.repos.values() for raw in repo.contents()}
        raw = content.get(request.segments[-1])
        if raw is None or request.first(SIGNATURE) != "signed":
            return Reply(
                403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>"
            )
        return ranged(raw, request, {"ETag": f'"{digest(raw)}"', "Content-Type": "binary/octet-stream"})


class HubServer(WebServer):
    """The hub.

    Attributes:
        repos: repositories by id; a test may change them.
        moved: new ids of repositories by their old ones.
        cdn: the second server, which shares ``faults``.
        page_size: entries of one page of a tree or a list.
        resolve_cache: send small files, too, from another path, by a relative redirect.
    """

    def __init__(
        self,
        repos: Iterable[Repo],
        *,
        tokens: Collection[str] = ("hf_right",),
        page_size: int = PAGE,
        resolve_cache: bool = False,
    ) -> None:
        super().__init__()
        self.repos = {repo.id: repo for repo in repos}
        self.moved: dict[str, str] = {}
        self.tokens = set(tokens)
        self.page_size = page_size
        self.resolve_cache = resolve_cache
        self.cdn = Cdn(self.repos)
        self.cdn.faults_of = self

    def __enter__(self) -> Self:
        self.cdn.__enter__()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            super().__exit__(kind, *error)
        finally:
            self.cdn.__exit__(kind, *error)

    @property
    def all_requests(self) -> int:
        """Requests to both servers."""
        return len(self.log) + len(self.cdn.log)

    @property
    def all_sent(self) -> int:
        """Bytes of the bodies of both servers."""
        return self.sent + self.cdn.sent

    def answer(self, request: Request) -> Answer:
        """Return the hub's answer; a path in ``routes`` comes first."""
        if request.path in self.routes:
            return super().answer(request)
        try:
            return self._answered(request, self._token(request))
        except RefusedError as refused:
            return refused.reply

    def _answered(self, request: Request, token: str | None) -> Answer:
        match request.segments:
            case ["api", "whoami-v2"]:
                return _whoami(token)
            case ["api", "models"]:
                return self._list(request, token)
            case ["api", "models", *rest]:
                return self._about(request, token, rest)
            case ["api", "resolve-cache", "models", *rest]:
                size = 1 if rest[0] in self.repos else 2
                place = ("/".join(rest[:size]), rest[size], "/".join(rest[size + 1 :]))
                return self._file(request, token, place, cached=True)
        name, verb, rest = _verb(request.segments, {"resolve"})
        if not verb or len(rest) < 2:
            raise _refused(404, None, "Sorry, we can't find the page you are looking for.")
        return self._file(request, token, (name, rest[0], "/".join(rest[1:])))

    def _token(self, request: Request) -> str | None:
        if request.authorization is None:
            return None
        token = request.authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            raise _refused(401, None, "Invalid credentials in Authorization header")
        return token

    def _repo(self, request: Request, token: str | None, name: str) -> Repo:
        if name in self.moved:
            to = request.target.replace(name, self.moved[name], 1)
            raise RefusedError(Reply(307, {"Location": to}))
        repo = self.repos.get(name)
        if repo is not None and (not repo.private or repo.admits(token)):
            return repo
        if token is None:
            raise _refused(401, "RepoNotFound", "Invalid username or password.")
        raise _refused(404, "RepoNotFound", "Repository not found")

    def _about(self, request: Request, token: str | None, rest: Sequence[str]) -> Reply:
        name, verb, after = _verb(rest, {"revision", "tree"})
        repo = self._repo(request, token, name)
        revision = (after[0] if verb == "tree" else "/".join(after)) if after else "main"
        commit = _commit(repo, revision)
        if verb == "tree":
            return self._tree(request, repo, commit, "/".join(after[1:]).strip("/"))
        return json_reply(_chosen(repo.info(commit, blobs=_yes(request, "blobs")), request))

    def _tree(self, request: Request, repo: Repo, commit: str, under: str) -> Reply:
        expand = _yes(request, "expand")
        rows = tree_rows(repo.tree(commit), under, recursive=_yes(request, "recursive"), expand=expand)
        if under and not rows:
            raise _refused(404, "EntryNotFound", f'{under} does not exist on "{commit}"', commit)
        return self._page(request, rows, min(self.page_size, 50) if expand else self.page_size)

    def _list(self, request: Request, token: str | None) -> Reply:
        seen = [repo for repo in self.repos.values() if not repo.private or repo.admits(token)]
        rows = [row for row in (repo.info(repo.sha) for repo in seen) if _matches(row, request)]
        key = request.first("sort", "trendingScore")
        if key not in {"downloads", "likes", "lastModified", "createdAt", "trendingScore"}:
            raise _refused(400, None, f'Invalid sort parameter "{key}"')
        rows.sort(key=lambda row: row[key], reverse=request.first("direction", "-1") != "1")  # type: ignore[arg-type,return-value]
        shown = LISTED_IN_FULL if _yes(request, "full") else LISTED
        shown = shown | {name for name in ("config", "cardData") if _yes(request, name)}
        expanded = _expanded(request)
        picked = [
            _chosen(row, request) if expanded else {k: v for k, v in row.items() if k in shown}
            for row in rows
        ]
        return self._page(request, picked, self.page_size)

    def _page(self, request: Request, rows: list[Row], size: int) -> Reply:
        size = min(size, int(request.first("limit", str(size))))
        start = int(request.first("cursor", "0"))
        headers = {}
        if start + size < len(rows):
            query = urlencode({**request.query, "cursor": [start + size]}, doseq=True)
            path = request.target.split("?", maxsplit=1)[0]
            headers["Link"] = f'<{self.url}{path}?{query}>; rel="next"'
        return json_reply(rows[start : start + size], headers=headers)

    def _file(
        self, request: Request, token: str | None, place: tuple[str, str, str], *, cached: bool = False
    ) -> Reply:
        name, revision, path = place
        repo = self._repo(request, token, name)
        commit = _commit(repo, revision)
        _open_gate(repo, token, self.url)
        raw = repo.tree(commit).get(path)
        if raw is None:
            raise _refused(404, "EntryNotFound", "Entry not found", commit)
        known = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if is_large(path, raw):
            linked = {"X-Linked-Size": str(len(raw)), "X-Linked-Etag": f'"{digest(raw)}"'}
            return _moved(302, {**known, **linked}, self.cdn.address(raw))
        known["ETag"] = f'"{oid(path, raw)}"'
        if self.resolve_cache and not cached:
            linked = {"X-Linked-Size": str(len(raw)), "X-Linked-Etag": known["ETag"]}
            to = f"/api/resolve-cache/models/{name}/{commit}/{quote(path)}"
            return _moved(307, {**known, **linked}, to)
        return ranged(raw, request, {**known, "Content-Type": "text/plain; charset=utf-8"})


def _verb(parts: Sequence[str], verbs: Collection[str]) -> tuple[str, str, list[str]]:
    for size in (2, 1):
        name = "/".join(parts[:size])
        if len(parts) == size:
            return name, "", []
        if len(parts) > size and parts[size] in verbs:
            return name, parts[size], list(parts[size + 1 :])
    return "/".join(parts[:2]), "", []


def _commit(repo: Repo, revision: str) -> str:
    commit = repo.commit(revision)
    if commit is None:
        raise _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit


def _open_gate(repo: Repo, token: str | None, url: str) -> None:
    if not repo.gated or repo.admits(token):
        return
    if token is None:
        said = "You must have access to it and be authenticated to access it. Please log in."
        raise _refused(401, "GatedRepo", f"Access to model {repo.id} is restricted. {said}")
    said = f"you are not in the authorized list. Visit {url}/{repo.id} to ask for access."
    raise _refused(403, "GatedRepo", f"Access to model {repo.id} is restricted and {said}")


def _matches(row: Row, request: Request) -> bool:
    name, tags = str(row["id"]).lower(), row["tags"]
    wanted = [
        each
        for key in ("filter", "library")
        for item in request.query.get(key, [])
        for each in item.split(",")
    ]
    return (
        all(word in name for word in request.first("search").lower().split())
        and request.first("author", str(row["author"])).lower() == str(row["author"]).lower()
        and request.first("pipeline_tag", str(row.get("pipeline_tag"))) == str(row.get("pipeline_tag"))
        and all(tag in tags for tag in wanted)  # type: ignore[operator]
        and request.first("gated", str(bool(row["gated"]))).lower() == str(bool(row["gated"])).lower()
    )


def _expanded(request: Request) -> list[str]:
    return request.query.get("expand", []) + request.query.get("expand[]", [])


def _chosen(row: Row, request: Request) -> Row:
    names = _expanded(request)
    if not names:
        return row
    unknown = sorted(set(names) - EXPANDABLE)
    if unknown:
        raise _refused(400, None, f'"expand" must be one of {sorted(EXPANDABLE)}, not {unknown}')
    return {key: value for key, value in row.items() if key in {"_id", "id", *names}}


def _yes(request: Request, name: str) -> bool:
    return request.first(name).lower() in {"true", "1"}


def _whoami(token: str | None) -> Reply:
    if token is None:
        raise _refused(401, None, "Invalid username or password.")
    access = {"type": "access_token", "accessToken": {"displayName": "tests", "role": "read"}}
    return json_reply({"type": "user", "id": "1", "name": "tester", "isPro": False, "auth": access})


def _moved(status: int, headers: Mapping[str, str], to: str) -> Reply:
    return Reply(status, {**headers, "Location": to}, f"Redirecting to {to}".encode())


def _refused(status: int, code: str | None, message: str, commit: str | None = None) -> RefusedError:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    headers |= {"X-Repo-Commit": commit} if commit else {}
    return RefusedError(json_reply({"error": message}, status, headers))
