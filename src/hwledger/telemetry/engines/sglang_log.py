"""SGLang's log: bytes of one rank as it prints them, the tokens of its cache, and what it last did.

Sources: SGLang 0.4 to 0.5 ``srt/model_executor/model_runner.py`` (``Load weight end``, ``Capture cuda graph
end``), ``srt/mem_cache/memory_pool.py`` (``KV Cache is allocated``), ``srt/managers/scheduler.py`` and
``scheduler_metrics_mixin.py`` (capacity, ``Decode batch``). What it calls GB is GiB. The last start counts,
and of a start the first model that is loaded: those behind it draft for it.
"""

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.sglang import ENGINE
from hwledger.telemetry.engines.sizes import Devices, Told, explained, frozen, named
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

SOURCE: Final = "SGLang log"
_N: Final = r"[0-9]{1,9}(?:\.[0-9]{1,4})?"
_START: Final = re.compile(r"\bserver_args=ServerArgs\(model_path='(?P<model>[^'\n]{1,400})'")
_RANK: Final = re.compile(r"\[[0-9-]{10} [0-9:]{8}(?P<ranks>(?: (?:DP|TP|PP|EP)[0-9]{1,5}){1,4})\]")
_WEIGHTS: Final = re.compile(rf"Load weight end\..{{0,400}}\bmem usage=({_N} GB)")
_CACHE: Final = re.compile(
    r"KV Cache is allocated\.(?: dtype: [\w.]{1,40},)? #tokens: (?P<tokens>[0-9]{1,12}),"
    rf" (?:K size: (?P<k>{_N}) GB, V size: (?P<v>{_N}) GB|KV size: (?P<both>{_N}) GB)"
)
_STATE: Final = re.compile(
    rf"Mamba Cache is allocated\..{{0,200}}?\bconv_state size: ({_N}) ?GB,? ssm_state size: ({_N}) ?GB"
)
_GRAPH: Final = re.compile(rf"Capture \w{{1,20}} graph end\..{{0,200}}\bmem usage=({_N} GB)")
_CAPACITY: Final = re.compile(r"\bmax_total_num_tokens=([0-9]{1,12}), ")
_BESIDE: Final = {
    Quantity.SLOTS: re.compile(r"\bmax_running_requests=([0-9]{1,9})\b"),
    Quantity.CONTEXT: re.compile(r"\bcontext_len=([0-9]{1,12})\b"),
}  # fmt: skip
_DECODE: Final = re.compile(r"Decode batch\b.{0,40}?#running-req: (?P<requests_running>[0-9]{1,9}), ")
_OF_BATCH: Final = {
    Quantity.KV_CACHE_TOKENS_USED: re.compile(r"#token: ([0-9]{1,12}), "),
    Quantity.KV_CACHE_USED: re.compile(r" token usage: ([01]\.[0-9]{1,6}), "),
    Quantity.DECODE_SPEED: re.compile(rf"gen throughput \(token/s\): ({_N}),"),
    Quantity.REQUESTS_WAITING: re.compile(r"#queue-req: ([0-9]{1,9})\b"),
}  # fmt: skip
_BYTES: Final = (
    Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.STATE_BYTES, Quantity.GRAPH_BYTES,
)  # fmt: skip
_NOT_ADDED: Final = frozenset({Quantity.CONTEXT, Quantity.KV_CACHE_USED})
_GIB: Final = {"gb": "gib"}
_LONGEST_LINE: Final = 20_000
_NOTE: Final = "bytes are those of one rank: SGLang prints them for each"
_DRAFT: Final = "a draft model was loaded too, whose bytes are not shown"


@dataclass
class _Start:
    """One start of the server."""

    model: str = ""
    ranks: Devices = field(default_factory=dict)
    pools: dict[str, list[float]] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    """Ranks that load a second model."""
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Tokens of the pools of each replica."""
    told: dict[str, dict[Quantity, str]] = field(default_factory=dict)
    """What each replica says of its capacity and its requests."""


def is_sglang_log(text: str) -> bool:
    """Whether a text is a log of SGLang's server."""
    return any(each.search(text) for each in (_CACHE, _WEIGHTS, _CAPACITY, _DECODE))


def read_sglang_log(text: str) -> Sample:
    """Return what the last start of a log says: weights, cache and graphs of one rank, capacity, requests."""
    gauge = Gauge(SOURCE, basis=Basis.LOGGED)
    start = _Start()
    for line in text.split("\n"):
        short = line[:_LONGEST_LINE]
        if found := _START.search(short):
            start = _Start(named(found["model"]))
        _enter(start, short, gauge)
    bytes_told = _largest(start)
    model = ModelSnapshot(
        start.model, loaded=True if bytes_told else None, readings=MappingProxyType(bytes_told),
        devices=frozen({name: told for name, told in start.ranks.items() if name and told}),
    )  # fmt: skip
    notes = (*((_NOTE,) if bytes_told else ()), *((_DRAFT,) if start.behind else ()))
    told = MappingProxyType(_of_replicas(start, gauge))
    engine = EngineSnapshot(ENGINE, models=(model,), readings=told, notes=notes)
    return explained(Sample(engines=(engine,)), SOURCE, "it says nothing of memory or requests")


def _enter(start: _Start, line: str, gauge: Gauge) -> None:
    rank = _rank(line)
    told = start.ranks.setdefault(rank, {})
    if found := _WEIGHTS.search(line):
        if Quantity.WEIGHTS_BYTES in told:
            start.behind.add(rank)
        told.setdefault(Quantity.WEIGHTS_BYTES, measured(gauge, Quantity.WEIGHTS_BYTES, found[1], "", _GIB))
    elif (found := _GRAPH.search(line)) and rank not in start.behind:
        told[Quantity.GRAPH_BYTES] = measured(gauge, Quantity.GRAPH_BYTES, found[1], "", _GIB)
    elif (found := _CACHE.search(line)) and rank not in start.behind:
        _enter_pool(start, rank, found)
    elif (found := _STATE.search(line)) and rank not in start.behind:
        size = sum(map(float, found.groups())) * (1 << 30)
        told[Quantity.STATE_BYTES] = checked(Gauge(SOURCE, basis=Basis.DERIVED), Quantity.STATE_BYTES, size)
    elif found := _CAPACITY.search(line):
        _say(start, rank, line, {Quantity.KV_CACHE_TOKENS: found[1]}, _BESIDE)
    elif found := _DECODE.search(line):
        _say(start, rank, line, {Quantity.REQUESTS_RUNNING: found["requests_running"]}, _OF_BATCH)


def _say(
    start: _Start, rank: str, line: str, first: dict[Quantity, str], more: dict[Quantity, re.Pattern[str]]
) -> None:
    said = start.told.setdefault(_replica(rank), {})
    said |= first | {name: found[1] for name, each in more.items() if (found := each.search(line))}


def _enter_pool(start: _Start, rank: str, found: re.Match[str]) -> None:
    """Enter a pool of a rank's cache: windowed models have several, and then no one count of tokens."""
    parts = [float(size) for size in (found["k"], found["v"], found["both"]) if size]
    pools = start.pools.setdefault(rank, [])
    pools.extend(parts)
    derived = Gauge(SOURCE, basis=Basis.DERIVED if len(pools) > 1 else Basis.LOGGED)
    start.ranks[rank][Quantity.KV_CACHE_BYTES] = checked(
        derived, Quantity.KV_CACHE_BYTES, sum(pools) * (1 << 30)
    )
    start.tokens.setdefault(_replica(rank), set()).add(found["tokens"])


def _of_replicas(start: _Start, gauge: Gauge) -> Told:
    """Return what replicas say, of several the sums; the context is one, and of caches the fullest counts.

    Where no capacity is told, it is that of the one pool of each replica.
    """
    if all(len(tokens) == 1 for tokens in start.tokens.values()):
        for replica, tokens in start.tokens.items():
            start.told.setdefault(replica, {}).setdefault(Quantity.KV_CACHE_TOKENS, next(iter(tokens)))
    told: Told = {}
    for quantity in dict.fromkeys(name for said in start.told.values() for name in said):
        known = [
            measured(gauge, quantity, said[quantity]) for said in start.told.values() if quantity in said
        ]
        numbers = [number for each in known if (number := number_of(each)) is not None]
        if len(known) == 1 or quantity in _NOT_ADDED or len(numbers) < len(known):
            told[quantity] = max(known, key=lambda each: number_of(each) or -1.0)
        else:
            told[quantity] = checked(Gauge(SOURCE, basis=Basis.DERIVED), quantity, sum(numbers))
    return told


def _replica(rank: str) -> str:
    return next((word for word in rank.split() if word.startswith("dp")), "")


def _rank(line: str) -> str:
    """Return the rank that prints a line, ``dp0 tp1``; empty where it does not say."""
    found = _RANK.search(line[:300])
    return found["ranks"].strip().lower() if found else ""


def _largest(start: _Start) -> Told:
    """Return the bytes of the rank that holds most of each kind."""
    told: Told = {}
    for quantity in _BYTES:
        known = [each[quantity] for each in start.ranks.values() if quantity in each]
        if known:
            told[quantity] = max(known, key=lambda each: number_of(each) or -1.0)
    return told
