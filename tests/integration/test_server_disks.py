"""A server whose disk is full, read-only or broken while it runs: what it answers, and that it goes on."""

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from hwledger.ledger.audit import audit
from hwledger.ledger.sqlite import SqliteReader
from support.real_server import RealServer, started

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.requirement("NFR-FLEET-DISK"),
    pytest.mark.skipif(sys.platform != "linux", reason="the disk is made to fail by LD_PRELOAD"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is here to make a disk that fails"),
]
SOURCE = Path(__file__).parents[1] / "support/failing_disk.c"
ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that says how the disk fails."""
    return tmp_path_factory.mktemp("disk") / "control"


@pytest.fixture(scope="module")
def server(control: Path) -> Iterator[RealServer]:
    """Give a server on a disk that can be made to fail."""
    library = control.with_name("disk.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    folder = control.with_name("data")
    failing = {"FAILING_DISK_FOLDER": f"{folder}/", "FAILING_DISK_CONTROL": str(control)}
    one = started(folder, environment={"LD_PRELOAD": str(library), **failing})
    yield one
    one.process.kill()
    one.process.communicate()


def recorded(client: httpx2.Client, key: str) -> httpx2.Response:
    """Return the answer to a request that adds an event."""
    return client.post("/v1/tokens", json={"labels": {"key": key}}, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_reading_goes_on_writing_says_why_and_resumes(server: RealServer, control: Path, error: int) -> None:
    """Writes are 507 and add nothing, reads are answered, ready says why not; then all of it is as before."""
    key = errno.errorcode[error]
    with server.client() as client:
        assert recorded(client, f"{key}-before").status_code == 201
        size = client.get("/v1/ledger/head").json()["size"]
        control.write_text(str(error))
        for _ in range(3):
            refused = recorded(client, key)
            assert refused.status_code == 507, refused.text
            assert refused.json()["type"] == "urn:hwledger:problem:full"
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/ledger/head").json()["size"] == size
        assert len(client.get("/v1/ledger/events").text.splitlines()) == size
        not_ready = unready(client)
        assert str(server.folder) in not_ready["detail"]
        control.unlink()
        assert recorded(client, key).status_code == 201
        assert recorded(client, key).headers["Idempotency-Replayed"] == "true"
        assert client.get("/v1/ledger/head").json()["size"] == size + 1
        while client.get("/readyz").status_code != 200:
            pass
    with SqliteReader(server.folder / "ledger.db") as reader:
        assert audit(reader).head.seq >= size + 1


def unready(client: httpx2.Client) -> dict[str, str]:
    """Return why a server is not ready; it looks once a second."""
    while (reply := client.get("/readyz")).status_code == 200:
        pass
    assert reply.status_code == 503
    found: dict[str, str] = json.loads(reply.text)
    return found
