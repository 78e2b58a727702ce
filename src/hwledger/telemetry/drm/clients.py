"""Which processes of this machine use which graphics device, and how much of it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwledger.telemetry.drm.fdinfo import SOURCE, Client, client_of, distinct, held, total_of
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.reading import NOT_TOLD, Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import ProcessSnapshot
from hwledger.telemetry.system import System

_DEVICES: Final = ("/dev/dri/", "/dev/accel/")
MOST_FILES: Final = 4096
"""Files of one process that are looked at: a process with more is not held up for."""
HIDDEN_NOTE: Final = "processes of other users are not listed: this user may not see them"
APART_NOTE: Final = "processes outside of this container are not listed"
_HOSTS_OWN: Final = "pid:[4026531836]"
"""The namespace of processes that the host starts with (Linux, proc_ns.h: PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that this user may see.

    Attributes:
        clients: each once.
        names: commands of their processes.
        hidden: there are processes that this user may not look into.
        apart: this is a container with processes of its own.
    """

    clients: tuple[Client, ...]
    names: Mapping[int, str]
    hidden: bool
    apart: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing in the list."""
        told = ((self.hidden, HIDDEN_NOTE), (self.apart, APART_NOTE))
        return tuple(note for holds, note in told if holds)

    def on(self, key: str) -> tuple[Client, ...]:
        """Return the clients of the device with that key."""
        return tuple(each for each in self.clients if (pci_key(each.address) or each.address) == key)


def clients(system: System) -> Clients:
    """Return every client of a graphics device or NPU that this user may see.

    Reads the links of ``/proc/PID/fd`` and the ``fdinfo`` of those that lead to ``/dev/dri`` or
    ``/dev/accel``; some 10 ms of one core on 550 processes.
    """
    gauge = Gauge(SOURCE, system.clock())
    found: list[Client] = []
    names: dict[int, str] = {}
    hidden = False
    for pid in _pids(system.procfs):
        folder = system.procfs / str(pid)
        try:
            files = list(_opened(folder / "fd"))
        except PermissionError:
            hidden = True
            continue
        except OSError:
            continue  # it ended meanwhile
        seen = [client for name in files if (client := _read(system, folder, name, pid, gauge)) is not None]
        if seen:
            found += seen
            names[pid] = command(system, pid)
    return Clients(distinct(found), names, hidden, _apart(system.procfs))


def _apart(procfs: Path) -> bool:
    """Return whether this is a container; a kernel that does not tell is taken for the host's."""
    try:
        return os.readlink(procfs / "self" / "ns" / "pid") != _HOSTS_OWN  # noqa: PTH115 - no path
    except OSError:
        return False


def _pids(procfs: Path) -> list[int]:
    try:
        with os.scandir(procfs) as entries:
            return sorted(int(each.name) for each in entries if each.name.isascii() and each.name.isdigit())
    except OSError:
        return []


def _opened(folder: Path) -> Iterator[str]:
    """Yield the numbers of files that lead to a graphics device.

    Raises:
        PermissionError: another user's process.
    """
    with os.scandir(folder) as entries:
        for count, each in enumerate(entries):
            if count >= MOST_FILES:
                return
            try:
                if os.readlink(each.path).startswith(_DEVICES):  # noqa: PTH115 - a thousand links each time
                    yield each.name
            except FileNotFoundError:
                continue


def _read(system: System, folder: Path, name: str, pid: int, gauge: Gauge) -> Client | None:
    text = system.read(folder / "fdinfo" / name)
    return client_of(text, pid, gauge) if isinstance(text, str) else None


def command(system: System, pid: int) -> str:
    """Return the name of a process; empty where it is not known."""
    told = system.read(system.procfs / str(pid) / "comm")
    return told[:80] if isinstance(told, str) else ""


def processes_on(found: Clients, key: str) -> tuple[ProcessSnapshot, ...] | Absent:
    """Return the processes on a device that this user may see; ``no permission`` where it may see none."""
    listed = as_processes(found.on(key), found.names)
    if not listed and found.hidden:
        return Absent(Reason.NO_PERMISSION, HIDDEN_NOTE, SOURCE)
    return listed


def as_processes(clients: Iterable[Client], names: Mapping[int, str]) -> tuple[ProcessSnapshot, ...]:
    """Return clients as processes; those of one process are added up."""
    groups: dict[int, list[Client]] = {}
    for number, client in enumerate(clients):
        groups.setdefault(client.pid if client.pid is not None else -1 - number, []).append(client)
    return tuple(_process(each, names) for each in groups.values())


def _process(clients: list[Client], names: Mapping[int, str]) -> ProcessSnapshot:
    pid = clients[0].pid
    parts = [held(client) for client in clients]
    kinds = {kind for client in clients for kind in client.kind.split("+")} - {""}
    return ProcessSnapshot(
        pid=pid,
        name=names.get(pid, "") if pid is not None else "",
        memory=total_of(own for own, _ in parts),
        kind="+".join(sorted(kinds)),
        shared_memory=_shared(shared for _, shared in parts),
    )


def _shared(readings: Iterable[Reading]) -> Reading:
    return total_of(each for each in readings if each is not NOT_TOLD)
