"""A server whose ledger is on PostgreSQL: the same server, with one option more, that outlives sessions."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hwledger.ledger.audit import audit
from hwledger.ledger.opening import open_reader
from support.postgres import Server
from support.process import run
from support.real_server import RealServer, started

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.requirement("FR-FLEET-SCALE"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


@pytest.fixture(scope="module")
def address(postgres: Server) -> str:
    """Return the address of an empty database."""
    return postgres.new_database()


@pytest.fixture(scope="module")
def server(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Give a server on it."""
    one = started(tmp_path_factory.mktemp("scale") / "data", 0, "--ledger", address)
    yield one
    one.process.kill()
    one.process.communicate()


def add(client: httpx2.Client, key: str) -> httpx2.Response:
    """Return the answer to a request that is done once, asked until there is one."""
    headers = {"Idempotency-Key": key}
    while True:
        try:
            reply = client.post("/v1/tokens", json={"labels": {"key": key}}, headers=headers)
        except httpx2.HTTPError:
            time.sleep(0.05)
            continue
        if reply.status_code != 503:
            return reply
        time.sleep(0.05)


def test_it_serves_and_refuses_a_second(server: RealServer, address: str, tmp_path: Path) -> None:
    """Everything of the API works on it, and a second server is one sentence, from whichever folder."""
    with server.client() as client:
        made = add(client, "first")
        assert made.status_code == 201
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/ledger/verify").json()["size"] == client.get("/v1/ledger/head").json()["size"]
        seq = made.json()["events"][0]["seq"]
        assert client.get(f"/v1/ledger/proof/inclusion?seq={seq}").status_code == 200
        assert client.get("/v1/history/nobody").status_code == 404
    done = run("up", "--folder", str(tmp_path), "--ledger", address, "--port", "0")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "another process writes" in done.stderr


def test_a_session_that_ends_is_taken_up_again(server: RealServer, postgres: Server, address: str) -> None:
    """The database ends every session, and later is killed and comes back: the server goes on by itself."""
    with server.client() as client:
        assert add(client, "before").status_code == 201
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        postgres.run(f"{ended} AND datname = current_database()", address)
        assert add(client, "after").status_code == 201
        postgres.stop(signal.SIGKILL)
        postgres.start()
        assert add(client, "after-the-kill").status_code == 201
        for key in ("first", "before", "after", "after-the-kill"):
            assert add(client, key).headers.get("Idempotency-Replayed") == "true"
    assert server.process.poll() is None
    assert server.stop(signal.SIGTERM) == 0
    with open_reader(address) as reader:
        report = audit(reader)
        assert len(reader.read(0, 1000, types=["fleet.token.created.v1"])) == 4
    assert report.head.seq >= 5
    assert os.environ.get("PGPASSWORD") is None
