"""The telemetry screens: devices, processes, engines, the host and the sources, as rows of texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hwledger.screens.column import Column
from hwledger.screens.speed import digits
from hwledger.telemetry.quantity import MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Reading, Readings, Reason, Value, bytes_of, number_of
from hwledger.telemetry.snapshot import (
    Check,
    DeviceSnapshot,
    EngineSnapshot,
    HostSnapshot,
    ModelSnapshot,
    Peer,
    Snapshot,
)
from hwledger.units import GIB, format_bytes

Q = Quantity
BAR: Final = 10
_LEAST_BYTES: Final = 0.05 * GIB
"""Less than this is no nothing, and is not shown as 0.0."""
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
NOTHING: Final = "–"
SHORT: Final = {
    Reason.UNSUPPORTED: NOTHING, Reason.NO_PERMISSION: "no right", Reason.ABSENT_TOOL: "no tool",
    Reason.LOST_DEVICE: "lost", Reason.STALE: "stale", Reason.UNPARSED: "unclear",
}  # fmt: skip
"""What stands in a cell without a value; the reasons stand in full below the table."""
DEVICE_COLUMNS: Final = (
    Column("", rank=9),
    Column("device", wraps=True),
    Column("used", right=True),
    Column("GiB", right=True, rank=3),
    Column("", rank=5),
    Column("free", right=True),
    Column("busy", right=True),
    Column("°C", right=True, rank=4),
    Column("W", right=True, rank=2),
    Column("MHz", right=True, rank=7),
    Column("throttled by", rank=6, wraps=True),
    Column("link", rank=8),
)
PROCESS_COLUMNS: Final = (
    Column("device", rank=1),
    Column("pid", right=True),
    Column("process", wraps=True),
    Column("GiB", right=True),
    Column("kind", rank=2),
)
ENGINE_COLUMNS: Final = (
    Column("engine"),
    Column("address", rank=2),
    Column("model", wraps=True),
    Column("KV tokens", right=True, rank=5),
    Column("KV used", right=True, rank=1),
    Column("runs", right=True),
    Column("waits", right=True, rank=3),
    Column("tokens/s", right=True),
)
MEMORY_PARTS: Final = (Q.WEIGHTS_BYTES, Q.KV_CACHE_BYTES, Q.STATE_BYTES, Q.COMPUTE_BYTES, Q.GRAPH_BYTES,
                       Q.MODEL_BYTES, Q.MODEL_DEVICE_BYTES)  # fmt: skip
MEMORY_COLUMNS: Final = (
    Column("memory of", wraps=True),
    Column("on"),
    *(Column(MEANINGS[part].label, right=True, rank=number) for number, part in enumerate(MEMORY_PARTS)),
)
CHECK_COLUMNS: Final = (
    Column("source"),
    Column("works"),
    Column("found", wraps=True),
    Column("what to do", rank=1, wraps=True),
)

PEER_COLUMNS: Final = (
    Column("machine"),
    Column("name in the network", wraps=True),
    Column("addresses", rank=1, wraps=True),
    Column("system", rank=2),
    Column("online"),
)


@dataclass(frozen=True, slots=True)
class ProbeScreen:
    """What ``hwledger probe`` shows.

    Attributes:
        host: one line.
        devices: rows of ``DEVICE_COLUMNS``.
        processes: rows of ``PROCESS_COLUMNS``.
        engines: rows of ``ENGINE_COLUMNS``.
        memory: rows of ``MEMORY_COLUMNS``: what engines say of their memory.
        peers: rows of ``PEER_COLUMNS``.
        missing: sentences: what is not known, of what, and why.
        notes: sentences about what must not be taken at its word.
    """

    host: str
    devices: tuple[tuple[str, ...], ...]
    processes: tuple[tuple[str, ...], ...]
    engines: tuple[tuple[str, ...], ...]
    memory: tuple[tuple[str, ...], ...]
    peers: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def probe_screen(snapshot: Snapshot) -> ProbeScreen:
    """Return a snapshot as rows and sentences."""
    notes = [f"{d.name or d.key}: {note}" for d in snapshot.devices for note in d.notes]
    notes += [f"{e.engine}: {note}" for e in snapshot.engines for note in e.notes]
    return ProbeScreen(
        host=host_line(snapshot.host),
        devices=tuple(device_cells(device) for device in snapshot.devices),
        processes=tuple(row for device in snapshot.devices for row in process_rows(device)),
        engines=tuple(row for engine in snapshot.engines for row in engine_rows(engine)),
        memory=tuple(row for engine in snapshot.engines for row in memory_rows(engine)),
        peers=tuple(peer_cells(peer) for peer in snapshot.peers),
        missing=tuple(missing(snapshot)),
        notes=tuple(dict.fromkeys((*notes, *snapshot.troubles))),
    )


def shown(reading: Reading) -> str:
    """Return a reading as the text of a cell: in the unit that people read, or why there is none.

    Bytes become GiB, ratios per cent and hertz MHz, each without the unit's name. The last value of a
    source that does not answer is shown with a question mark.
    """
    if isinstance(reading, Absent):
        return f"{shown(reading.last)}?" if reading.last is not None else SHORT[reading.reason]
    value = reading.value
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, str):
        return value
    return _number(value, reading.unit)


def _number(value: float, unit: Unit) -> str:
    if unit is Unit.BYTES:
        return f"{value / GIB:,.1f}" if not 0 < value < _LEAST_BYTES else "<0.1"
    if unit is Unit.RATIO:
        return f"{100 * value:.0f} %"
    if unit is Unit.HERTZ:
        return f"{value / 1e6:,.0f}"
    if unit is Unit.CELSIUS:
        return f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else digits(value)


def bar(share: float | None, width: int = BAR) -> str:
    """Return a share as a bar of that many cells; empty where it is not known."""
    if share is None:
        return ""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def device_cells(device: DeviceSnapshot) -> tuple[str, ...]:
    """Return a device as a row of ``DEVICE_COLUMNS``; slices stand indented under their device."""
    total, used = number_of(device[Q.MEMORY_TOTAL]), number_of(device[Q.MEMORY_USED])
    power = shown(device[Q.POWER])
    limit = number_of(device[Q.POWER_LIMIT])
    return (
        "" if device.index is None else str(device.index),
        f"{'└ ' if device.parent else ''}{device.name or device.key}",
        shown(device[Q.MEMORY_USED]),
        _of(device[Q.MEMORY_TOTAL]),
        bar(used / total if total and used is not None else None),
        shown(device[Q.MEMORY_FREE]),
        shown(device[Q.UTILIZATION]),
        shown(device[Q.TEMPERATURE]),
        power if limit is None else f"{power} of {digits(limit)}",
        shown(device[Q.CLOCK]),
        "" if isinstance(device[Q.THROTTLE], Absent) else shown(device[Q.THROTTLE]),
        link_words(device),
    )


def _of(total: Reading) -> str:
    """Return a total behind what is used; the reason alone where it is not known."""
    known = isinstance(total, Value) or total.last is not None
    return f"of {shown(total)}" if known else shown(total)


def link_words(device: DeviceSnapshot) -> str:
    """Return the PCIe link in words: ``4.0 x16``, and what it could be where that is more."""
    generation, width = number_of(device[Q.PCIE_GENERATION]), number_of(device[Q.PCIE_WIDTH])
    if generation is None or width is None:
        return ""
    most = number_of(device[Q.PCIE_GENERATION_MAX]), number_of(device[Q.PCIE_WIDTH_MAX])
    now = f"{generation:g}.0 x{width:g}"
    better = None not in most and most != (generation, width)
    return f"{now} (of {most[0]:g}.0 x{most[1]:g})" if better else now


def process_rows(device: DeviceSnapshot) -> Iterable[tuple[str, ...]]:
    """Yield the processes of a device as rows of ``PROCESS_COLUMNS``, the largest first."""
    if isinstance(device.processes, Absent):
        return
    name = device.name or device.key
    where = name if device.index is None else f"{device.index}: {name}"
    for each in sorted(device.processes, key=lambda p: -(number_of(p.memory) or 0)):
        pid = "" if each.pid is None else str(each.pid)
        yield (where, pid, each.name or NOTHING, shown(each.memory), each.kind)


def engine_rows(engine: EngineSnapshot) -> Iterable[tuple[str, ...]]:
    """Yield an engine as rows of ``ENGINE_COLUMNS``, one for each model that it holds."""
    name = f"{engine.engine} {engine.version}".strip()
    held = [model for model in engine.models if model.loaded is not False]
    for number, model in enumerate((*held, None)[: len(held) or 1]):
        told: list[EngineSnapshot | ModelSnapshot] = [engine, *([model] if model else [])]
        cells = [_first_told([each[q] for each in told]) for q in _ENGINE_CELLS]
        first = number == 0
        called = model.name if model else _idle(engine)
        yield (name if first else "", engine.address if first else "", called, *cells)


_ENGINE_CELLS: Final = (
    Q.KV_CACHE_TOKENS,
    Q.KV_CACHE_USED,
    Q.REQUESTS_RUNNING,
    Q.REQUESTS_WAITING,
    Q.DECODE_SPEED,
)


def memory_rows(engine: EngineSnapshot) -> Iterable[tuple[str, ...]]:
    """Yield what an engine says of its memory, as a whole, by model and by device, as rows."""
    yield from _memory_row(engine.engine, "", engine.readings)
    for model in engine.models:
        yield from _memory_row(model.name or engine.engine, "", model.readings)
        for device, readings in model.devices.items():
            yield from _memory_row(model.name or engine.engine, device, readings)


def _memory_row(name: str, device: str, readings: Readings) -> Iterable[tuple[str, ...]]:
    sizes = [bytes_of(readings.get(part)) for part in MEMORY_PARTS]
    if any(size is not None for size in sizes):
        yield (name, device, *("" if size is None else format_bytes(size) for size in sizes))


def _idle(engine: EngineSnapshot) -> str:
    listed = len(engine.models)
    return f"none loaded, {listed} at hand" if listed else NOTHING


def _first_told(readings: Sequence[Reading]) -> str:
    return shown(next((each for each in readings if isinstance(each, Value)), readings[0]))


def host_line(host: HostSnapshot) -> str:
    """Return the host in one line."""
    total, available = number_of(host[Q.HOST_MEMORY_TOTAL]), number_of(host[Q.HOST_MEMORY_AVAILABLE])
    said = [part for part in (host.name, host.system) if part]
    if total is not None and available is not None:
        said.append(f"{(total - available) / GIB:,.1f} of {total / GIB:,.1f} GiB in use")
    elif total is not None:
        said.append(f"{total / GIB:,.1f} GiB of memory")
    for quantity, words in ((Q.HOST_MEMORY_LIMIT, "limited to {} GiB"), (Q.CPU_UTILIZATION, "CPU {} busy"),
                            (Q.SWAP_USED, "{} GiB swapped"), (Q.CPU_TEMPERATURE, "{} °C")):  # fmt: skip
        if number_of(host[quantity]):
            said.append(words.format(shown(host[quantity])))
    return ", ".join(said)


def peer_cells(peer: Peer) -> tuple[str, ...]:
    """Return a machine of a network as a row of ``PEER_COLUMNS``."""
    online = "this one" if peer.own else NOTHING if peer.online is None else "yes" if peer.online else "no"
    return (peer.name, peer.domain, ", ".join(peer.addresses), peer.system, online)


def missing(snapshot: Snapshot) -> Iterable[str]:
    """Yield what of the devices is not known and why, devices with the same reasons together."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for device in snapshot.devices:
        name = device.name or device.key
        for quantity, reading in device.readings.items():
            if isinstance(reading, Absent):
                why = (str(reading.reason), reading.detail)
                found.setdefault(why, {}).setdefault(MEANINGS[quantity].label, []).append(name)
        if isinstance(device.processes, Absent) and device.processes.source:
            why = (str(device.processes.reason), device.processes.detail)
            found.setdefault(why, {}).setdefault("processes", []).append(name)
    for (reason, detail), labels in found.items():
        names = dict.fromkeys(name for named in labels.values() for name in named)
        said = f"{reason}: {detail}" if detail else reason
        yield f"{', '.join(names)}: {', '.join(labels)}: {said}"


def check_rows(checks: Iterable[Check]) -> tuple[tuple[str, ...], ...]:
    """Return the sources as rows of ``CHECK_COLUMNS``, without those that have nothing to tell of here."""
    needed = (each for each in checks if not _idle_here(each))
    return tuple((each.source, _works(each), each.found, each.remedy) for each in needed)


def _works(check: Check) -> str:
    """Return whether a source works; a dash for one that is not asked as a better one tells the same."""
    return "yes" if check.works else (NOTHING if check.reason is None else "no")


def _idle_here(check: Check) -> bool:
    """Return whether a source does not work because there is nothing that it could tell of."""
    quiet = check.reason is not None and check.reason.reason in {Reason.ABSENT_TOOL, Reason.UNSUPPORTED}
    return not check.works and check.here is False and quiet


def idle_words(checks: Iterable[Check]) -> str:
    """Return the sources that have nothing to tell of on this machine in one sentence; empty for none."""
    names = ", ".join(check.source for check in checks if _idle_here(check))
    return f"Not needed here, as the kernel shows no device for them: {names}" if names else ""
