"""vLLM's ``cache_config_info``: what its labels say of the KV cache, and what does not follow from them."""

from collections.abc import Mapping, Sequence
from typing import Final

from hwledger.library.serving.metrics import Series
from hwledger.telemetry.engines.counted import replica_of
from hwledger.telemetry.parsing import checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason

CONFIG: Final = "vllm:cache_config_info"
_HYBRID: Final = ("mamba_block_size", "mamba_page_size_padded", "skip_page_size_padded")
"""Labels that say something only where layers cache differently (vLLM ``vllm/config/cache.py``)."""
_LONGEST: Final = 18


def read_cache_config(
    series: Sequence[Series], gauge: Gauge
) -> tuple[dict[Quantity, Reading], list[str], dict[str, float]]:
    """Return what the labels say, what must not be taken at its word, and the tokens of each replica.

    Tokens are ``kv_cache_size_tokens`` (vLLM from 0.24). Earlier versions state blocks and their size, whose
    product are tokens only where all layers cache alike: of hybrid models the size is the least of several
    groups, and nothing follows (vLLM issue 51163).
    """
    told: dict[Quantity, Reading] = {}
    if not series:
        return told, [], {}
    labels = {replica_of(each): each.labels for each in series}
    kinds = tuple(dict.fromkeys(kind for each in labels.values() if (kind := _said(each, "cache_dtype"))))
    if kinds:
        told[Quantity.KV_CACHE_TYPE] = gauge(Quantity.KV_CACHE_TYPE, ", ".join(kinds)[:80])
    stated = {name: _whole(each, "kv_cache_size_tokens") for name, each in labels.items()}
    tokens = {name: float(value) for name, value in stated.items() if value is not None}
    if len(tokens) == len(labels):
        of = gauge if len(tokens) == 1 else Gauge(gauge.source, gauge.at, Basis.DERIVED)
        told[Quantity.KV_CACHE_TOKENS] = checked(of, Quantity.KV_CACHE_TOKENS, sum(tokens.values()))
        return told, _settings(labels), tokens
    reading, notes, tokens = _from_blocks(labels, gauge)
    told[Quantity.KV_CACHE_TOKENS] = reading
    return told, [*notes, *_settings(labels)], tokens


def warm_replicas(series: Sequence[Series]) -> set[str]:
    """Return the replicas that say a number."""
    return {replica_of(each) for each in series if each.value is not None}


def _from_blocks(
    labels: Mapping[str, Mapping[str, str]], gauge: Gauge
) -> tuple[Reading, list[str], dict[str, float]]:
    found: dict[str, float] = {}
    for name, each in labels.items():
        blocks, size = _whole(each, "num_gpu_blocks"), _whole(each, "block_size")
        why = _why_not(each, blocks, size)
        if why or blocks is None or size is None:
            return why or gauge.absent(Reason.UNPARSED, "blocks of the cache are no number"), [], {}
        found[name] = float(blocks * size)
    reading = checked(
        Gauge(gauge.source, gauge.at, Basis.DERIVED), Quantity.KV_CACHE_TOKENS, sum(found.values())
    )
    note = "kv_cache_tokens is blocks times their size, which holds where all layers of the model cache alike"
    return reading, [note], found


def _why_not(labels: Mapping[str, str], blocks: int | None, size: int | None) -> Reading | None:
    source = "vLLM /metrics"
    absent = Gauge(source).absent
    if any(_said(labels, name) for name in _HYBRID):
        return absent(
            Reason.UNSUPPORTED, "its layers cache differently: blocks and their size tell no tokens"
        )
    if _said(labels, "is_attention_free") == "True":
        return absent(Reason.UNSUPPORTED, "the model has no attention, so no cache of tokens")
    if blocks is None:
        said = labels.get("num_gpu_blocks")
        detail = (
            "it does not state the blocks of its cache"
            if said is None
            else f"num_gpu_blocks is {said[:40]!r}"
        )
        return absent(Reason.UNSUPPORTED if said in {None, "None"} else Reason.UNPARSED, detail)
    if size is None:
        return absent(Reason.UNSUPPORTED, f"block_size is {labels.get('block_size', 'not stated')[:40]!r}")
    if size & (size - 1):
        detail = f"blocks of {size} tokens are those of a hybrid model: they and their size tell no tokens"
        return absent(Reason.UNSUPPORTED, detail)
    return None


def _settings(labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what was set by hand and explains the size of the cache."""
    first = next(iter(labels.values()))
    names = ("num_gpu_blocks_override", "kv_cache_memory_bytes", "gpu_memory_utilization")
    said = [f"{name} = {value[:40]}" for name in names if (value := _said(first, name))]
    return [f"the cache was made with {', '.join(said)}"] if said else []


def _said(labels: Mapping[str, str], name: str) -> str:
    """Return what a label says; empty for ``None`` and for no label."""
    value = labels.get(name, "").strip()
    return "" if value in {"None", ""} or not value.isprintable() else value


def _whole(labels: Mapping[str, str], name: str) -> int | None:
    value = _said(labels, name)
    plain = value.isascii() and value.isdigit() and len(value) <= _LONGEST
    return int(value) or None if plain else None
