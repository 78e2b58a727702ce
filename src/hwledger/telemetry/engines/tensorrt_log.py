"""TensorRT-LLM's log: the cache from which it serves, and the context.

Sources: TensorRT-LLM 0.9 to 1.2 ``cpp/tensorrt_llm/batch_manager/kvCacheManager.cpp`` (``Allocated … for max
tokens in paged KV cache``) and ``tensorrt_llm/_torch/pyexecutor`` (``max_seq_len=``). The last cache counts:
the one before it is made to try how much memory a run takes.
"""

import re
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.engines.sizes import Told, explained
from hwledger.telemetry.parsing import measured
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot, Sample

ENGINE: Final = "tensorrt-llm"
SOURCE: Final = "TensorRT-LLM log"
_CACHE: Final = re.compile(
    r"Allocated (?P<kv_cache_bytes>[0-9]{1,9}(?:\.[0-9]{1,4})? GiB) for max tokens in paged KV cache"
    r" \((?P<kv_cache_tokens>[0-9]{1,12})\)"
)
_CONTEXT: Final = re.compile(r"\[I\] max_seq_len=([0-9]{1,12}), max_num_requests=")
_LONGEST_LINE: Final = 20_000
_NOTE: Final = "bytes are those of one rank: TensorRT-LLM prints them for each"


def is_tensorrt_log(text: str) -> bool:
    """Whether a text is a log of TensorRT-LLM's server."""
    return any(each.search(text) for each in (_CACHE, _CONTEXT))


def read_tensorrt_log(text: str) -> Sample:
    """Return what a log says last: bytes and tokens of the cache, and the context."""
    gauge = Gauge(SOURCE, basis=Basis.LOGGED)
    said: dict[Quantity, str] = {}
    for line in text.split("\n"):
        short = line[:_LONGEST_LINE]
        if found := _CACHE.search(short):
            said |= {Quantity(name): value for name, value in found.groupdict().items()}
        elif found := _CONTEXT.search(short):
            said[Quantity.CONTEXT] = found[1]
    told: Told = {quantity: measured(gauge, quantity, value) for quantity, value in said.items()}
    cache = told.pop(Quantity.KV_CACHE_BYTES, None)
    held = {} if cache is None else {Quantity.KV_CACHE_BYTES: cache}
    model = ModelSnapshot("", loaded=True if held else None, readings=MappingProxyType(held))
    engine = EngineSnapshot(
        ENGINE, models=(model,), readings=MappingProxyType(told), notes=(_NOTE,) if held else ()
    )
    return explained(Sample(engines=(engine,)), SOURCE, "it says nothing of memory")
