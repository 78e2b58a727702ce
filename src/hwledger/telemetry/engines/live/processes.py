"""Processes of this machine, and the ports that they listen on."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from hwledger.telemetry.engines.tables import data

_INTERPRETER: Final = re.compile(r"(?:python[0-9.]*|pypy[0-9.]*|uv|sh|bash|node|conda)(?:\.exe)?")
_PORT: Final = re.compile(r"--?(?:port|p)(?:=([0-9]{1,5}))?")
_FIRST_WORDS: Final = 8
_MOST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Running:
    """One process.

    Attributes:
        pid, parent: its number and its parent's.
        words: its command line; empty where it may not be seen.
        name: as the system calls it.
    """

    pid: int
    parent: int
    words: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Listening:
    """One address that somebody listens on.

    Attributes:
        host, port: the address.
        pid: whose it is; ``None`` where that may not be seen.
    """

    host: str
    port: int
    pid: int | None


def processes() -> list[Running]:
    """Return the processes of this machine."""
    import psutil  # noqa: PLC0415 - start-up time

    found: list[Running] = []
    for each in psutil.process_iter(["pid", "ppid", "cmdline", "name"]):
        told = each.info
        words = tuple(told["cmdline"] or ())
        found.append(Running(told["pid"], told["ppid"] or 0, words, told["name"] or ""))
    return found


def listening(pids: Iterable[int]) -> list[Listening]:
    """Return the addresses that are listened on; where not all may be seen, those of some processes.

    Args:
        pids: the processes that are looked at where the system's own list is closed to this user (macOS).
    """
    import psutil  # noqa: PLC0415 - start-up time

    with contextlib.suppress(psutil.Error, OSError):
        return _heard(psutil.net_connections(kind="tcp"), None)
    found: list[Listening] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error, OSError):
            found.extend(_heard(psutil.Process(pid).net_connections(kind="tcp"), pid))
    return found


def _heard(connections: Iterable[object], pid: int | None) -> list[Listening]:
    found: list[Listening] = []
    for each in connections:
        address = getattr(each, "laddr", None)
        if getattr(each, "status", "") == "LISTEN" and address:
            owner = getattr(each, "pid", None)
            found.append(Listening(address.ip, address.port, pid if owner is None else owner))
    return found


def engine_of_process(process: Running) -> str | None:
    """Return the engine that a process is, by its command line; ``None`` where it is none that is known."""
    for row in _rows():
        if _is(process, row):
            return str(row["engine"])
    return None


def holds(engine: str) -> bool:
    """Whether the processes below an engine's own are part of it."""
    return any(row["engine"] == engine and row.get("holds", False) for row in _rows())


@cache
def _rows() -> tuple[Mapping[str, object], ...]:
    return tuple(data("engine_places")["process"])


@cache
def usual_ports() -> Mapping[int, tuple[str, ...]]:
    """Return the ports that engines listen on by themselves, with the engines."""
    return {row["port"]: tuple(row["engines"]) for row in data("engine_places")["port"]}


def _is(process: Running, row: Mapping[str, object]) -> bool:
    programs, modules, first = (_texts(row, key) for key in ("programs", "modules", "first"))
    words = process.words or ((process.name,) if process.name else ())
    for at, word in enumerate(words[:_FIRST_WORDS]):
        if word == "-m" and at and at + 1 < len(words):
            return words[at + 1] in modules
        name = _basename(word)
        if name in programs and (at == 0 or _INTERPRETER.fullmatch(_basename(words[at - 1]))):
            return not first or (at + 1 < len(words) and words[at + 1] in first)
        if at == 0 and not _INTERPRETER.fullmatch(name):
            return False
    return False


def _texts(row: Mapping[str, object], key: str) -> frozenset[str]:
    found = row.get(key, ())
    return frozenset(found) if isinstance(found, list) else frozenset()


def _basename(word: str) -> str:
    name = PureWindowsPath(word).name if "\\" in word else PurePosixPath(word).name
    return name.removesuffix(".exe").removesuffix(".py")


def stated_port(words: Sequence[str]) -> int | None:
    """Return the port that a command line names; ``None`` where it names none."""
    for at, word in enumerate(words):
        found = _PORT.fullmatch(word)
        if found is None:
            continue
        text = found[1] or (words[at + 1] if at + 1 < len(words) else "")
        if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _MOST_PORT:
            return int(text)
    return None
