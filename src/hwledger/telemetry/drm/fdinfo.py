"""What ``/proc/PID/fdinfo/N`` tells of one client of a graphics device.

Keys: Linux 6.13, Documentation/gpu/drm-usage-stats.rst. ``drm-memory-REGION`` is what amdgpu writes before
and beside ``drm-resident-REGION``; units stand on each line, bytes where none does; its kB are 1024 bytes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.drm.facts import engines, place_of
from hwledger.telemetry.parsing import digits_in, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Basis, Gauge, Reading, Reason, Value, bytes_of

SOURCE: Final = "fdinfo"
MOST_CLIENTS: Final = 20_000
MOST_LINES: Final = 1_000_000
_LINE: Final = re.compile(
    r"(?:/proc/(?P<pid>[0-9]{1,10})/fdinfo/[0-9]+:)?(?P<key>[a-z]+(?:-[\w.-]+)?):\s*(?P<value>.*)"
)
_HEADER: Final = re.compile(r"==> (?:/proc/(?P<pid>[0-9]{1,10})/)?\S{0,200} <==")
_MEMORY: Final = re.compile(r"drm-(?P<stat>resident|memory|total)-(?P<region>(?!cycles-)[a-z][\w-]*)")
_ENGINE: Final = re.compile(
    r"drm-(?P<what>engine-capacity|engine|cycles|total-cycles)-(?P<engine>[a-z][\w-]*)"
)
_STATS: Final = ("total", "memory", "resident")
"""From the least to the most exact: ``total`` counts buffers that are not there now."""
_SPELLED: Final = {"kb": "kib", "mb": "mib", "gb": "gib"}


@dataclass(frozen=True, slots=True)
class Engine:
    """How long a client used an engine so far.

    Attributes:
        busy: nanoseconds, or cycles where ``total`` is told; ``None`` where neither is.
        total: cycles that passed meanwhile; ``None`` for drivers that count nanoseconds.
        capacity: engines of this kind.
    """

    busy: int | None = None
    total: int | None = None
    capacity: int = 1


@dataclass(frozen=True, slots=True)
class Client:
    """One client of a device: what a process opened once.

    Attributes:
        driver: the kernel's driver; empty where it is not told.
        address: of the device as the kernel writes it; empty where it is not told.
        number: the client's number on the device; ``None`` where it is not told or no number.
        pid: the process; ``None`` where it is not known.
        memory: bytes by region.
        engines: by name.
        troubles: sentences on what cannot be read.
    """

    driver: str = ""
    address: str = ""
    number: int | None = None
    pid: int | None = None
    memory: Mapping[str, Reading] = field(default_factory=lambda: MappingProxyType({}))
    engines: Mapping[str, Engine] = field(default_factory=lambda: MappingProxyType({}))
    troubles: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What its engines did so far: ``compute``, ``graphics``, both, or nothing that is known."""
        used = {engines().get(name, "") for name, each in self.engines.items() if each.busy}
        return "+".join(sorted(used - {""}))


def clients_in(text: str, gauge: Gauge) -> tuple[Client, ...]:
    """Return the clients of one or several fdinfo texts, with the processes that headers name.

    Bounded: the first ``MOST_CLIENTS`` of them.
    """
    found = (_client(lines, pid, gauge) for pid, lines in _blocks(text))
    return tuple(islice((client for client in found if client is not None), MOST_CLIENTS))


def _blocks(text: str) -> Iterator[tuple[int | None, dict[str, str]]]:
    """Yield the process and the lines of each client; a key that comes again begins the next."""
    pid: int | None = None
    lines: dict[str, str] = {}
    for line in text.splitlines()[:MOST_LINES]:
        header, found = _HEADER.fullmatch(line.strip()), _LINE.fullmatch(line.strip())
        named = int(found["pid"]) if found and found["pid"] else pid
        if header or named != pid or (found and found["key"] in lines):
            yield pid, lines
            lines = {}
        pid = (int(header["pid"]) if header["pid"] else None) if header else named
        if found:
            lines[found["key"]] = found["value"].strip()
    yield pid, lines


def client_of(text: str, pid: int, gauge: Gauge) -> Client | None:
    """Return the client of one file; ``None`` where the file is none of a graphics device."""
    return next((replace(client, pid=pid) for client in clients_in(text, gauge)), None)


def _client(lines: Mapping[str, str], pid: int | None, gauge: Gauge) -> Client | None:
    if not any(key.startswith("drm-") for key in lines):
        return None
    told = lines.get("drm-client-id")
    number = digits_in(told, most=20)
    troubles = () if told is None or number is not None else (f"fdinfo: client {told[:40]!r} is no number",)
    return Client(
        driver=lines.get("drm-driver", "")[:80], address=lines.get("drm-pdev", "")[:80], number=number,
        pid=pid, memory=_memory(lines, gauge), engines=_engines(lines), troubles=troubles,
    )  # fmt: skip


def _memory(lines: Mapping[str, str], gauge: Gauge) -> Mapping[str, Reading]:
    best: dict[str, tuple[int, str]] = {}
    for key, value in lines.items():
        found = _MEMORY.fullmatch(key)
        if found is not None:
            rank = _STATS.index(found["stat"])
            if rank >= best.get(found["region"], (0, ""))[0]:
                best[found["region"]] = (rank, value)
    return MappingProxyType(
        {
            region: measured(gauge, Quantity.MEMORY_USED, value, "b", _SPELLED)
            for region, (_, value) in best.items()
        }
    )


def _engines(lines: Mapping[str, str]) -> Mapping[str, Engine]:
    told: dict[str, dict[str, int | None]] = {}
    for key, value in lines.items():
        found = _ENGINE.fullmatch(key)
        if found is not None:
            told.setdefault(found["engine"], {})[found["what"]] = digits_in(value.removesuffix("ns"), most=20)
    return MappingProxyType({name: _engine(each) for name, each in told.items()})


def _engine(told: Mapping[str, int | None]) -> Engine:
    total, cycles = told.get("total-cycles"), told.get("cycles")
    counted = cycles is not None and total is not None
    return Engine(
        busy=cycles if counted else told.get("engine"),
        total=total if counted else None,
        capacity=told.get("engine-capacity") or 1,
    )


def held(client: Client, source: str = SOURCE) -> tuple[Reading, Reading]:
    """Return what a client holds: of the device's own memory, and of the host's that the device maps.

    Where the client has no region of the device's own, the host's memory is what the device works in, and is
    returned as the first.
    """
    own = [each for region, each in client.memory.items() if place_of(region) == "own"]
    host = [each for region, each in client.memory.items() if place_of(region) == "host"]
    if own:
        return total_of(own), total_of(host)
    if host:
        return total_of(host), NOT_TOLD
    return Absent(Reason.UNSUPPORTED, "its driver tells no memory of its clients", source), NOT_TOLD


def total_of(readings: Iterable[Reading]) -> Reading:
    """Return the sum of readings, derived of more than one part; the first reason where one has none."""
    values: list[Value] = []
    for reading in readings:
        if isinstance(reading, Absent):
            return reading
        values.append(reading)
    if not values:
        return NOT_TOLD
    parts = [each for each in values if each.value] or values[:1]
    if len(parts) == 1:
        return parts[0]
    return replace(parts[0], value=sum(bytes_of(each) or 0 for each in parts), basis=Basis.DERIVED)


def distinct(clients: Iterable[Client]) -> tuple[Client, ...]:
    """Return each client once: processes that inherit or duplicate a file show the same client again."""
    seen: set[tuple[str, int]] = set()
    found: list[Client] = []
    for client in clients:
        key = (client.address, client.number) if client.number is not None else None
        if key is None or key not in seen:
            found.append(client)
        if key is not None:
            seen.add(key)
    return tuple(found)
