"""Who may call what: every route of the table, with every role."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from hwledger.errors import DeniedError
from hwledger.fleet.users import Role, authenticate, make_user_token, revoke_user_token
from hwledger.ledger.event import new_id
from hwledger.server.api.guard import check_table, route_roles
from support.fleet_server import Served

pytestmark = [pytest.mark.requirement("FR-FLEET-ROLES"), pytest.mark.enable_socket]
ROLES = ("anyone", *(role.value for role in Role))
PLAN = {
    "id": "01a214b7-73af-7012-b31e-1eef0d8d2743", "type": "fleet.plan.created.v1", "subject": "model/a",
    "time": "2026-11-22T09:00:00.000000Z",
    "data": {"model": "a", "engine": "vllm", "total_bytes": 1, "sha256": "0" * 64},
}  # fmt: skip
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/events"): PLAN,
    ("POST", "/v1/users/tokens"): {"user": "anna", "role": "viewer"},
    ("POST", "/v1/tokens"): {"uses": 1},
    ("POST", "/v1/hosts/{host}/retire"): {"reason": "old"},
    ("POST", "/v1/hosts/{host}/ban"): {"reason": "lost"},
    ("POST", "/v1/commands"): {"host": "", "verb": "probe"},
    ("POST", "/v1/enrol"): {},
    ("POST", "/v1/renew-with-proof"): {},
}
QUERIES = {"/v1/ledger/proof/inclusion": {"seq": 1}, "/v1/ledger/proof/consistency": {"a": 1}}
CASES = [(*route, role) for route in route_roles() if route[1] != "/v1/stream" for role in ROLES]


def allowed(role: str, needed: str) -> bool:
    """Whether the table lets a role in, worked out apart from the program."""
    return ROLES.index(role) >= ROLES.index(needed)


@pytest.mark.parametrize(("method", "path", "role"), CASES)
def test_every_route_with_every_role(server: Served, method: str, path: str, role: str) -> None:
    """Who has the right gets a success; others 401 or 403, and nothing is added for them."""
    token = make_user_token(server.side.fleet, user="x", role=Role.VIEWER, actor="test")
    host = server.host() if "{host}" in path or path in {"/v1/commands", "/v1/renew-with-proof"} else ""
    own = path.format(host=host, subject="user/x", token=token.id)
    body = BODIES.get((method, path))
    if body and "id" in body:
        body = body | {"id": new_id(1, role.encode().ljust(10))}
    if body and "host" in body:
        body = body | {"host": host}
    if path == "/v1/enrol":
        body = server.request()
    if path == "/v1/renew-with-proof":
        body = {"host": host}
    before = server.side.fleet.store.head()
    reply = server.ask(role, method, own, json=body, params=QUERIES.get(path))
    if allowed(role, route_roles()[method, path]):
        assert reply.status_code in {200, 201}, reply.text
        return
    assert reply.status_code == (401 if role == "anyone" else 403)
    assert reply.headers["content-type"] == "application/problem+json"
    assert server.side.fleet.store.head() == before


def test_the_stream_needs_a_token(server: Served) -> None:
    """The one route that does not end is guarded like the others."""
    assert server.ask("anyone", "GET", "/v1/stream").status_code == 401


def test_a_refusal_comes_before_anything_else_is_looked_at(server: Served) -> None:
    """A broken body of somebody without a token is answered with 401, not with what is wrong in it."""
    for content in (b"{", b"[]", b"\xff"):
        headers = {"Content-Type": "application/json"}
        reply = server.ask("anyone", "POST", "/v1/users/tokens", content=content, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "shown", ["", "hwu1.x", "Bearer", "Bearer ", "Basic abc", "Bearer hwu1.unknown", "Bearer \xff"]
)
def test_what_is_no_token(server: Served, shown: str) -> None:
    """Nothing, nonsense, other schemes and unknown tokens are all 401."""
    headers = {"Authorization": shown.encode("latin-1")}
    assert server.client.get("/v1/me", headers=headers).status_code == 401


def test_a_token_that_was_revoked_or_ran_out(server: Served) -> None:
    """Neither counts from then on, and the answer says which it is."""
    fleet = server.side.fleet
    made = make_user_token(fleet, user="anna", role=Role.VIEWER, actor="test")
    headers = {"Authorization": f"Bearer {made.text.reveal()}"}
    assert server.client.get("/v1/me", headers=headers).json()["name"] == "anna"
    assert server.ask("admin", "DELETE", f"/v1/users/tokens/{made.id}").json()["events"]
    assert server.ask("admin", "DELETE", f"/v1/users/tokens/{made.id}").json()["events"] == []
    assert "revoked" in server.client.get("/v1/me", headers=headers).json()["detail"]
    revoke_user_token(fleet, made.id, actor="test")
    short = make_user_token(fleet, user="anna", role=Role.VIEWER, ttl_seconds=1, actor="test")
    later = replace(fleet, clock=lambda: fleet.clock() + 2_000_000)
    assert authenticate(fleet, short.text.reveal()).name == "anna"
    with pytest.raises(DeniedError, match="ran out"):
        authenticate(later, short.text.reveal())


def test_users_record_only_what_nothing_follows_from(server: Served) -> None:
    """Nobody becomes admin, lets in a host or makes a token by recording an event."""
    for kind in ("user.token_created", "host.enrolled", "token.created", "command.issued", "nobody.knows"):
        sent = PLAN | {"type": f"fleet.{kind}.v1"}
        reply = server.ask("admin", "POST", "/v1/events", json=sent)
        assert reply.status_code == 403, reply.text
    reply = server.ask("operator", "POST", "/v1/events", json=PLAN | {"source": "spiffe://x/server/users"})
    assert reply.status_code == 422


def nothing() -> dict[str, str]:
    """Answer."""
    return {}


def test_a_route_that_the_table_lacks_is_not_served() -> None:
    """An application with one does not come to be: what nobody decided about is refused."""
    app = FastAPI()
    app.get("/v1/new")(nothing)
    with pytest.raises(RuntimeError, match=r"GET /v1/new is not in routes\.csv"):
        check_table(app, route_roles())
    app = FastAPI()
    app.get("/v1/me")(nothing)
    with pytest.raises(RuntimeError, match="GET /v1/me"):
        check_table(app, route_roles())
