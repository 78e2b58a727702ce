"""The agents' routes over real HTTP: what they answer, what they refuse, and who may say what."""

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hwledger.fleet import commands
from hwledger.fleet.context import Fleet
from hwledger.fleet.hosts import host
from hwledger.fleet.segments import Segments
from hwledger.fleet.wire.reading import LARGEST_SENT
from hwledger.ledger.event import body_of
from support.agent_server import HEADER, AgentServer
from support.reporting import (
    BOOT,
    A,
    B,
    Clock,
    Notary,
    as_json,
    hello_body,
    make_fleet,
    reported,
    told,
)

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-FLEET-REPORTING")]
BATCH = {
    "boot": BOOT, "seq": 1, "from": "2025-11-25T09:00:00Z", "step_seconds": 10, "columns": {"a": [1, None]},
}  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is turned by hand."""
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Fleet:
    """Return a fleet with the hosts A and B."""
    return make_fleet(tmp_path, clock)


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    """Return the telemetry of the fleet."""
    made = Segments(tmp_path)
    yield made
    made.close()


@pytest.fixture
def server(fleet: Fleet, segments: Segments) -> Iterator[AgentServer]:
    """Return the listener."""
    with AgentServer(fleet, segments, Notary("the note", [b"hash"])) as running:
        yield running


@pytest.fixture
def client(server: AgentServer) -> Iterator[httpx2.Client]:
    """Return a client that is host A."""
    with httpx2.Client(base_url=f"http://{server.address}", headers={HEADER: A}, trust_env=False) as made:
        yield made


def events(*numbers: int, host_id: str = A) -> dict[str, Any]:
    """Return a body of events."""
    return {"events": [json.loads(body_of(reported(number, host_id))) for number in numbers]}


def test_hello(client: httpx2.Client, fleet: Fleet, clock: Clock) -> None:
    """The answer has the pace, the clock, the checkpoint with its proof and how far each stream is."""
    client.post("/a/v1/events", json=events(1, 2))
    client.post("/a/v1/telemetry", json=BATCH)
    answer = client.post("/a/v1/hello", json=hello_body(clock, seen={"size": 1}))
    assert answer.status_code == 200
    assert answer.json() == {
        "next_in_seconds": 30, "time": "2025-11-25T09:00:00.000000Z", "checkpoint": "the note",
        "consistency": ["aGFzaA=="], "events_seq": 2, "telemetry_seq": 1, "want_inventory": False,
        "renew": False,
    }  # fmt: skip
    assert host(fleet, A).online
    first = client.post("/a/v1/hello", json=hello_body(clock)).json()
    assert first["consistency"] == []


def test_events_and_telemetry_packed(client: httpx2.Client, fleet: Fleet, segments: Segments) -> None:
    """Packed bodies are read; repeated ones change nothing and are answered alike."""
    packed = {"Content-Encoding": "gzip"}
    for repeated in (False, True):
        body = gzip.compress(as_json(events(1, 2)))
        answer = client.post("/a/v1/events", content=body, headers=packed).json()
        assert answer["events_seq"] == 2
        assert [(one["id"], one["repeated"]) for one in answer["receipts"]] == [
            (reported(number).id, repeated) for number in (1, 2)
        ]
        told_seq = client.post("/a/v1/telemetry", content=gzip.compress(as_json(BATCH)), headers=packed)
        assert told_seq.json() == {"telemetry_seq": 1}
    assert len(told(fleet, "job.started")) == 2
    assert len(segments.batches(A, 0, 1 << 62)) == 1


def test_a_long_poll_is_woken(client: httpx2.Client, fleet: Fleet) -> None:
    """A command that is issued while the host waits comes at once; the answer is taken once."""
    waited = threading.Timer(
        0.2, commands.issue, (fleet, A, "probe", {}), {"ttl_seconds": 60, "actor": "user:anna"}
    )
    waited.start()
    answer = client.get("/a/v1/commands?cursor=0&wait=30", timeout=60).json()
    (one,) = answer["commands"]
    assert (one["verb"], one["fence"], answer["cursor"]) == ("probe", 1, "1")
    assert client.get("/a/v1/commands?cursor=1&wait=0").json() == {"commands": [], "cursor": "1"}
    ack = {"fence": 1, "result": "done", "detail": ""}
    for _ in range(2):
        assert client.post(f"/a/v1/commands/{one['id']}/ack", json=ack).status_code == 200
    assert [name for name, _ in told(fleet)] == ["command.issued", "command.delivered", "command.acked"]


def test_many_long_polls_hold_no_threads(server: AgentServer) -> None:
    """Sixty hosts wait at once, and threads do not grow with them."""
    before = threading.active_count()

    def waiting(number: int, answers: list[int]) -> None:
        url = f"http://{server.address}/a/v1/commands?cursor=0&wait=1"
        headers = {HEADER: f"host-{number}"}
        answers.append(httpx2.get(url, headers=headers, timeout=60, trust_env=False).status_code)

    answers: list[int] = []
    threads = [threading.Thread(target=waiting, args=(number, answers)) for number in range(60)]
    for thread in threads:
        thread.start()
    peak = threading.active_count() - before - len(threads)
    for thread in threads:
        thread.join()
    assert answers == [200] * 60
    assert peak <= 45, "the pool of short work is 40 threads, whoever waits"


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/a/v1/hello", b"{}", {}, 400),
        ("/a/v1/hello", b"x" * (LARGEST_SENT + 1), {}, 413),
        ("/a/v1/telemetry", gzip.compress(b"0" * 50_000_000), {"Content-Encoding": "gzip"}, 413),
        ("/a/v1/telemetry", b"{}", {"Content-Encoding": "br"}, 400),
        ("/a/v1/events", as_json({"events": []}), {}, 400),
        ("/a/v1/commands/x/ack", as_json({"fence": 1, "result": "done", "detail": ""}), {}, 404),
    ],
)
def test_what_is_refused(  # noqa: PLR0913, PLR0917 - a request and its answer
    client: httpx2.Client, fleet: Fleet, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Too large, too much once unpacked, of another shape: a problem document, and nothing is added."""
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert not told(fleet)


def test_a_body_without_a_stated_length(client: httpx2.Client) -> None:
    """What comes in pieces is cut where it is too large."""
    answer = client.post("/a/v1/hello", content=iter([b"x" * 65_536] * 40))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "query", ["cursor=-1", "cursor=x", "wait=1e3", "cursor=9999999999999999999999", "wait=²"]
)
def test_odd_queries(client: httpx2.Client, query: str) -> None:
    """They are refused, and no number is made of them."""
    assert client.get(f"/a/v1/commands?{query}").status_code == 400


def test_one_host_cannot_speak_for_another(client: httpx2.Client, fleet: Fleet, segments: Segments) -> None:
    """With A's certificate and B's ids in every place that takes one, nothing of B changes."""
    for_b = commands.issue(fleet, B, "probe", {}, ttl_seconds=60, actor="user:anna")
    before = fleet.store.head()
    ack = {"fence": 1, "result": "done", "detail": ""}
    assert client.post(f"/a/v1/commands/{for_b}/ack", json=ack).status_code == 404
    assert client.post("/a/v1/events", json=events(1, host_id=B)).status_code == 422
    own = json.loads(body_of(reported(1)))
    for change in ({"subject": f"host/{B}"}, {"data": {"host": B, "job": "1", "fence": 1}}):
        assert client.post("/a/v1/events", json={"events": [{**own, **change}]}).status_code == 422
    assert client.post("/a/v1/hello", json={**hello_body(Clock()), "host": B}).status_code == 400
    assert client.post("/a/v1/telemetry", json={**BATCH, "host": B}).status_code == 400
    assert client.get("/a/v1/commands?cursor=0").json()["commands"] == []
    assert fleet.store.head() == before
    client.post("/a/v1/telemetry", json=BATCH)
    assert segments.batches(B, 0, 1 << 62) == []


def test_the_watch_runs_with_the_server(server: AgentServer, fleet: Fleet, clock: Clock) -> None:
    """A host that falls silent is offline without anybody asking, and its commands expire."""
    with httpx2.Client(base_url=f"http://{server.address}", headers={HEADER: A}, trust_env=False) as client:
        client.post("/a/v1/hello", json=hello_body(clock))
    commands.issue(fleet, A, "probe", {}, ttl_seconds=60, actor="user:anna")
    clock.turn(3600)
    wait = threading.Event()
    for _ in range(200):
        if {"host.offline", "command.expired"} <= {name for name, _ in told(fleet)}:
            break
        wait.wait(0.05)
    assert {"host.offline", "command.expired"} <= {name for name, _ in told(fleet)}
