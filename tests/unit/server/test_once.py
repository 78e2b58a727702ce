"""Idempotency-Key: the same request is done once and answered alike, whoever sends it when."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.fleet.context import Fleet
from hwledger.fleet.once import Asked, OtherRequestError, once
from hwledger.fleet.users import Role, authenticate, make_user_token
from hwledger.fleet.views import projections
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.sqlite import SqliteStore
from support.fleet_server import Served

pytestmark = [pytest.mark.requirement("FR-FLEET-ONCE"), pytest.mark.enable_socket]
POSTS = [
    ("/v1/users/tokens", {"user": "anna", "role": "viewer"}),
    ("/v1/tokens", {"uses": 2, "labels": {"rack": "a"}}),
    ("/v1/hosts/waits/approve", None),
    ("/v1/hosts/node1/retire", {"reason": "old"}),
    ("/v1/commands", {"host": "node2", "verb": "probe", "arguments": {"wait_seconds": 1}}),
]


@pytest.fixture(scope="module", autouse=True)
def hosts(server: Served) -> None:
    """Let hosts in."""
    server.host("waits", approve=True)
    server.host("node1")
    server.host("node2")


@pytest.mark.parametrize(("path", "body"), POSTS)
def test_the_same_again_is_answered_alike(server: Served, path: str, body: object) -> None:
    """A repetition adds nothing, has the same status and document, and says that it is one."""
    headers = {"Idempotency-Key": f"key of {path}".replace(" ", "-")}
    first = server.ask("admin", "POST", path, json=body, headers=headers)
    assert first.status_code in {200, 201}, first.text
    size = server.side.fleet.store.head().seq
    again = server.ask("admin", "POST", path, json=body, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert server.side.fleet.store.head().seq == size


def test_another_request_with_the_key_is_refused(server: Served) -> None:
    """The key of a user and an address means one body; other users and addresses have keys of their own."""
    headers = {"Idempotency-Key": "k"}
    sent = {"user": "anna", "role": "viewer"}
    assert server.ask("admin", "POST", "/v1/users/tokens", json=sent, headers=headers).status_code == 201
    other = server.ask("admin", "POST", "/v1/users/tokens", json=sent | {"role": "admin"}, headers=headers)
    assert other.status_code == 422
    assert "used for another request" in other.json()["detail"]
    assert server.ask("admin", "POST", "/v1/tokens", json={}, headers=headers).status_code == 201
    assert server.ask("operator", "POST", "/v1/tokens", json={"uses": 3}, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f", "ü"])
def test_what_is_no_key(server: Served, key: str) -> None:
    """A key that cannot be one is refused before anything is done."""
    size = server.side.fleet.store.head().seq
    headers = {"Idempotency-Key": key.encode()}
    reply = server.ask("admin", "POST", "/v1/tokens", json={}, headers=headers)
    assert reply.status_code == 422
    assert server.side.fleet.store.head().seq == size


def test_the_token_that_is_shown_again_counts_and_is_kept_nowhere(server: Served, tmp_path: Path) -> None:
    """The secret follows from the key; neither ledger nor folder holds it."""
    sent, headers = {"user": "anna", "role": "viewer"}, {"Idempotency-Key": "shown-again"}
    made = [
        server.ask("admin", "POST", "/v1/users/tokens", json=sent, headers=headers).json()["token"]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert authenticate(server.side.fleet, made[0]).name == "anna"
    folder = server.side.fleet.folder
    assert all(made[0].encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not list(tmp_path.iterdir())


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=2, max_size=12), st.randoms())
def test_races(asked: list[tuple[int, int]], chance: object) -> None:
    """However requests with the same keys run into each other, each key is done once; others are refused."""
    del chance
    fleet = Fleet(MemoryStore(projections=projections()), Path("/nonexistent"))
    start, found = threading.Barrier(len(asked)), []

    def ask(key: int, body: int) -> None:
        request = Asked(f"{key}", f"{body}", b"secret")
        start.wait()
        try:
            done = once(fleet, request, lambda one: make_user_token(
                one, user=f"u{body}", role=Role.VIEWER, actor="test"), remade=True)  # fmt: skip
            found.append((key, body, done.made.text.reveal() if done.made else ""))
        except OtherRequestError:
            found.append((key, body, None))

    threads = [threading.Thread(target=ask, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = {key for key, _ in asked}
    assert len(found) == len(asked)
    assert fleet.store.head().seq == len(keys)
    for key in keys:
        winners = {(body, text) for one, body, text in found if one == key and text is not None}
        assert len(winners) == 1


def test_keys_outlive_the_server(tmp_path: Path) -> None:
    """After a restart, and after projections were made anew, a key still means what it did."""
    request, texts = Asked("key", "body", b"secret"), []
    for rebuilt in (False, False, True):
        with SqliteStore(tmp_path / "ledger.db", projections=projections()) as store:
            if rebuilt:
                store.rebuild()
            fleet = Fleet(store, tmp_path)
            done = once(fleet, request, lambda one: make_user_token(
                one, user="anna", role=Role.VIEWER, actor="test"), remade=True)  # fmt: skip
            assert done.made is not None
            texts.append(done.made.text.reveal())
            assert store.head().seq == 1
    assert len(set(texts)) == 1


def test_without_a_key_every_request_counts(server: Served) -> None:
    """Two tokens are two tokens."""
    sent = {"user": "anna", "role": "viewer"}
    made = {server.ask("admin", "POST", "/v1/users/tokens", json=sent).json()["token"] for _ in range(2)}
    assert len(made) == 2


def test_what_agents_send_claims_no_key(tmp_path: Path) -> None:
    """An event of an agent with the mark of a key, or that makes a token of a user, counts for neither."""
    fleet = Fleet(MemoryStore(projections=projections()), tmp_path)
    made = fleet.event(
        "user.token_created", "user/eve", {"id": "a", "token": "0" * 64, "user": "eve", "role": "admin"}
    )
    forged = replace(
        made, source="spiffe://hwledger.local/agent/a", extensions={"fleetkey": "key", "fleetasked": "x"}
    )
    fleet.store.append([forged])
    done = once(fleet, Asked("key", "body", b"s"), lambda one: make_user_token(
        one, user="anna", role=Role.VIEWER, actor="test"))  # fmt: skip
    assert not done.repeated


def test_a_token_is_told_beside_one_that_ran_out(server: Served) -> None:
    """What comes into the ledger before a new token, as the end of an older one, does not hide it."""
    body = {"ttl_seconds": 1}
    assert server.ask("admin", "POST", "/v1/tokens", json=body).status_code == 201
    time.sleep(1.1)
    headers = {"Idempotency-Key": "beside"}
    first = server.ask("admin", "POST", "/v1/tokens", json={}, headers=headers)
    assert first.status_code == 201, first.text
    assert [each["type"] for each in first.json()["events"]][-1] == "fleet.token.created.v1"
    assert len(first.json()["events"]) > 1
    again = server.ask("admin", "POST", "/v1/tokens", json={}, headers=headers)
    assert again.json() == first.json()
