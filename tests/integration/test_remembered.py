"""Readings of servers that name their content: kept while it is called the same, whatever their age."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hwledger.errors import MissingError
from hwledger.library.access import Access
from hwledger.library.paths import cache_dir
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from support import tiny
from support.engine_servers import EngineServer
from support.hub_repo import Repo
from support.hub_server import HubServer
from support.ollama import shown_of
from support.web_server import Reply, Request, WebServer, ranged

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-CACHE")]
DAY = 24 * 3600.0
CONTEXT = "llama.context_length"
"""What tells one version of the model from another here."""


def aged(days: float) -> None:
    """Make everything that is kept older."""
    for path in (cache_dir() / "remote").iterdir():
        written = json.loads(path.read_bytes())
        path.write_text(json.dumps({**written, "at": written["at"] - days * DAY}))


def age_of(spec: ModelSpec) -> float:
    """Return days since a model was read; 0 for now."""
    assert spec.reading
    return round((spec.reading.kept_s or 0.0) / DAY, 2)


def metadata(context: int) -> dict[str, Any]:
    """Return the metadata of the tiny model with another context."""
    return {**tiny.METADATA, CONTEXT: context}


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineServer]:
    """Ollama's server with one model, which it names by a digest."""
    row = {"name": "tiny:1b", "size": 1000, "digest": "a" * 64}
    replies = {"/api/tags": {"models": [row]}, "/api/show": shown_of(metadata(1024))}
    with EngineServer(replies) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        yield server


def pull(server: EngineServer, context: int, **row: object) -> None:
    """Put another model under the name."""
    rows = [{"name": "tiny:1b", "size": 1000, **row}] if row else []
    server.answers["/api/tags"] = {"models": rows}
    server.answers["/api/show"] = shown_of(metadata(context))


def asked(server: WebServer) -> list[str]:
    """Return the paths that were asked for since the last call."""
    found = [request.path for request in server.log]
    server.forget()
    return found


def test_an_unchanged_model_of_ollama_is_never_read_again(ollama: EngineServer) -> None:
    """While the digest is the same, age does not count: only the list is asked for."""
    assert open_model("ollama:tiny:1b").context_length == 1024
    assert asked(ollama) == ["/api/tags", "/api/show"]
    for age in (0.5, 1.5, 31.5):
        aged(age - 0.5 if age > 1 else age)
        again = open_model("ollama:tiny:1b")
        assert asked(ollama) == ["/api/tags"]
        assert again.context_length == 1024
    assert age_of(again) == 0.5 + 1.0 + 31.0


def test_a_model_that_was_pulled_again_is_read_again(ollama: EngineServer) -> None:
    """However young the reading is, another digest makes it one of another model."""
    assert open_model("ollama:tiny:1b").context_length == 1024
    pull(ollama, 2048, digest="b" * 64)
    assert open_model("ollama:tiny:1b").context_length == 2048
    assert age_of(open_model("ollama:tiny:1b")) == 0
    assert asked(ollama) == ["/api/tags", "/api/show", "/api/tags", "/api/tags", "/api/show", "/api/tags"]


def test_a_model_that_was_removed_is_not_planned_from_memory(ollama: EngineServer) -> None:
    """A server that no longer lists the model is asked for it, and its refusal counts."""
    open_model("ollama:tiny:1b")
    ollama.answers["/api/tags"] = {"models": []}
    del ollama.answers["/api/show"]
    with pytest.raises(MissingError, match="Ollama has no model tiny:1b here"):
        open_model("ollama:tiny:1b")


def test_without_a_digest_age_decides(ollama: EngineServer) -> None:
    """A server that lists no digest is believed for a day, as before."""
    pull(ollama, 1024, details={})
    open_model("ollama:tiny:1b")
    pull(ollama, 2048, details={})
    aged(0.9)
    assert open_model("ollama:tiny:1b").context_length == 1024
    aged(0.2)
    assert open_model("ollama:tiny:1b").context_length == 2048


def test_an_ollama_that_is_gone_leaves_what_is_remembered(ollama: EngineServer) -> None:
    """Whether the model changed cannot be told then, which is said."""
    open_model("ollama:tiny:1b")
    said: list[str] = []
    ollama.faults.append(("/api/tags", 99, Reply(500)))
    spec = open_model("ollama:tiny:1b", access=Access(say=said.append, time_limit_s=20))
    assert spec.context_length == 1024
    assert "planned from an earlier reading" in said[-1]


def test_a_branch_that_did_not_move_costs_one_request_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day the hub is asked for the commit alone; only another one is read."""
    with HubServer([Repo("org/tiny", tiny.plain())]) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        open_model("org/tiny")
        hub.forget()
        aged(3)
        assert age_of(open_model("org/tiny")) == 3
        assert asked(hub) == ["/api/models/org/tiny"]
        assert age_of(open_model("org/tiny")) == 3
        assert not asked(hub)
        moved = {**tiny.plain(), "config.json": tiny.config(max_position_embeddings=77)}
        hub.repos["org/tiny"] = Repo("org/tiny", moved, "e" * 40)  # type: ignore[index]
        aged(3)
        assert open_model("org/tiny").context_length == 77
        assert "/org/tiny/resolve/" + "e" * 40 + "/config.json" in asked(hub)


@pytest.mark.parametrize(
    ("tag", "other", "requests"), [('"1"', '"1"', 1), ('"1"', '"2"', 2), ('W/"1"', 'W/"1"', 1), ("", "", 1)]
)
def test_a_file_on_the_web_is_known_by_its_tag(tag: str, other: str, requests: int) -> None:
    """After a day an equal tag of the web proves the content; a weak one or none proves nothing."""
    versions = [(tiny.gguf_file(**{CONTEXT: 1024}), tag), (tiny.gguf_file(**{CONTEXT: 2048}), other)]
    now = 0

    def reply(request: Request) -> Reply:
        raw, named = versions[now]
        return ranged(raw, request, {"ETag": named} if named else {})

    with WebServer({"/tiny.gguf": reply}) as server:
        url = f"{server.url}/tiny.gguf"
        assert open_model(url).context_length == 1024
        server.forget()
        now = 1
        assert open_model(url).context_length == 1024
        assert not server.log
        aged(2)
        proved = tag == other == '"1"'
        assert open_model(url).context_length == (1024 if proved else 2048)
        assert len(server.log) == requests
