"""One server in a process of its own, as its users meet it: the command line, machines that join, the API."""

import json
import os
import queue
import re
import signal
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hwledger.cli import run as call
from hwledger.errors import AlteredError, DeniedError, UnreachableError
from hwledger.fleet.client import SERVER, TOKEN, Checked, Client, Entrance
from hwledger.fleet.joining import join
from hwledger.fleet.secret import Secret
from hwledger.fleet.signing import key_pem, new_key
from hwledger.fleet.wire.enrolment import EnrolAnswer
from hwledger.fleet.wire.tokens import JoinToken
from hwledger.ledger.event import event_of
from support.fleets import client_context
from support.real_server import RealServer, running
from support.reporting import hello_body

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Give a server."""
    with running(tmp_path_factory.mktemp("whole") / "data") as one:
        yield one


@pytest.fixture(autouse=True)
def here(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line find the server."""
    monkeypatch.setenv("HWLEDGER_DATA_DIR", str(server.folder))


class Said:
    """What the command line prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Return what a call prints to where its outcome goes."""
        self._capsys.readouterr()
        assert call(list(arguments)) == code
        out, err = self._capsys.readouterr()
        assert code == 0 or err.count("\n") == 1, err
        return err if code else out


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a way to call the command line."""
    return Said(capsys)


@pytest.fixture
def client(server: RealServer) -> Client:
    """Return a client of the server."""
    return Client(Entrance.found(server.folder, {}))


def joined(said: Said, name: str, *options: str) -> tuple[EnrolAnswer, bytes]:
    """Return what a machine is answered that joins with a token of the command line, and its key."""
    token, key = JoinToken.read(said("token", "create", *options)), new_key()
    told: dict[str, Any] = {"machine": os.urandom(32).hex(), "inventory": {"devices": []}, "version": "1"}
    return join(token, key, name=name, **told), key_pem(key)


def now() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1000


def shown(folder: Path, answer: EnrolAnswer, key: bytes) -> ssl.SSLContext:
    """Return a context that shows the certificate of a machine."""
    return client_context(folder, answer.authorities, key + answer.certificate.encode())


@pytest.mark.requirement("FR-FLEET-UP", "FR-FLEET-CLI")
def test_a_machine_joins_reports_and_is_banned(said: Said, tmp_path: Path) -> None:
    """From a token to a host with its inventory; the ban is effective on the connection that is open."""
    answer, key = joined(said, "node1", "--label", "rack=a", "--ttl", "15m")
    assert json.loads(said("hosts", "--json"))["hosts"][0]["labels"] == {"rack": "a"}
    context = shown(tmp_path, answer, key)
    with httpx2.Client(verify=context, trust_env=False, base_url=f"https://{answer.agents_address}") as agent:
        reply = agent.post("/a/v1/hello", json=hello_body(now))
        assert reply.status_code == 200, reply.text
        assert reply.json()["checkpoint"].startswith("hwledger")
        assert reply.headers["hwledger-api"] == "1"
        line = next(line for line in said("hosts").splitlines() if "node1" in line)
        assert "active" in line
        assert "1 x H100" in line
        assert "certificate" in said("host", "show", answer.host[:13])
        assert "is banned" in said("host", "ban", "node1", "--reason", "stolen")
        assert agent.post("/a/v1/hello", json=hello_body(now)).status_code == 403
    assert "stolen" in said("host", "show", "node1")
    assert "already" in said("host", "ban", "node1", code=4)
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"https://{answer.agents_address}/a/v1/commands", verify=False, trust_env=False)


@pytest.mark.requirement("FR-FLEET-CLI")
def test_a_machine_waits_until_it_is_let_in(said: Said) -> None:
    """With --approve a token lets in nobody by itself."""
    answer, _ = joined(said, "waits", "--approve")
    assert answer.state == "waiting"
    assert "hwledger host approve" in said("hosts")
    assert "is let in" in said("host", "approve", "waits")
    assert "is retired" in said("host", "retire", answer.host)


@pytest.mark.requirement("FR-FLEET-CLI")
def test_a_user_from_elsewhere(said: Said, monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """What user create prints lets somebody in over TLS, as far as the role goes, until it is revoked."""
    told = dict(line.split("=", 1) for line in said("user", "create", "anna").splitlines())
    monkeypatch.setenv("HWLEDGER_DATA_DIR", "/nonexistent")
    for name in (SERVER, TOKEN):
        monkeypatch.setenv(name, told[name])
    assert told[SERVER].startswith("https://127.0.0.1:")
    assert said("events", "--limit", "1")
    assert "anna is viewer" in said("token", "create", code=5)
    monkeypatch.setenv(SERVER, f"{told[SERVER].partition('#')[0]}#{'A' * 43}")
    assert "is not the one" in said("hosts", code=5)
    monkeypatch.setenv(SERVER, told[SERVER].partition("#")[0])
    assert "does not show the certificate" in said("hosts", code=5)
    monkeypatch.setenv(SERVER, told[SERVER])
    (token,) = [one["id"] for one in client.get("/v1/users/tokens")["tokens"] if one["user"] == "anna"]
    client.post(f"/v1/users/tokens/{token}", method="DELETE")
    assert "revoked" in said("hosts", code=5)
    monkeypatch.delenv(TOKEN)
    assert TOKEN in said("hosts", code=2)


@pytest.mark.requirement("FR-FLEET-CLI")
@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("http://192.0.2.1:8470", "without TLS"),
        ("ftp://127.0.0.1", "no address"),
        ("127.0.0.1:8470", "no address"),
        ("https://127.0.0.1:99999", "no address"),
        ("https://anna:secret@127.0.0.1", "no address"),
    ],
)
def test_addresses_that_no_token_is_sent_to(address: str, word: str, tmp_path: Path) -> None:
    """Without TLS, to another machine, or where no server can be: the sentence does not repeat a secret."""
    with pytest.raises(Exception, match=word) as caught:
        Entrance.found(tmp_path, {SERVER: address, TOKEN: "hwu1.x"})
    assert "secret" not in str(caught.value)


@pytest.mark.requirement("FR-FLEET-CLI")
def test_who_answers_but_is_no_server_of_hwledger(server: RealServer, tmp_path: Path) -> None:
    """Nobody there, and somebody else there, are two sentences."""
    with pytest.raises(UnreachableError, match="does not answer"):
        Client(Entrance("http://127.0.0.1:9", Secret("x"))).get("/v1/me")
    public = json.loads((server.folder / "server.json").read_text())["public"]
    with pytest.raises(UnreachableError, match=r"does not answer|no server of hwledger"):
        Client(Entrance(f"http://{public}", Secret("x"))).get("/v1/me")
    with pytest.raises(UnreachableError, match="no server runs here"):
        Entrance.found(tmp_path, {})


@pytest.mark.requirement("FR-FLEET-CLI", "FR-LEDGER-RECORD")
def test_a_plan_goes_on_record_through_the_server(said: Said, client: Client) -> None:
    """The server has the ledger: a plan is recorded and read back through it."""
    said("plan", "Qwen/Qwen3-32B", "--engine", "vllm", "--record")
    assert "plan.created" in said("history", "Qwen/Qwen3-32B")
    (entry,) = client.history("Qwen/Qwen3-32B", after=0, limit=10)
    assert event_of(entry.body).actor == "user:admin"
    assert "plan.created" in said("events", "--type", "plan.created")


@pytest.mark.requirement("FR-FLEET-STREAM")
def test_events_are_followed_and_resumed(client: Client, server: RealServer) -> None:
    """Each event arrives once and in order, however often the reader comes back; what was before, too."""
    size = client.get("/v1/ledger/head")["size"]
    for _ in range(3):
        client.post("/v1/tokens")
    seen: list[int] = []
    for _ in range(3):
        for entry in client.stream(after=seen[-1] if seen else size):
            seen.append(entry.seq)
            break
    assert seen == [size + 1, size + 2, size + 3]
    headers = {"Last-Event-ID": str(size + 1)}
    with server.client() as other, other.stream("GET", "/v1/stream?after=0", headers=headers) as reply:
        first = next(line for line in reply.iter_lines() if line.startswith("id: "))
    assert first == f"id: {size + 2}"


@pytest.mark.requirement("FR-FLEET-STREAM")
def test_a_stream_has_what_comes_and_only_what_was_asked_for(client: Client) -> None:
    """An event reaches a reader while it waits; another type does not; a revoked token ends the stream."""
    made = client.post("/v1/users/tokens", {"user": "reader", "role": "viewer"})
    reader = Client(Entrance(client.address, Secret(made["token"])))
    after, found = client.get("/v1/ledger/head")["size"], queue.SimpleQueue[str]()

    def follow() -> None:
        for entry in reader.stream(after=after, types=["fleet.token.created.v1"]):
            found.put(event_of(entry.body).type)
        found.put("the end")

    thread = threading.Thread(target=follow)
    thread.start()
    client.post("/v1/tokens")
    client.post("/v1/users/tokens", {"user": "other", "role": "viewer"})
    client.post("/v1/tokens")
    assert [found.get(timeout=30) for _ in range(2)] == ["fleet.token.created.v1"] * 2
    client.post(f"/v1/users/tokens/{made['id']}", method="DELETE")
    client.post("/v1/tokens")
    assert found.get(timeout=30) == "the end"
    thread.join(30)


@pytest.mark.requirement("FR-FLEET-STREAM")
def test_an_event_that_was_changed_on_the_way_is_refused() -> None:
    """A client holds what it is sent against the hashes, and against the event before."""
    first = {"seq": 1, "body": "{}", "leaf": "", "chain": "00" * 32}
    with pytest.raises(AlteredError):
        Checked().entry(first)
    with pytest.raises(UnreachableError):
        Checked().entry({"seq": 1})


@pytest.mark.requirement("FR-FLEET-METRICS")
def test_metrics_and_logs_without_secrets(server: RealServer, client: Client, said: Said) -> None:
    """Replies are counted by route, not by what was typed; no token is in the log, in whatever form."""
    answer, key = joined(said, "canary")
    made = client.post("/v1/users/tokens", {"user": "canary", "role": "viewer"})
    with pytest.raises(DeniedError):
        Client(Entrance(server.address, Secret("hwu1.canary-of-a-wrong-token"))).get("/v1/me")
    with server.client() as other:
        other.get("/v1/hosts/canary-in-a-path")
        other.get("/canary-of-no-route")
        other.post("/v1/users/tokens", json={"user": "hwu1.canary-in-a-body"})
        page = other.get("/metrics").text
    assert 'hwledger_http_requests_total{method="GET",route="/v1/hosts/{host}",status="404"} 1.0' in page
    assert 'route="none",status="404"' in page
    assert re.search(r"^hwledger_ledger_events \d", page, re.MULTILINE)
    log = server.log.read_text()
    assert '"route": "/v1/enrol"' in log
    log = log.replace('"user": "canary"', "")
    for hidden in (made["token"], server.token, key.decode().splitlines()[1], answer.host, "canary"):
        assert hidden.removeprefix("hwu1.") not in log
        assert hidden not in page


@pytest.mark.requirement("FR-FLEET-UP")
def test_it_ends_with_an_agent_that_polls(server: RealServer, said: Said, tmp_path: Path) -> None:
    """A long poll is answered when the server stops, at once; started again, it has the same certificate."""
    answer, key = joined(said, "polls")
    found: list[int] = []

    def poll() -> None:
        url = f"https://{answer.agents_address}/a/v1/commands?wait=30"
        found.append(
            httpx2.get(url, verify=shown(tmp_path, answer, key), trust_env=False, timeout=60).status_code
        )

    thread = threading.Thread(target=poll)
    thread.start()
    with server.client() as other:
        while thread.is_alive() and "hwledger_agents_waiting 1.0" not in other.get("/metrics").text:
            time.sleep(0.01)
    assert server.stop(signal.SIGTERM) == 0
    thread.join(30)
    assert found == [200]
