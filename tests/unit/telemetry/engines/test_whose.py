"""Which engine a process belongs to, where it answers, and where its log is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwledger.telemetry.engines.live.places import Sight
from hwledger.telemetry.engines.live.processes import Listening, Running, engine_of_process
from hwledger.telemetry.engines.live.whose import log_of, owner_of, pid_at

pytestmark = pytest.mark.requirement("FR-REC-PROCESS")
PROCESSES = [
    Running(1, 0, ("/sbin/init",)),
    Running(10, 1, ("bash",)),
    Running(20, 10, ("python3", "/usr/bin/vllm", "serve", "org/m", "--port", "9000")),
    Running(21, 20, ("VLLM::EngineCore",)),
    Running(30, 10, ("ollama", "serve")),
    Running(31, 30, ("/usr/lib/ollama/llama-server", "--port", "41000")),
    Running(40, 10, ("python3", "-I", "guard.py", "5.0", "log", "-", "llama-server")),
    Running(41, 40, ("python3", "-P", "/x/xllamacpp_server.py", "-m", "m.gguf", "--port", "8123")),
    Running(50, 10, ("python3", "-m", "mlx_lm.server", "--model", "m", "--port", "8088")),
    Running(60, 10, ("editor", "vllm")),
]
HEARD = [Listening("0.0.0.0", 9001, 21), Listening("0.0.0.0", 9000, 20), Listening("::1", 11434, 30)]  # noqa: S104 - as systems tell it


def listening(pids: list[int], *, everybody: bool = False) -> list[Listening]:
    """Return what these processes listen on."""
    return [each for each in HEARD if everybody or each.pid in pids]


SIGHT = Sight(lambda: PROCESSES, listening)


@pytest.mark.parametrize(
    ("pid", "owner", "engine", "address"),
    [
        (20, 20, "vllm", "http://127.0.0.1:9000"),
        (21, 20, "vllm", "http://127.0.0.1:9000"),
        (31, 30, "ollama", "http://[::1]:11434"),
        (41, 41, "llama.cpp", "http://127.0.0.1:8123"),
        (40, 41, "llama.cpp", "http://127.0.0.1:8123"),
        (50, 50, "mlx", "http://127.0.0.1:8088"),
        (60, 60, "", None),
    ],
)
def test_a_process_belongs_to_the_outermost_engine(
    pid: int, owner: int, engine: str, address: str | None
) -> None:
    """Workers belong to the engine above them, a guard to the one below; the stated port comes first."""
    found = owner_of(pid, SIGHT)
    assert found is not None
    assert (found.pid, found.engine) == (owner, engine)
    assert (found.addresses[0] if found.addresses else None) == address


def test_there_is_no_such_process() -> None:
    """Nothing is guessed."""
    assert owner_of(99, SIGHT) is None
    assert pid_at("http://127.0.0.1:9000", SIGHT) == 20
    assert pid_at("http://127.0.0.1:1", SIGHT) is None


def test_flags_of_an_interpreter_are_no_scripts() -> None:
    """The script counts behind them; a name that only looks like one does not."""
    assert engine_of_process(Running(1, 0, ("python3.11", "-X", "-P", "xllamacpp_server.py"))) == "llama.cpp"
    assert engine_of_process(Running(1, 0, ("editor", "-x", "llama-server"))) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux shows a process's files")
def test_the_log_is_the_file_that_it_writes_to(tmp_path: Path) -> None:
    """A file counts, a pipe does not."""
    path = tmp_path / "log.txt"
    words = [sys.executable, "-S", "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    with path.open("w") as out:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out)
    piped = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert log_of(process.pid) == path
        assert log_of(piped.pid) is None
    finally:
        process.communicate()
        piped.communicate()
    assert log_of(os.getpid() + (1 << 22)) is None
