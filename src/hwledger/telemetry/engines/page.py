"""An engine's page of metrics: which engine's it is, and what it says."""

import re
from types import MappingProxyType
from typing import Final

from hwledger.library.serving.metrics import Page, read_page
from hwledger.telemetry.engines.cache_config import CONFIG, read_cache_config, warm_replicas
from hwledger.telemetry.engines.counted import (
    Figures,
    by_name,
    first_named,
    is_per_device,
    model_names,
    per_rank,
    read_metric,
    read_quotient,
    totals,
)
from hwledger.telemetry.engines.tables import metric_table
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reading, Reason, Value, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

_LINE: Final = re.compile(
    r"^[ \t]*(?:#[ \t]*(?:HELP|TYPE|UNIT)[ \t]+)?([a-z]+(?::|_))[A-Za-z_]", re.MULTILINE
)
_EXTRA: Final = {"vllm": frozenset({CONFIG})}
_RANK_NOTE: Final = "bytes are of one of the ranks that share the work, and the sum of replicas"
_TRUST: Final = 0.01
"""Share of the cache by which used tokens and usage may differ before both are doubted."""
Told = dict[Quantity, Reading]


def engine_of(text: str) -> str | None:
    """Return the engine whose page of metrics a text is; ``None`` where it is none."""
    prefixes = metric_table().prefixes
    known = {_plain(prefix): engine for engine, prefix in prefixes.items()}
    known |= {prefix: engine for engine, prefix in prefixes.items()}
    found: dict[str, int] = {}
    for match in _LINE.finditer(text):
        engine = known.get(match[1])
        if engine is not None:
            found[engine] = found.get(engine, 0) + 1
    return max(found, key=lambda engine: found[engine]) if found else None


def _plain(prefix: str) -> str:
    return prefix.replace(":", "_")


def page_of(text: str, engine: str) -> Page:
    """Return the series of a page that are read.

    Gateways and exporters that allow no colon in a name write an underscore in its place.
    """
    prefix = metric_table().prefixes[engine]
    plain = _plain(prefix)
    if plain != prefix and prefix not in text:
        text = re.sub(rf"^((?:#[ \t]*[A-Z]{{4}}[ \t]+)?){plain}", rf"\1{prefix}", text, flags=re.MULTILINE)
    return read_page(text, metric_table().names(engine) | _EXTRA.get(engine, frozenset()))


def read_engine_page(text: str, engine: str, gauge: Gauge) -> Sample:
    """Return what an engine's page of metrics says: requests, tokens, cache, speeds, bytes where told."""
    page = page_of(text, engine)
    figures = by_name(page)
    told, notes = read_figures(figures, engine, gauge)
    models = _models(figures, engine, gauge)
    troubles = list(_troubles(page, engine))
    if not told and not models:
        troubles.append(f"the page of {engine} holds none of the figures that are known")
    return Sample(
        engines=(EngineSnapshot(engine, models=models, readings=MappingProxyType(told), notes=notes),),
        troubles=tuple(troubles),
    )


def read_figures(figures: Figures, engine: str, gauge: Gauge) -> tuple[Told, tuple[str, ...]]:
    """Return the readings of a page, and what must not be taken at its word."""
    table = metric_table()
    told: Told = {}
    notes: list[str] = []
    capacity: dict[str, float] = {}
    if engine == "vllm":
        told, notes, capacity = read_cache_config(figures.get(CONFIG, ()), gauge)
    for metric in table.metrics[engine]:
        series = first_named(figures, metric.names)
        if not series:
            continue
        if metric.quantity is Quantity.KV_CACHE_TOKENS:
            capacity = totals(series)[0]
        _enter(told, metric.quantity, read_metric(metric, series, gauge, capacity))
        if engine == "sglang" and is_per_device(metric) and per_rank(metric, series, gauge):
            notes.append(_RANK_NOTE)
        if metric.join == "share" and len(warm_replicas(series)) > 1 and not capacity:
            notes.append(f"{metric.quantity.value} is that of the fullest replica")
    for quotient in table.quotients[engine]:
        reading = read_quotient(quotient, figures, gauge)
        if reading is not None:
            _enter(told, quotient.quantity, reading)
    return told, tuple(dict.fromkeys((*notes, *_doubts(told), *_missing(told, engine, gauge))))


def _enter(told: Told, quantity: Quantity, reading: Reading) -> None:
    """Enter a reading unless a value is there."""
    if not isinstance(told.get(quantity), Value):
        told[quantity] = reading


def _missing(told: Told, engine: str, gauge: Gauge) -> tuple[str, ...]:
    """Enter what a page is known to lack where one would look for it."""
    if engine == "mistral.rs" and Quantity.KV_CACHE_USED in told:
        detail = "the page counts blocks and does not say how many tokens one holds"
        told[Quantity.KV_CACHE_TOKENS] = gauge.absent(Reason.UNSUPPORTED, detail)
    if engine == "tgi" and Quantity.KV_CACHE_TOKENS_USED in told:
        return ("kv_cache_tokens_used is what the running batch may grow to",)
    return ()


def _doubts(told: Told) -> tuple[str, ...]:
    used, whole = (
        number_of(told.get(each)) for each in (Quantity.KV_CACHE_TOKENS_USED, Quantity.KV_CACHE_TOKENS)
    )
    share = number_of(told.get(Quantity.KV_CACHE_USED))
    if used is None or not whole or share is None or abs(used / whole - share) <= _TRUST:
        return ()
    note = (
        f"the engine says that {share:.1%} of its cache is used, and {used:,.0f} tokens of {whole:,.0f},"
        f" which is {used / whole:.1%}; it may have several pools"
    )
    return (note,)


def _models(figures: Figures, engine: str, gauge: Gauge) -> tuple[ModelSnapshot, ...]:
    names = model_names(series for each in figures.values() for series in each)
    ranks: dict[str, Told] = {}
    for metric in metric_table().metrics[engine]:
        if is_per_device(metric):
            for rank, reading in per_rank(metric, first_named(figures, metric.names), gauge).items():
                ranks.setdefault(rank, {})[metric.quantity] = reading
    if len(names) > 1 or not (names or ranks):
        return tuple(ModelSnapshot(name, loaded=True) for name in names)
    return (ModelSnapshot(names[0] if names else "", loaded=True, devices=MappingProxyType(ranks)),)


def _troubles(page: Page, engine: str) -> tuple[str, ...]:
    damaged = f"{page.damaged} damaged lines of the page of {engine} were passed over" if page.damaged else ""
    cut = f"the page of {engine} is larger than is read: its end is missing" if page.cut else ""
    return tuple(text for text in (damaged, cut) if text)
