"""vLLM's log: bytes of one device as its workers print them, the capacity of its cache, what it does.

What is printed, by version, is in ``telemetry/data/vllm_log.toml``. The last start in a log counts.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.sizes import Devices, Told, explained, frozen, named
from hwledger.telemetry.engines.tables import data
from hwledger.telemetry.engines.vllm_stats import STATS, Stats
from hwledger.telemetry.parsing import checked, measured
from hwledger.telemetry.quantity import Quantity, Unit
from hwledger.telemetry.reading import Basis, Gauge, Reading, Value, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

SOURCE: Final = "vLLM log"
_GIB: Final = {"gb": "gib"}
_START: Final = re.compile(
    r"Initializing an? (?:V[0-9] )?LLM engine (?:\(v?(?P<version>[^)\s]{1,60})\)|(?=with config:))"
    r"(?P<config>.*)"
)
_CONFIG: Final = re.compile(
    r"\b(model|dtype|max_seq_len|quantization|kv_cache_dtype)=(?:'([^']{1,400})'|([\w.:/-]{1,100}))"
)
_BLOCKS: Final = re.compile(r"# (?:GPU|cuda|CUDA|xpu|hpu|neuron) blocks: ([0-9]{1,12})(?![0-9.])")
_CONCURRENCY: Final = re.compile(
    r"Maximum concurrency for ([0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15}) tokens per request: ([0-9.]{1,12})x"
)
_OTHER: Final = re.compile(r"non_torch_memory takes ([0-9.]{1,12}) ?Gi?B")
_RANK: Final = re.compile(r"\((?P<who>[A-Za-z_]*(?:Worker|Core)\w*)(?P<more>[^)]{0,60})\)")
_NUMBERED: Final = (("dp", re.compile(r"DP([0-9]{1,5})")), ("pp", re.compile(r"PP([0-9]{1,5})")),
                    ("tp", re.compile(r"TP([0-9]{1,5})|rank=([0-9]{1,5})")))  # fmt: skip
_BLOCK_SIZES: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_LONGEST_LINE: Final = 20_000
_OF_DEVICE: Final = frozenset({
    Quantity.WEIGHTS_BYTES, Quantity.KV_CACHE_BYTES, Quantity.COMPUTE_BYTES, Quantity.GRAPH_BYTES,
})  # fmt: skip
_NOTE: Final = "bytes are those of one device: vLLM prints them for each rank"


@dataclass(frozen=True, slots=True)
class _Line:
    quantity: Quantity
    pattern: re.Pattern[str]
    rounder: bool


@dataclass
class _Start:
    """One start of the engine."""

    version: str = ""
    config: dict[str, str] = field(default_factory=dict)
    ranks: Devices = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    blocks: int | None = None
    concurrency: tuple[int, str] | None = None


@cache
def _lines() -> tuple[_Line, ...]:
    return tuple(
        _Line(Quantity(row["quantity"]), re.compile(row["pattern"]), row.get("rounder", False))
        for row in data("vllm_log")["line"]
    )


def is_vllm_log(text: str) -> bool:
    """Whether a text is a log of vLLM."""
    return any(line.pattern.search(text) for line in _lines()) or bool(
        _BLOCKS.search(text) or _START.search(text) or STATS.search(text)
    )


def read_vllm_log(text: str) -> Sample:
    """Return what the last start of a log says: bytes of one device, capacity, and what it last did."""
    gauge = Gauge(SOURCE, basis=Basis.LOGGED)
    start = _Start()
    for line in text.split("\n"):
        short = line[:_LONGEST_LINE]
        if found := _START.search(short):
            start = _Start(named(found["version"] or ""), _config(found["config"]))
        _enter(start, short, gauge)
    model, told = _model(start, gauge), _of_engine(start, gauge)
    notes = [_NOTE] if any(name in _OF_DEVICE for name in model.readings) else []
    engine = EngineSnapshot(
        "vllm", start.version, models=(model,), readings=MappingProxyType(told), notes=(*notes, *start.notes)
    )
    return explained(Sample(engines=(engine,)), SOURCE, "it says nothing of memory or requests")


def _config(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, quoted, plain in _CONFIG.findall(text):
        found.setdefault(key, quoted or plain)
    return {key: value for key, value in found.items() if value != "None"}


def _enter(start: _Start, line: str, gauge: Gauge) -> None:
    rank = _rank(line)
    told = start.ranks.setdefault(rank, {})
    for each in _lines():
        found = each.pattern.search(line)
        if found is None or (each.rounder and each.quantity in told):
            continue
        reading = measured(gauge, each.quantity, found[1].replace(",", ""), spelled=_GIB)
        told[each.quantity] = _least(told.get(each.quantity), reading)
    start.stats.enter(line)
    if found := _BLOCKS.search(line):
        start.blocks = int(found[1])
    if found := _CONCURRENCY.search(line):
        start.concurrency = int(found[1].replace(",", "")), found[2]
    if found := _OTHER.search(line):
        start.notes = [f"{found[1]} GiB on the device are held beside PyTorch (non_torch_memory)"]


def _least(before: Reading | None, reading: Reading) -> Reading:
    """Return the later of two figures of one rank; of tokens, which each worker counts, the least holds."""
    numbers = number_of(before), number_of(reading)
    if isinstance(reading, Value) and reading.unit is Unit.TOKENS and None not in numbers:
        return min((before, reading), key=lambda each: number_of(each) or 0.0) or reading
    return reading


def _rank(line: str) -> str:
    """Return the rank whose process prints a line, ``dp0 tp1``; empty where it does not say."""
    for who in _RANK.finditer(line[:300]):
        said = who["who"] + who["more"]
        found = ((short, pattern.search(said)) for short, pattern in _NUMBERED)
        name = " ".join(
            f"{short}{match[1] or match[match.lastindex or 1]}" for short, match in found if match
        )
        if name:
            return name
    return ""


def _largest(start: _Start, quantity: Quantity) -> Reading | None:
    told = [each[quantity] for each in start.ranks.values() if quantity in each]
    numbers = [(number, reading) for reading in told if (number := number_of(reading)) is not None]
    return max(numbers, key=lambda pair: pair[0])[1] if numbers else (told[0] if told else None)


def _model(start: _Start, gauge: Gauge) -> ModelSnapshot:
    found = {name: _largest(start, name) for name in _OF_DEVICE}
    told: Told = {name: reading for name, reading in found.items() if reading is not None}
    kind = start.config.get("quantization") or start.config.get("dtype", "").removeprefix("torch.")
    if kind:
        told[Quantity.QUANTISATION] = gauge(Quantity.QUANTISATION, named(kind))
    ranks = {
        name: {quantity: reading for quantity, reading in each.items() if quantity in _OF_DEVICE}
        for name, each in start.ranks.items() if name
    }  # fmt: skip
    devices = frozen({name: each for name, each in ranks.items() if each})
    return ModelSnapshot(
        named(start.config.get("model")),
        loaded=True if told else None,
        readings=MappingProxyType(told),
        devices=devices,
    )


def _of_engine(start: _Start, gauge: Gauge) -> Told:
    told: Told = {}
    if (context := _largest(start, Quantity.CONTEXT)) is not None:
        told[Quantity.CONTEXT] = context
    elif "max_seq_len" in start.config:
        told[Quantity.CONTEXT] = measured(gauge, Quantity.CONTEXT, start.config["max_seq_len"])
    if "kv_cache_dtype" in start.config:
        told[Quantity.KV_CACHE_TYPE] = gauge(Quantity.KV_CACHE_TYPE, named(start.config["kv_cache_dtype"]))
    tokens = _tokens(start)
    if tokens is not None:
        told[Quantity.KV_CACHE_TOKENS] = tokens
    return told | start.stats.told(gauge)


def _tokens(start: _Start) -> Reading | None:
    """Return the tokens of the cache: of all replicas, as printed; else from blocks and concurrency."""
    by_replica: dict[str, float] = {}
    for name, told in start.ranks.items():
        replica = next((word for word in name.split() if word.startswith("dp")), "")
        number = number_of(told.get(Quantity.KV_CACHE_TOKENS))
        if number is not None:
            by_replica[replica] = min(by_replica.get(replica, number), number)
    if by_replica:
        basis = Basis.LOGGED if len(by_replica) == 1 else Basis.DERIVED
        return checked(Gauge(SOURCE, basis=basis), Quantity.KV_CACHE_TOKENS, sum(by_replica.values()))
    size = _block_size(start)
    if size is None or start.blocks is None:
        return None
    return checked(Gauge(SOURCE, basis=Basis.DERIVED), Quantity.KV_CACHE_TOKENS, start.blocks * size)


def _block_size(start: _Start) -> int | None:
    """Return the one block size with which blocks make the printed concurrency; ``None``: there is none.

    vLLM up to 0.7 prints blocks and, with two decimals, ``blocks * block_size / max_model_len``
    (``vllm/worker/worker.py``); it does not print the size of a block.
    """
    if start.blocks is None or start.concurrency is None or not start.concurrency[0]:
        return None
    length, printed = start.concurrency
    sizes = [size for size in _BLOCK_SIZES if f"{start.blocks * size / length:.2f}" == printed]
    return sizes[0] if len(sizes) == 1 else None
