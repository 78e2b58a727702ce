"""``hwledger up`` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2


@dataclass
class RealServer:
    """A server that answers."""

    process: "subprocess.Popen[str]"
    address: str
    folder: Path
    log: Path
    ready_seconds: float

    @property
    def token(self) -> str:
        """Return the admin's token."""
        return (self.folder / "admin.token").read_text().strip()

    def client(self, **more: object) -> httpx2.Client:
        """Return a client with the admin's token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=30, trust_env=False, **more)  # type: ignore[arg-type]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Return the exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(30)


def started(
    folder: Path, port: int = 0, *more: str, environment: Mapping[str, str] | None = None
) -> RealServer:
    """Return a server on a ledger in a folder, once it says that it answers."""
    folder.mkdir(exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    command = [sys.executable, "-m", "hwledger", "up", "--port", str(port), *more]
    own = os.environ | {"HWLEDGER_DATA_DIR": str(folder)} | dict(environment or {})
    began = time.perf_counter()
    with log.open("a") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=own)
    assert process.stdout is not None
    said = process.stdout.readline()
    ready = time.perf_counter() - began
    if not said:
        raise RuntimeError(f"no server: {log.read_text()}")
    running = json.loads((folder / "server.json").read_text())
    return RealServer(process, running["address"], folder, log, ready)


@contextmanager
def running(folder: Path, *more: str) -> Iterator[RealServer]:
    """Give a server, and kill what is left of it."""
    server = started(folder, 0, *more)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()
