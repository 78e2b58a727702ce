"""Which engine a process belongs to, where it answers, and where it writes its log."""

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from hwledger.telemetry.engines.live.places import Sight
from hwledger.telemetry.engines.live.processes import Running, engine_of_process, stated_port

_MOST_ANCESTORS: Final = 64
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - where they listen
_MOST_DOORS: Final = 8
_STREAMS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Owner:
    """The engine that a process is or belongs to.

    Attributes:
        pid: of its outermost process.
        engine: its name; empty where its command line is that of none that is known.
        words: its command line.
        addresses: where it, or a process below it, listens.
    """

    pid: int
    engine: str
    words: tuple[str, ...]
    addresses: tuple[str, ...]


def owner_of(pid: int, sight: Sight | None = None) -> Owner | None:
    """Return the engine that a process is, or is a worker of, or has below it; ``None``: no such process."""
    sight = sight or Sight()
    running = {each.pid: each for each in sight.processes()}
    if pid not in running:
        return None
    outer = _outermost(pid, running)
    below = {outer, *_below(outer, running)}
    heard = [each for each in sight.listening(sorted(below)) if each.pid in below]
    stated = stated_port(running[outer].words)
    ordered = sorted(heard, key=lambda each: (each.port != stated, each.pid != outer, each.port))
    addresses = [f"http://{_shown(_HERE.get(each.host, each.host))}:{each.port}" for each in ordered]
    if not addresses and stated is not None:
        addresses = [f"http://127.0.0.1:{stated}"]
    engine = engine_of_process(running[outer]) or ""
    return Owner(outer, engine, running[outer].words, tuple(dict.fromkeys(addresses))[:_MOST_DOORS])


def pid_at(address: str, sight: Sight | None = None) -> int | None:
    """Return the process that listens at an address of this machine; ``None``: none that may be seen."""
    sight, port = sight or Sight(), urlsplit(address).port
    heard = sight.listening([each.pid for each in sight.processes()], everybody=True)
    return next((each.pid for each in heard if each.port == port and each.pid is not None), None)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _outermost(pid: int, running: Mapping[int, Running]) -> int:
    """Return the outermost engine above a process, else the first below it, else itself."""
    above, at = [pid], running[pid]
    while at.parent in running and at.parent != at.pid and len(above) < _MOST_ANCESTORS:
        at = running[at.parent]
        above.append(at.pid)
    engines = [each for each in above if engine_of_process(running[each])]
    if engines:
        return engines[-1]
    return next((each for each in _below(pid, running) if engine_of_process(running[each])), pid)


def _below(pid: int, running: Mapping[int, Running]) -> list[int]:
    """Return the processes below one, nearest first."""
    children: dict[int, list[int]] = {}
    for each in running.values():
        if each.parent != each.pid:
            children.setdefault(each.parent, []).append(each.pid)
    found, wave = list[int](), [pid]
    while wave:
        wave = [child for each in wave for child in children.get(each, ()) if child not in found]
        found += wave
    return found


def log_of(pid: int) -> Path | None:
    """Return the file that a process writes its standard output or error to; ``None``: none that is known."""
    for number in _STREAMS:
        with contextlib.suppress(OSError):
            path = Path(f"/proc/{pid}/fd/{number}").readlink()
            if path.is_absolute() and stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - in one call
                return path
    with contextlib.suppress(psutil.Error):
        for file in psutil.Process(pid).open_files():
            if file.fd in _STREAMS:
                return Path(file.path)
    return None
