"""The routes of the ledger and what every reply has in common."""

import base64
import json
from typing import Any

import pytest

from hwledger.ledger.event import leaf_of, new_id
from hwledger.ledger.merkle import continues, includes
from hwledger.server.around import LARGEST_BODY
from hwledger.server.problems import NAMES
from support.events import events
from support.fleet_server import Served

pytestmark = [pytest.mark.requirement("FR-FLEET-API"), pytest.mark.enable_socket]


@pytest.fixture(scope="module", autouse=True)
def filled(server: Served) -> None:
    """Put events there."""
    server.side.fleet.store.append(events(200))


def lines(server: Served, **query: Any) -> list[dict[str, Any]]:
    """Return a page of events."""
    reply = server.ask("viewer", "GET", "/v1/ledger/events", params=query)
    assert reply.headers["content-type"].startswith("application/jsonl")
    return [json.loads(line) for line in reply.text.splitlines()]


def test_pages_go_by_sequence_number(server: Served) -> None:
    """Page after page gives every event once, in order, as it is stored; chosen by type and subject."""
    found, after = [], 0
    while page := lines(server, after=after, limit=70):
        found += page
        after = page[-1]["seq"]
    assert [one["seq"] for one in found] == list(range(1, server.side.fleet.store.head().seq + 1))
    for one in found:
        assert leaf_of(one["body"].encode()).hex() == one["leaf"]
    assert len(lines(server, type="host.online", limit=1000)) == 200
    assert lines(server, subject="user/a-admin", type="user.token_created")[0]["seq"] == 3
    assert lines(server, subject="nobody") == []


def test_proofs_hold(server: Served) -> None:
    """Inclusion and consistency are checked with what the replies hold, and nothing else."""
    head = server.ask("viewer", "GET", "/v1/ledger/head").json()
    proof = server.ask("viewer", "GET", "/v1/ledger/proof/inclusion?seq=17").json()
    raw = [base64.b64decode(one) for one in proof["hashes"]]
    root = base64.b64decode(head["root"])
    assert proof["root"] == head["root"]
    assert includes(leaf_of(proof["body"].encode()), 16, head["size"], raw, root)
    found = server.ask("viewer", "GET", "/v1/ledger/proof/consistency?a=100").json()
    old, new = (base64.b64decode(found[name]) for name in ("root_a", "root_b"))
    assert new == root
    assert continues(100, head["size"], old, new, [base64.b64decode(one) for one in found["hashes"]])
    for query in ("inclusion?seq=99999", "inclusion?seq=5&size=4", "consistency?a=9&b=8"):
        assert server.ask("viewer", "GET", f"/v1/ledger/proof/{query}").status_code == 404


def test_a_check_over_the_api(server: Served) -> None:
    """It says what the ledger is; checkpoints that are kept are listed."""
    found = server.ask("operator", "GET", "/v1/ledger/verify").json()
    assert found["size"] == server.side.fleet.store.head().seq
    assert server.ask("viewer", "GET", "/v1/ledger/checkpoints").json()["checkpoints"] == []


def test_recording_and_history(server: Served) -> None:
    """A plan is recorded under the name of who sent it, once per id, and read back under its model."""
    sent = {
        "id": new_id(5, bytes(10)), "type": "fleet.plan.created.v1", "subject": "model/Qwen/Qwen3-32B",
        "time": "2026-11-22T09:00:00.000000Z",
        "data": {"model": "Qwen/Qwen3-32B", "engine": "vllm", "total_bytes": 1, "sha256": "0" * 64},
    }  # fmt: skip
    first, again = (server.ask("operator", "POST", "/v1/events", json=sent).json() for _ in range(2))
    assert first == again
    other = sent | {"data": sent["data"] | {"total_bytes": 2}}  # type: ignore[operator]
    assert server.ask("operator", "POST", "/v1/events", json=other).status_code == 409
    (found,) = server.ask("viewer", "GET", "/v1/history/Qwen/Qwen3-32B").json()["events"]
    body = json.loads(found["body"])
    assert body["fleetactor"] == "user:a-operator"
    assert body["source"] == "spiffe://hwledger.local/user/a-operator"
    near = server.ask("viewer", "GET", "/v1/history/Qwen3-32").json()["detail"]
    assert "Qwen/Qwen3-32B" in near


BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/nowhere", {}, 404),
    ("GET", "/v1/hosts/nobody", {}, 404),
    ("PATCH", "/v1/me", {}, 405),
    ("POST", "/v1/tokens", {"content": b"{"}, 422),
    ("POST", "/v1/tokens", {"content": b"\xff\xfe"}, 422),
    ("POST", "/v1/tokens", {"json": {"uses": 0}}, 422),
    ("POST", "/v1/tokens", {"json": {"user": "hwu1.canary"}}, 422),
    ("POST", "/v1/events", {"json": []}, 422),
    ("GET", "/v1/ledger/events?after=-1", {}, 422),
    ("GET", "/v1/ledger/events?limit=9999999999999999999999", {}, 422),
    ("GET", "/v1/ledger/events?type=nobody.knows", {}, 422),
    ("POST", "/v1/tokens", {"content": b"x" * (LARGEST_BODY + 1)}, 413),
    ("POST", "/v1/tokens", {"content": (b"x" * 65536 for _ in range(40))}, 413),
]


@pytest.mark.parametrize(("method", "path", "sent", "status"), BAD)
def test_every_error_is_a_problem(
    server: Served, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    """Type, title, status, a sentence and the request's id; nothing of what was sent, no trace."""
    headers = {"Content-Type": "application/json"}
    reply = server.ask("admin", method, path, headers=headers, **sent)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    found = reply.json()
    assert (found["status"], found["type"]) == (status, f"urn:hwledger:problem:{NAMES[status]}")
    assert found["request"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.text
    assert "canary" not in reply.text
    if status == 405:
        assert reply.headers["allow"] == "GET"


def test_what_nobody_foresaw_is_a_problem_too(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the program is a 500 without its words; the log has its place."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr("hwledger.server.api.users.user_tokens", broken)
    reply = server.ask("admin", "GET", "/v1/users/tokens")
    assert (reply.status_code, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "canary" not in reply.text


def test_health_and_metrics(server: Served) -> None:
    """Living, being ready, and counting need no token; routes are counted by their pattern."""
    assert server.ask("anyone", "GET", "/healthz").json() == {"status": "ok"}
    assert server.ask("anyone", "GET", "/readyz").json() == {"status": "ready"}
    server.ask("viewer", "GET", "/v1/hosts/node1")
    server.ask("viewer", "GET", "/v1/hosts/canary")
    page = server.ask("anyone", "GET", "/metrics").text
    assert 'hwledger_http_requests_total{method="GET",route="/v1/hosts/{host}",status="404"}' in page
    assert f"hwledger_ledger_events {server.side.fleet.store.head().seq}.0" in page
    assert "canary" not in page


def test_the_description_is_whole(server: Served) -> None:
    """OpenAPI 3.1: every route of the table, with a summary, real documents, and problems for errors."""
    found = server.ask("anyone", "GET", "/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    for path, methods in found["paths"].items():
        for method, told in methods.items():
            assert told["summary"], (method, path)
            assert told["description"], (method, path)
            for status, answer in told["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
                else:
                    schema = next(iter(answer["content"].values()))["schema"]
                    assert schema, (method, path, status)
