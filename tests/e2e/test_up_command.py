"""``hwledger up`` as a process: it answers, refuses a second one, and ends cleanly."""

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from support.process import run
from support.real_server import running

pytestmark = [
    pytest.mark.requirement("FR-FLEET-UP"),
    pytest.mark.enable_socket,
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


def test_it_answers_and_ends_cleanly(tmp_path: Path) -> None:
    """Ready, with a token for this machine's user alone; a signal ends it with nothing left behind."""
    with running(tmp_path / "data") as server:
        for name in ("admin.token", "server.json", "ledger.db"):
            assert stat.S_IMODE((server.folder / name).stat().st_mode) == 0o600, name
        with server.client() as client:
            assert client.get("/readyz").json() == {"status": "ready"}
            assert client.get("/v1/me").json()["role"] == "admin"
        assert server.stop(signal.SIGINT) == 0
        assert not (server.folder / "server.json").exists()
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert {line["route"] for line in lines} == {"/readyz", "/v1/me"}
    assert run("ledger", "verify", str(server.folder / "ledger.db")).returncode == 0


def test_the_next_start_keeps_ledger_and_token(tmp_path: Path) -> None:
    """A token is made once, also where the server was killed; one that is of another ledger is made anew."""
    with running(tmp_path / "data") as server:
        first = server.token
    assert (server.folder / "server.json").exists()  # stale, and no obstacle
    with running(tmp_path / "data") as again:
        assert again.token == first
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(server.address, trust_env=False)
    (tmp_path / "data/admin.token").write_text("hwu1.other")
    with running(tmp_path / "data") as server, server.client() as client:
        assert server.token != first
        assert client.get("/v1/me").status_code == 200


def test_a_second_server_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """The same ledger, and the same port, are each one sentence and an exit code."""
    with running(tmp_path / "data") as server:
        folder = str(server.folder)
        port = server.address.rpartition(":")[2]
        for given in ("0", port):
            done = run("up", "--folder", folder, "--ledger", f"{folder}/ledger.db", "--port", given)
            assert done.returncode == 4
            where = f"process {server.process.pid} at {server.address}"
            assert f"a server has this ledger already, {where}" in done.stderr
            assert len(done.stderr.splitlines()) == 1
        done = run("up", "--folder", str(tmp_path / "b"), "--ledger", f"{tmp_path}/b/l.db", "--port", port)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "is in use" in done.stderr
        assert not (tmp_path / "b").exists()
        with server.client() as client:
            assert client.get("/readyz").status_code == 200


def test_no_plain_http_beyond_this_machine(tmp_path: Path) -> None:
    """An address that others reach is refused before anything is made."""
    more = ("--folder", str(tmp_path / "x"), "--ledger", str(tmp_path / "x/l"))
    done = run("up", "--local-host", "0.0.0.0", *more)  # noqa: S104 - it is refused
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "without TLS" in done.stderr
    assert not (tmp_path / "x").exists()


def test_requests_in_flight_are_answered_and_streams_end(tmp_path: Path) -> None:
    """A stream is told that the server stops; a request that was being written gets its answer."""
    with running(tmp_path / "data") as server:
        ended: list[str] = []

        def follow() -> None:
            with server.client() as client, client.stream("GET", "/v1/stream?after=0") as reply:
                ended.extend(reply.iter_lines())

        reader = threading.Thread(target=follow)
        reader.start()
        host, port = server.address.removeprefix("http://").split(":")
        body = json.dumps({"user": "anna", "role": "viewer"}).encode()
        with socket.create_connection((host, int(port))) as slow, server.client() as client:
            while not ended:
                client.get("/healthz")
            head = (
                f"POST /v1/users/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            slow.sendall(head.encode() + body[:5])
            client.get("/healthz")
            server.process.send_signal(signal.SIGTERM)
            reader.join(20)
            slow.sendall(body[5:])
            assert slow.recv(65536).startswith(b"HTTP/1.1 201")
        assert server.process.wait(20) == 0
        assert ended[-2:] == [": the server stops", ""]


def test_a_plan_loads_none_of_it() -> None:
    """The server costs nobody who does not start it."""
    code = (
        "import sys; from hwledger.cli import run; run(['--help']);"
        "run(['plan', 'Qwen/Qwen3-32B', '--engine', 'vllm', '--json']);"
        "print([name for name in sys.modules if name.startswith(('fastapi', 'starlette', 'uvicorn',"
        " 'hwledger.server', 'hwledger.fleet'))], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
