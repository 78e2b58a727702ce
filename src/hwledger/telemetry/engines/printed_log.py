"""Start-up logs of SGLang and TensorRT-LLM: what their ranks print of one device.

Which lines, by engine, is in ``telemetry/data/engine_logs.toml``. The last start in a log counts; in SGLang
it begins where the arguments are printed.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.sizes import explained, frozen, named
from hwledger.telemetry.engines.tables import data
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

_GIB: Final = {"gb": "gib"}
_START: Final = re.compile(r"server_args=ServerArgs\((?P<arguments>.{0,4000})")
_MODEL: Final = re.compile(r"\bmodel_path='([^']{1,400})'")
_RANK: Final = re.compile(r"\[[^\]]{0,40}?\b((?:(?:DP|TP|PP|EP)[0-9]{1,4} ?){1,4})\]")
_LONGEST_LINE: Final = 20_000
_MODELS: Final = frozenset({
    Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.STATE_BYTES, Quantity.GRAPH_BYTES,
})  # fmt: skip
_NOTE: Final = "bytes are those of one device: each rank prints its own"


@dataclass(frozen=True, slots=True)
class _Line:
    engine: str
    quantity: Quantity
    pattern: re.Pattern[str]
    each: str


@dataclass
class _Start:
    """One start of an engine: the numbers of each rank, in the order of their lines."""

    model: str = ""
    ranks: dict[str, dict[Quantity, Reading]] = field(default_factory=dict)
    of_line: dict[tuple[str, Quantity], _Line] = field(default_factory=dict)


@cache
def _lines(engine: str) -> tuple[_Line, ...]:
    rows = (row for row in data("engine_logs")["line"] if row["engine"] == engine)
    return tuple(
        _Line(engine, Quantity(row["quantity"]), re.compile(row["pattern"]), row["each"]) for row in rows
    )


def is_log_of(text: str, engine: str) -> bool:
    """Whether a text is a start-up log of an engine of the table."""
    return any(line.pattern.search(text) for line in _lines(engine))


def read_log_of(text: str, engine: str, title: str) -> Sample:
    """Return what the last start of a log says: weights, caches and graphs of one device, and tokens."""
    gauge = Gauge(f"{title} log", basis=Basis.LOGGED)
    start = _Start()
    for line in text.split("\n"):
        short = line[:_LONGEST_LINE]
        if found := _START.search(short):
            start = _Start(_model_in(found["arguments"]))
        _enter(start, short, engine, gauge)
    model, told = _model(start), _of_engine(start, gauge)
    notes = (_NOTE,) if model.readings else ()
    snapshot = EngineSnapshot(engine, "", models=(model,), readings=MappingProxyType(told), notes=notes)
    return explained(Sample(engines=(snapshot,)), gauge.source, "it says nothing of memory")


def _model_in(arguments: str) -> str:
    found = _MODEL.search(arguments)
    return named(found[1]) if found else ""


def _enter(start: _Start, text: str, engine: str, gauge: Gauge) -> None:
    found = _RANK.search(text[:300])
    rank = found[1].strip().lower() if found else ""
    told = start.ranks.setdefault(rank, {})
    for line in _lines(engine):
        if match := line.pattern.search(text):
            _add(start, told, (rank, line.quantity), line, _added(match, line.quantity, gauge))


def _added(match: re.Match[str], quantity: Quantity, gauge: Gauge) -> Reading:
    """The number of a line; of several in one line, their sum."""
    readings = [measured(gauge, quantity, part, spelled=_GIB) for part in match.groups() if part]
    return _sum(readings, quantity, gauge)


def _sum(readings: list[Reading], quantity: Quantity, gauge: Gauge) -> Reading:
    numbers = [number_of(reading) for reading in readings]
    known = [number for number in numbers if number is not None]
    if len(readings) == 1 or len(known) < len(readings):
        return next((one for one in readings if number_of(one) is None), readings[0])
    return checked(Gauge(gauge.source, gauge.at, Basis.DERIVED), quantity, round(sum(known)))


def _add(
    start: _Start, told: dict[Quantity, Reading], key: tuple[str, Quantity], line: _Line, reading: Reading
) -> None:
    """Enter a number: the first kind of line in the table counts above the later kinds."""
    quantity, before = line.quantity, start.of_line.get(key)
    order = _lines(line.engine)
    if before is not None and before is not line and line.each != "sum":
        if order.index(before) < order.index(line):
            return
    elif before is not None and line.each == "first":
        return
    elif before is not None and line.each == "sum":
        reading = _sum([told[quantity], reading], quantity, Gauge(reading.source, basis=Basis.DERIVED))
    start.of_line[key], told[quantity] = line, reading


def _model(start: _Start) -> ModelSnapshot:
    """Return the model, with the largest of its ranks' figures."""
    told: dict[Quantity, Reading] = {}
    for quantity in _MODELS:
        found = [each[quantity] for each in start.ranks.values() if quantity in each]
        if found:
            told[quantity] = max(found, key=lambda reading: number_of(reading) or 0.0)
    devices = {
        name: {quantity: reading for quantity, reading in each.items() if quantity in _MODELS}
        for name, each in start.ranks.items() if name
    }  # fmt: skip
    return ModelSnapshot(
        start.model,
        loaded=True if told else None,
        readings=MappingProxyType(told),
        devices=frozen({name: each for name, each in devices.items() if each}),
    )


def _of_engine(start: _Start, gauge: Gauge) -> dict[Quantity, Reading]:
    """Return context and tokens: of the ranks of one replica the least holds, replicas are added."""
    told: dict[Quantity, Reading] = {}
    replicas: dict[str, float] = {}
    for name, each in start.ranks.items():
        if (context := each.get(Quantity.CONTEXT)) is not None:
            told[Quantity.CONTEXT] = context
        replica = next((word for word in name.split() if word.startswith("dp")), "")
        if (tokens := number_of(each.get(Quantity.KV_CACHE_TOKENS))) is not None:
            replicas[replica] = min(replicas.get(replica, tokens), tokens)
    if replicas:
        basis = Basis.LOGGED if len(replicas) == 1 else Basis.DERIVED
        total = sum(replicas.values())
        told[Quantity.KV_CACHE_TOKENS] = checked(
            Gauge(gauge.source, basis=basis), Quantity.KV_CACHE_TOKENS, total
        )
    return told
