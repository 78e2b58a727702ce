"""Where engines may answer: by processes, by ports, by what the user names."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from hwledger.telemetry.engines.live.places import Place, Places, Sight
from hwledger.telemetry.engines.live.processes import (
    Listening,
    Running,
    engine_of_process,
    processes,
    stated_port,
    usual_ports,
)

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
COMMANDS = {
    "vllm serve org/m --port 9000": "vllm",
    "/opt/py/bin/python3.11 /opt/py/bin/vllm serve org/m": "vllm",
    "python -m vllm.entrypoints.openai.api_server --model org/m": "vllm",
    "python3 -u -m sglang.launch_server --model-path org/m": "sglang",
    "text-generation-launcher --model-id org/m": "tgi",
    "text-generation-router --port 80": "tgi",
    "./llama-server -m x.gguf": "llama.cpp",
    r"C:\llama\llama-server.exe -m x.gguf": "llama.cpp",
    "python -m llama_cpp.server --model x": "llama.cpp",
    "/usr/local/bin/ollama serve": "ollama",
    "mistralrs-server --port 1234 plain": "mistral.rs",
    "mlx_lm.server --model org/m": "mlx",
    "/opt/py/bin/python /opt/py/bin/mlx_lm.server --model org/m": "mlx",
    "python -m mlx_lm.server --model org/m": "mlx",
    # none of them serves
    "ollama run mistral": None,
    "/usr/lib/ollama/ollama runner --port 41000": None,
    "grep vllm": None,
    "vim llama-server": None,
    "python train.py vllm": None,
    "python -m http.server": None,
    "bash -c sleep": None,
    "": None,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_engines_by_their_command_lines(command: str) -> None:
    """A program, a script that an interpreter runs, a module; a word somewhere else is no engine."""
    assert engine_of_process(Running(1, 0, tuple(command.split()))) == COMMANDS[command]


def test_a_command_line_that_may_not_be_seen() -> None:
    """Where only the name is known, the name counts."""
    assert engine_of_process(Running(1, 0, (), "llama-server")) == "llama.cpp"


@pytest.mark.parametrize(
    ("words", "port"),
    [("--port 90", 90), ("--port=91", 91), ("-p 92", 92), ("--port x", None), ("--port", None),
     ("--port 99999", None)],
)  # fmt: skip
def test_the_port_of_a_command_line(words: str, port: int | None) -> None:
    """Both spellings; what is no port is none."""
    assert stated_port(words.split()) == port


def seen(running: list[Running], heard: list[Listening]) -> Sight:
    """A machine with these processes and ports."""

    def listening(pids: Iterable[int], *, everybody: bool = False) -> list[Listening]:
        return [each for each in heard if everybody or each.pid in set(pids)]

    return Sight(lambda: running, listening)


def found(sight: Sight, given: str = "") -> dict[str, Place]:
    """Return what is found beside the well-known ports, by address."""
    at, _ = Places({"HWLEDGER_ENGINES": given}, sight).find()
    usual = {f"http://127.0.0.1:{port}" for port in usual_ports()}
    return {place.address: place for place in at if place.address not in usual or place.engine or place.given}


def test_an_engine_is_found_at_the_port_that_it_listens_on() -> None:
    """Everywhere and IPv6 are asked on this machine; of several ports the named one counts."""
    running = [Running(7, 1, ("vllm", "serve", "m", "--port", "9000")), Running(8, 1, ("./llama-server",))]
    heard = [Listening("0.0.0.0", 9000, 7), Listening("127.0.0.1", 45001, 7), Listening("::1", 9001, 8)]  # noqa: S104 - where it listens
    at = found(seen(running, heard))
    assert {(place.engine, place.pid) for place in at.values()} == {("vllm", 7), ("llama.cpp", 8)}
    assert set(at) == {"http://127.0.0.1:9000", "http://[::1]:9001"}


def test_runners_of_another_engine_are_part_of_it() -> None:
    """A llama-server that Ollama started is not an engine of its own, at whatever depth and port."""
    running = [
        Running(5, 1, ("ollama", "serve")), Running(6, 5, ("sh",)),
        Running(7, 6, ("llama-server", "--port", "41000")),
    ]  # fmt: skip
    heard = [Listening("127.0.0.1", 11434, 5), Listening("127.0.0.1", 8080, 7)]
    at, _ = Places({}, seen(running, heard)).find()
    assert {place.address: place.engine for place in at if place.pid} == {"http://127.0.0.1:11434": "ollama"}
    assert all(place.address != "http://127.0.0.1:8080" for place in at)


def test_a_port_that_cannot_be_seen_is_taken_from_the_command_line() -> None:
    """Where the system hides who listens, the command line says it."""
    at = found(seen([Running(7, 1, ("llama-server", "--port", "9009"))], []))
    assert at["http://127.0.0.1:9009"].pid == 7


def test_addresses_of_the_user_come_first_and_once() -> None:
    """One machine's port under two names is one place; what is no address is said."""
    running = [Running(7, 1, ("llama-server", "--port", "9009"))]
    heard = [Listening("127.0.0.1", 9009, 7)]
    given = "http://localhost:9009/v1, 10.0.0.3:8000,x y,"
    at, troubles = Places({"HWLEDGER_ENGINES": given}, seen(running, heard)).find()
    assert [place.address for place in at[:2]] == ["http://localhost:9009", "http://10.0.0.3:8000"]
    assert [(place.given, place.pid, place.engine) for place in at[:1]] == [(True, 7, "llama.cpp")]
    assert all(place.address != "http://127.0.0.1:9009" for place in at)
    assert len(troubles) == 1
    assert "HWLEDGER_ENGINES" in troubles[0]


def test_only_the_ports_of_engines_are_looked_at_again() -> None:
    """The second look asks for those of engines, and keeps what is known of others while they run."""
    running = [Running(7, 1, ("llama-server",)), Running(8, 1, ("python", "wrapped.py"))]
    heard = [Listening("127.0.0.1", 9009, 7), Listening("127.0.0.1", 8080, 8)]
    asked: list[tuple[list[int], bool]] = []

    def listening(pids: Iterable[int], *, everybody: bool = False) -> list[Listening]:
        asked.append((list(pids), everybody))
        return [each for each in heard if everybody or each.pid in asked[-1][0]]

    where = Places({}, Sight(lambda: running, listening))
    for _ in range(2):
        assert {place.pid for place in where.find()[0] if place.pid} == {7, 8}
    assert asked == [([7], True), ([7], False)]
    running.pop()
    assert {place.pid for place in where.find()[0] if place.pid} == {7}
    where.look_at_everybody()
    where.find()
    assert asked[-1] == ([7], True)


def test_processes_as_the_kernel_shows_them(tmp_path: Path) -> None:
    """Names with brackets, kernel threads without words, and processes that end meanwhile."""
    for pid, stat, line in (
        ("7", "7 (a (b) c) S 3 7", "llama-server\0-m\0x y.gguf\0"), ("8", "8 (kworker) S 2 0", ""),
        ("9", "", None),
    ):  # fmt: skip
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(stat)
        if line is not None:
            (tmp_path / pid / "cmdline").write_text(line)
    (tmp_path / "self").symlink_to("7")
    (tmp_path / "sys").mkdir()
    assert processes(tmp_path) == [
        Running(7, 3, ("llama-server", "-m", "x y.gguf"), "a (b) c"), Running(8, 2, (), "kworker"),
    ]  # fmt: skip


def test_the_processes_of_this_machine_can_be_seen() -> None:
    """The real look finds this very process, and nothing that raises."""
    import os  # noqa: PLC0415 - of this test

    sight = Sight()
    assert any(each.pid == os.getpid() for each in sight.processes())
    assert isinstance(sight.listening([os.getpid()]), list)
