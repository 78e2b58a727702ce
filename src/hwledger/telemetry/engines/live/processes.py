"""Processes of this machine, and the ports that they listen on."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from hwledger.telemetry.engines.tables import data

_INTERPRETER: Final = re.compile(r"(?:python[0-9.]*|pypy[0-9.]*|uv|sh|bash|node|conda)(?:\.exe)?")
_PORT: Final = re.compile(r"--?(?:port|p)(?:=([0-9]{1,5}))?")
_FIRST_WORDS: Final = 8
_LONGEST_LINE: Final = 64 << 10
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


def processes(procfs: Path = Path("/proc")) -> list[Running]:
    """Return the processes of this machine.

    Where the kernel shows them as files they are read as such, two small files each, which takes a tenth of
    the time: this is done again and again.
    """
    if (procfs / "self" / "stat").exists():
        return [found for pid in _pids(procfs) if (found := _of_files(f"{procfs}/{pid}", pid)) is not None]
    import psutil  # noqa: PLC0415 - start-up time

    told = [each.info for each in psutil.process_iter(["pid", "ppid", "cmdline", "name"])]
    return [Running(i["pid"], i["ppid"] or 0, tuple(i["cmdline"] or ()), i["name"] or "") for i in told]


def _pids(procfs: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(procfs) if name.isascii() and name.isdigit())  # noqa: PTH208 - names alone
    except OSError:
        return []


def _of_files(folder: str, pid: int) -> Running | None:
    """Return a process as the kernel shows it; ``None`` where it has ended."""
    try:
        stat, line = _read(f"{folder}/stat"), _read(f"{folder}/cmdline")
    except OSError:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")  # a name may hold both signs
    fields = rest.split()
    parent = int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0
    words = tuple(line.rstrip("\0").split("\0")) if line else ()
    return Running(pid, parent, words, name)


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _LONGEST_LINE).decode("utf-8", "replace")
    finally:
        os.close(file)


def listening(pids: Iterable[int], *, everybody: bool = False) -> list[Listening]:
    """Return the addresses that processes listen on.

    Args:
        pids: the processes that are looked at.
        everybody: look at all processes, which takes long on a busy machine; where the system's own list is
            closed to this user (macOS), at ``pids`` alone.
    """
    import psutil  # noqa: PLC0415 - start-up time

    if everybody:
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


@dataclass(frozen=True, slots=True)
class _Row:
    engine: str
    programs: frozenset[str]
    modules: frozenset[str]
    first: frozenset[str]
    holds: bool


def engine_of_process(process: Running) -> str | None:
    """Return the engine that a process is, by its command line; ``None`` where it is none that is known."""
    words = process.words or ((process.name,) if process.name else ())
    if not words:
        return None
    names = [_basename(word) for word in words[:_FIRST_WORDS]]
    if not _INTERPRETER.fullmatch(names[0]):
        names = names[:1]
    return next((row.engine for row in _rows() if _is(words, names, row)), None)


def holds(engine: str) -> bool:
    """Whether the processes below an engine's own are part of it."""
    return any(row.engine == engine and row.holds for row in _rows())


@cache
def _rows() -> tuple[_Row, ...]:
    found = []
    for row in data("engine_places")["process"]:
        programs, modules, first = (frozenset(row.get(key, ())) for key in ("programs", "modules", "first"))
        found.append(_Row(row["engine"], programs, modules, first, row.get("holds", False)))
    return tuple(found)


@cache
def usual_ports() -> Mapping[int, tuple[str, ...]]:
    """Return the ports that engines listen on by themselves, with the engines."""
    return {row["port"]: tuple(row["engines"]) for row in data("engine_places")["port"]}


def _is(words: Sequence[str], names: Sequence[str], row: _Row) -> bool:
    """Whether words are a row's program, or an interpreter that runs its script or module."""
    for at, name in enumerate(names):
        if name == "-m" and at and at + 1 < len(words):
            return words[at + 1] in row.modules
        if name in row.programs and (at == 0 or _runs(names[:at])):
            return not row.first or (at + 1 < len(words) and words[at + 1] in row.first)
    return False


def _runs(names: Sequence[str]) -> bool:
    """Whether the last of the names that is no flag is an interpreter."""
    words = [name for name in names if not name.startswith("-")]
    return bool(words) and _INTERPRETER.fullmatch(words[-1]) is not None


def _basename(word: str) -> str:
    name = word.rpartition("/")[2].rpartition("\\")[2]
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
