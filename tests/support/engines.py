"""Real engines on this machine: whether they are here, started from a shell, asked, and ended by their id."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hwledger.runner import xllamacpp_server

REASONS = Path(sys.prefix) / "engines.json"
"""Why ``make engines`` left some out."""
LLAMA_SERVER = Path(xllamacpp_server.__file__)
"""``llama-server`` out of the xllamacpp package, as hwledger runs it."""
PATIENCE_S = 90


def needs(package: str, reasons: Path = REASONS) -> Path:
    """Return the folder of an engine's package; skip, with the reason, where it is absent."""
    found = find_spec(package.replace("-", "_"))
    if found is None or found.origin is None:
        try:
            known = json.loads(reasons.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        pytest.skip(known.get(package) or f"{package} is not installed: make engines")
    return Path(found.origin).parent


@contextmanager
def running(script: str, port: int, folder: Path, path: str = "") -> Iterator[str]:
    """Run a script in a shell until it answers at a port; end it, and what it started, by its id.

    What it prints is in ``log.txt`` in ``folder``.
    """
    log = folder / "log.txt"
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=out, stderr=out,
                                   cwd=folder, env=env, start_new_session=True)  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(process, f"{address}/health", log)
        yield address
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its group: asked first, then killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    if process.stdin:
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):  # what is left of the group
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def _wait_for(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"it did not come up: {log.read_text()[-2000:]}")


def ask(address: str, question: dict[str, object] | None = None) -> Any:
    """Return the JSON answer of a server."""
    body = None if question is None else json.dumps(question).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:  # noqa: S310 - loopback
        return json.load(reply)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quick_blas(folder: Path) -> str:
    """Compile ``blas.c`` against the OpenBLAS that numpy brings; return its path, or nothing."""
    numpy = find_spec("numpy")
    libraries = Path(numpy.origin).parent.parent / "numpy.libs" if numpy and numpy.origin else folder
    found = next(libraries.glob("libscipy_openblas64_*.so"), None)
    compiler = shutil.which("cc")
    if found is None or compiler is None or sys.platform != "linux":
        return ""
    made = folder / "blas.so"
    words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(made), str(Path(__file__).with_name("blas.c")),
             str(found), f"-Wl,-rpath,{libraries}"]  # fmt: skip
    ran = subprocess.run(words, capture_output=True, check=False)
    return str(made) if ran.returncode == 0 else ""
