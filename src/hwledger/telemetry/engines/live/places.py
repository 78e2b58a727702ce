"""Where engines may answer: processes of this machine, well-known ports, and addresses that are given."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from hwledger.errors import UsageError
from hwledger.library.net.address import is_local
from hwledger.library.serving.address import server_address
from hwledger.telemetry.engines.live.processes import (
    Listening,
    Running,
    engine_of_process,
    holds,
    listening,
    processes,
    stated_port,
    usual_ports,
)

VARIABLE: Final = "HWLEDGER_ENGINES"
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - where they listen
_MOST_GIVEN: Final = 64
_MOST_DOORS: Final = 4
_MOST_ANCESTORS: Final = 64


@dataclass(frozen=True, slots=True)
class Place:
    """An address where an engine may answer.

    Attributes:
        address: scheme, host and port.
        given: the user named it; a key is shown to it.
        engine: the engine that its process is; empty where nothing says so.
        pid: the process that listens there; ``None`` where it is not known.
        words: its command line.
    """

    address: str
    given: bool = False
    engine: str = ""
    pid: int | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a machine; exchangeable in tests.

    Attributes:
        processes: its processes.
        listening: addresses that these processes listen on, with ``everybody=True`` those of all.
    """

    processes: Callable[[], list[Running]] = processes
    listening: Callable[..., list[Listening]] = listening


def given_addresses(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the addresses that the user names, and sentences about what is none."""
    found: list[str] = []
    troubles: list[str] = []
    for text in environ.get(VARIABLE, "").split(",")[:_MOST_GIVEN]:
        if text.strip():
            try:
                found.append(server_address(text)[0])
            except UsageError as error:
                troubles.append(f"{VARIABLE}: {error}")
    return found, troubles


class Places:
    """Where engines may answer, looked for again and again.

    Args:
        environ: the environment.
        sight: what can be seen of the machine.
    """

    def __init__(self, environ: Mapping[str, str], sight: Sight) -> None:
        self._environ = environ
        self._sight = sight
        self._heard: list[Listening] = []
        self._everybody = True

    def look_at_everybody(self) -> None:
        """Look at the ports of all processes the next time: one is missing whose port is an engine's."""
        self._everybody = True

    def find(self) -> tuple[list[Place], list[str]]:
        """Return where engines may answer, each address once, and sentences about what could not be used.

        Ports of all processes are looked at the first time; then those of engines, for that is cheap.
        """
        running = {each.pid: each for each in self._sight.processes()}
        engines = {pid: engine for pid, each in running.items() if (engine := engine_of_process(each))}
        heard = self._sight.listening(engines, everybody=self._everybody)
        ports = {each.port for each in heard}
        if not self._everybody:
            heard += [each for each in self._heard if each.pid in running and each.port not in ports]
        self._heard, self._everybody = heard, False
        return places(self._environ, running, engines, heard)


def places(
    environ: Mapping[str, str],
    running: Mapping[int, Running],
    engines: Mapping[int, str],
    heard: list[Listening],
) -> tuple[list[Place], list[str]]:
    """Return where engines may answer by processes and ports, as ``Places.find``."""
    outer = {pid: engine for pid, engine in engines.items() if not _is_held(running[pid], running, engines)}
    owners = {each.port: each.pid for each in heard}
    given, troubles = given_addresses(environ)
    found = [_given(address, owners, running, outer) for address in given]
    found += [_of_process(each, running, outer) for each in _doors(heard, running, outer)]
    found += _unheard(outer, running, {each.pid for each in heard})
    found += [
        _usual(port, owners, running, engines)
        for port in usual_ports()
        if _may(port, owners, running, engines)
    ]
    once: dict[object, Place] = {}
    for place in found:
        once.setdefault(_key(place), place)
    return list(once.values()), troubles


def _key(place: Place) -> object:
    """Return what two spellings of one address have in common."""
    return urlsplit(place.address).port if is_local(place.address) else place.address


def _doors(
    heard: Iterable[Listening], running: Mapping[int, Running], outer: Mapping[int, str]
) -> list[Listening]:
    """Return where each engine answers: of several ports the one that is named, or its usual one.

    Engines listen on more ports, for their own workers: those are not asked where it can be helped.
    """
    by_pid: dict[int, list[Listening]] = {}
    for each in heard:
        if each.pid in outer:
            by_pid.setdefault(each.pid or 0, []).append(each)
    found: list[Listening] = []
    for pid, several in by_pid.items():
        stated = stated_port(running[pid].words)
        named = [each for each in several if each.port == stated]
        usual = [each for each in several if outer[pid] in usual_ports().get(each.port, ())]
        found += named or usual or several[:_MOST_DOORS]
    return found


def _is_held(process: Running, running: Mapping[int, Running], engines: Mapping[int, str]) -> bool:
    """Whether a process is part of another engine: the runners of Ollama are no engines of their own."""
    parent = running.get(process.parent)
    for _ in range(_MOST_ANCESTORS):
        if parent is None:
            return False
        if holds(engines.get(parent.pid, "")):
            return True
        parent = running.get(parent.parent) if parent.parent != parent.pid else None
    return False


def _given(
    address: str, owners: Mapping[int, int | None], running: Mapping[int, Running], outer: Mapping[int, str]
) -> Place:
    port = urlsplit(address).port
    pid = owners.get(port) if port is not None and is_local(address) else None
    return Place(address, True, outer.get(pid or 0, ""), pid, _words(pid, running))


def _of_process(heard: Listening, running: Mapping[int, Running], outer: Mapping[int, str]) -> Place:
    host = _HERE.get(heard.host, heard.host)
    shown = f"[{host}]" if ":" in host else host
    pid = heard.pid or 0
    return Place(f"http://{shown}:{heard.port}", False, outer[pid], pid, _words(pid, running))


def _unheard(outer: Mapping[int, str], running: Mapping[int, Running], heard: set[int | None]) -> list[Place]:
    """Return engines whose ports cannot be seen, at the port that their command lines name."""
    found = []
    for pid, engine in outer.items():
        port = stated_port(running[pid].words)
        if pid not in heard and port is not None:
            found.append(Place(f"http://127.0.0.1:{port}", False, engine, pid, running[pid].words))
    return found


def _may(
    port: int, owners: Mapping[int, int | None], running: Mapping[int, Running], engines: Mapping[int, str]
) -> bool:
    """Whether a well-known port may be an engine's of its own: not that of a runner of another."""
    pid = owners.get(port)
    return pid is None or pid not in running or not _is_held(running[pid], running, engines)


def _usual(
    port: int, owners: Mapping[int, int | None], running: Mapping[int, Running], engines: Mapping[int, str]
) -> Place:
    pid = owners.get(port)
    return Place(f"http://127.0.0.1:{port}", False, engines.get(pid or 0, ""), pid, _words(pid, running))


def _words(pid: int | None, running: Mapping[int, Running]) -> tuple[str, ...]:
    found = running.get(pid) if pid is not None else None
    return found.words if found is not None else ()
