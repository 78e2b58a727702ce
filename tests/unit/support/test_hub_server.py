"""The hub on loopback, asked by the hub's own client."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, close_session, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)  # fmt: skip

from support import faults
from support.hub_repo import SHA, Repo, digest
from support.hub_server import HubServer

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1", "localhost"]),
    pytest.mark.requirement("FR-SRC-HUB"),
]
RIGHT, OTHER = "hf_right", "hf_other"
CONFIG, WEIGHTS, OLD = b'{"model_type": "llama"}', bytes(range(256)) * 40, "f" * 40
FILES = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "quants/q4/a.gguf": b"GGUF",
    "quants/b.txt": b"b",
}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Serve a public, a gated, a private and a few more repositories; leave no connection behind."""
    repos = [
        Repo("org/open", FILES, tags={"v1": OLD}, branches={"refs/pr/1": OLD}, downloads=5, likes=2,
             at={OLD: {"config.json": b"{}"}}, tags_list=["llama"]),
        Repo("org/gated", FILES, gated="manual", allowed=frozenset({RIGHT}), downloads=9,
             library_name="mlx"),
        Repo("org/private", FILES, private=True, downloads=1),
        Repo("solo", FILES, downloads=7, pipeline_tag=None),
    ]  # fmt: skip
    with HubServer(repos, tokens={RIGHT, OTHER}) as server:
        yield server
        close_session()


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    """Return the hub's own client, without a token."""
    return HfApi(endpoint=hub.url, token=False)


def download(hub: HubServer, folder: Path, repo: str, file: str, **options: str) -> bytes:
    """Return a file as the hub's own client fetches it."""
    token = options.pop("token", False)
    path = hf_hub_download(repo, file, endpoint=hub.url, cache_dir=folder, token=token, **options)
    return Path(path).read_bytes()


@pytest.mark.parametrize("name", ["org/open", "solo"])
def test_model_info(api: HfApi, name: str) -> None:
    """The client reads the info with sizes; weights are in the large-file storage."""
    info = api.model_info(name, files_metadata=True)
    assert (info.id, info.sha, info.private, info.gated) == (name, SHA, False, False)
    sizes = {each.rfilename: (each.size, each.lfs and each.lfs.sha256) for each in info.siblings or []}
    assert sizes["config.json"] == (len(CONFIG), None)
    assert sizes["model.safetensors"] == (len(WEIGHTS), digest(WEIGHTS))


def test_revisions(api: HfApi) -> None:
    """Branches with slashes, tags and commits are revisions, each with its files."""
    for revision in ("v1", "refs/pr/1", OLD):
        info = api.model_info("org/open", revision=revision)
        assert (info.sha, [each.rfilename for each in info.siblings or []]) == (OLD, ["config.json"])


def test_expand(api: HfApi) -> None:
    """Only what is asked for comes; an unknown property is refused."""
    info = api.model_info("org/open", expand=["downloads", "sha"])
    assert (info.downloads, info.sha, info.siblings) == (5, SHA, None)
    with pytest.raises(HfHubHTTPError, match="expand"):
        api.model_info("org/open", expand=["colour"])  # type: ignore[list-item]


def test_tree(hub: HubServer, api: HfApi) -> None:
    """Trees come flat or deep, below a path, and page by page."""
    assert [each.path for each in api.list_repo_tree("org/open")] == [
        "quants", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert [each.path for each in api.list_repo_tree("org/open", "quants/q4")] == ["quants/q4/a.gguf"]
    hub.page_size = 2
    deep = list(api.list_repo_tree("org/open", recursive=True, expand=True))
    assert [each.path for each in deep] == ["quants", "quants/q4", *sorted(FILES)]
    assert deep[3].lfs.sha256 == digest(WEIGHTS)
    assert len(hub.log) == 2 + 3
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("org/open", "nowhere"))


def test_search(hub: HubServer, api: HfApi) -> None:
    """The list is searched, filtered, sorted and paged; private repositories need a token."""
    assert [each.id for each in api.list_models(sort="downloads")] == ["org/gated", "solo", "org/open"]
    assert [each.id for each in api.list_models(search="OP", limit=5)] == ["org/open"]
    assert [each.id for each in api.list_models(filter=["llama", "transformers"])] == ["org/open"]
    assert [each.id for each in api.list_models(author="org", gated=True)] == ["org/gated"]
    assert {each.id for each in api.list_models(pipeline_tag="text-generation", token=RIGHT)} == {
        "org/open", "org/gated", "org/private",
    }  # fmt: skip
    before, hub.page_size = len(hub.log), 1
    assert len(list(api.list_models(limit=2, full=True))) == 2
    assert len(hub.log) - before == 2
    assert next(iter(api.list_models(expand=["gated"], search="gated"))).gated == "manual"


@pytest.mark.parametrize("cached", [False, True])
def test_download(hub: HubServer, tmp_path: Path, cached: bool) -> None:  # noqa: FBT001
    """Small files come from the hub, weights from the second server, which never sees the token."""
    hub.resolve_cache = cached
    assert download(hub, tmp_path, "org/open", "config.json") == CONFIG
    assert not hub.cdn.log
    assert download(hub, tmp_path, "org/open", "model.safetensors", token=RIGHT) == WEIGHTS
    assert download(hub, tmp_path, "org/open", "config.json", revision="v1") == b"{}"
    assert download(hub, tmp_path, "solo", "quants/q4/a.gguf") == b"GGUF"
    assert not hub.cdn.got_authorization
    assert hub.all_sent >= len(WEIGHTS) + len(CONFIG)


def test_parts_of_large_files(hub: HubServer) -> None:
    """The second server serves parts, and nothing without a signature; it tells who shows a token."""
    with httpx2.Client(follow_redirects=True, trust_env=False) as client:
        url = f"{hub.url}/org/open/resolve/main/model.safetensors"
        got = client.get(url, headers={"Range": "bytes=8-15"})
        assert (got.status_code, got.content) == (206, WEIGHTS[8:16])
        assert got.headers["content-range"] == f"bytes 8-15/{len(WEIGHTS)}"
        assert client.get(url, headers={"Range": "bytes=999999-"}).status_code == 416
        assert client.get(hub.cdn.address(WEIGHTS, "forged")).status_code == 403
        first = client.head(url, follow_redirects=False).headers
        assert (first["x-linked-size"], first["x-linked-etag"]) == (str(len(WEIGHTS)), f'"{digest(WEIGHTS)}"')
        assert first["x-repo-commit"] == SHA
        client.get(first["location"], headers={"Authorization": "Bearer hf_right"})
    assert hub.cdn.got_authorization


def test_gated(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    """A gated repository tells about itself, and gives files to whom it has let in."""
    assert api.model_info("org/gated").gated == "manual"
    with pytest.raises(GatedRepoError) as nobody:
        download(hub, tmp_path, "org/gated", "config.json")
    with pytest.raises(GatedRepoError, match="not in the authorized list") as stranger:
        download(hub, tmp_path, "org/gated", "config.json", token=OTHER)
    assert (nobody.value.response.status_code, stranger.value.response.status_code) == (401, 403)
    assert download(hub, tmp_path, "org/gated", "config.json", token=RIGHT) == CONFIG


def test_not_found(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    """Unknown and private repositories, revisions and files are refused as the hub does it."""
    for name, token, status in (
        ("org/none", False, 401), ("org/none", RIGHT, 404), ("org/private", False, 401),
    ):  # fmt: skip
        with pytest.raises(RepositoryNotFoundError) as refused:
            api.model_info(name, token=token)
        assert refused.value.response.status_code == status
    assert api.model_info("org/private", token=RIGHT).private
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/open", revision="v9")
    with pytest.raises(EntryNotFoundError):
        download(hub, tmp_path, "org/open", "none.json")


def test_tokens(api: HfApi) -> None:
    """A valid token has a name, an invalid one is refused even where none is needed."""
    assert api.whoami(token=RIGHT)["name"] == "tester"
    with pytest.raises(HfHubHTTPError, match="Invalid") as refused:
        api.model_info("org/open", token=RIGHT[:-1])
    assert not isinstance(refused.value, RepositoryNotFoundError)


def test_moved(hub: HubServer, api: HfApi) -> None:
    """A repository that was renamed is found under its old name."""
    hub.moved["old/name"] = "org/open"
    assert api.model_info("old/name").id == "org/open"


def test_rate_limit(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    """The client reads the limit's headers, and faults reach both servers in their order."""
    hub.faults += [
        ("^/api/models/org/open", 1, faults.rate_limited(7)), ("xet-bridge", 1, faults.cut(100)),
    ]  # fmt: skip
    with pytest.raises(HfHubHTTPError, match="Retry after 7 seconds"):
        api.model_info("org/open")
    assert api.model_info("org/open").id == "org/open"
    assert download(hub, tmp_path, "org/open", "model.safetensors") == WEIGHTS
    assert [line.range for line in hub.cdn.log] == [None, None]  # it had not yet written the 100 bytes


def test_html_for_json(hub: HubServer, api: HfApi) -> None:
    """A page where JSON is expected is no JSON."""
    hub.faults.append(("/api/", 1, faults.html()))
    with pytest.raises(json.JSONDecodeError):
        api.model_info("org/open")
