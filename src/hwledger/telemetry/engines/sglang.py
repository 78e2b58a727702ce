"""SGLang: ``/server_info`` (earlier ``/get_server_info``) and ``/get_model_info``.

Sources: SGLang 0.4 to 0.5.23 ``srt/managers/scheduler.py`` ``get_internal_state`` (one state for each
data-parallel rank; ``memory_usage`` in GiB, rounded), pull 11303 (gRPC).
"""

from types import MappingProxyType
from typing import Any, Final

from hwledger.library.fields import mapping, rows
from hwledger.telemetry.engines.replies import Found, numbers, texts
from hwledger.telemetry.engines.sizes import Devices, Told, named, with_sums
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Gauge, Reason, number_of
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot

ENGINE: Final = "sglang"
_MOST_STATES: Final = 1000
_MEMORY: Final = {
    Quantity.WEIGHTS_BYTES: "weight", Quantity.KV_CACHE_BYTES: "kvcache", Quantity.GRAPH_BYTES: "graph",
}  # fmt: skip
_STATE: Final = {
    Quantity.KV_CACHE_TOKENS: "max_total_num_tokens", Quantity.DECODE_SPEED: "last_gen_throughput",
    Quantity.SLOTS: "effective_max_running_requests_per_dp",
}  # fmt: skip
_BESIDE: Final = 64
"""SGLang takes a few tokens off the context for the longest request (``max_req_input_len``)."""
_NOTES: Final = {
    Quantity.WEIGHTS_BYTES: "bytes are of one of the ranks that share the work, and the sum of replicas",
    Quantity.DECODE_SPEED: "decode_speed is that of the last interval in which it generated",
}


def read_server_info(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return arguments and state: bytes, tokens of the cache, the last speed; replicas are added."""
    info = mapping(reply)
    info = {**info, **mapping(info.get("server_args"))}
    states: list[Found] = list(rows(info.get("internal_states"))[:_MOST_STATES]) or [info]
    by_state: Devices = {str(number): _state(state, gauge) for number, state in enumerate(states)}
    told = with_sums(gauge, by_state, (*_MEMORY, *_STATE))
    told = {**numbers(info, gauge, {Quantity.KV_CACHE_TOKENS: "max_total_num_tokens"}), **told}
    told |= numbers(info, gauge, {Quantity.CONTEXT: "context_length"})
    told |= texts(info, gauge, {Quantity.KV_CACHE_TYPE: "kv_cache_dtype"})
    kind = texts(info, gauge, {Quantity.QUANTISATION: "quantization"})
    of_model = kind or texts(info, gauge, {Quantity.QUANTISATION: "dtype"})
    if not kind and info.get("dtype") == "auto":  # as the checkpoint has it, which is not said
        of_model = {}
    name = named(info.get("served_model_name")) or named(info.get("model_path"))
    return EngineSnapshot(
        ENGINE, named(info.get("version")), readings=MappingProxyType(told),
        models=(ModelSnapshot(name, loaded=True, readings=MappingProxyType(of_model)),) if name else (),
        notes=tuple(note for quantity, note in _NOTES.items() if quantity in told),
    )  # fmt: skip


def _state(state: Found, gauge: Gauge) -> Told:
    memory = dict(mapping(state.get("memory_usage")))
    phases = mapping(memory.get("graph"))
    if phases:
        sizes = [
            each for each in phases.values() if isinstance(each, int | float) and not isinstance(each, bool)
        ]
        memory["graph"] = sum(sizes) if len(sizes) == len(phases) else None
    told = numbers(memory, gauge, {Quantity.KV_CACHE_TOKENS: "token_capacity"})
    return told | numbers(state, gauge, _STATE) | numbers(memory, gauge, _MEMORY, "GiB")


def read_model_info(reply: object, gauge: Gauge) -> EngineSnapshot:
    """Return the model, and its context where what is called so can be one.

    Some versions state the tokens of the whole cache as ``max_context_length``: the longest request tells.
    """
    info = mapping(reply)
    told: Told = {}
    stated = numbers(info, gauge, {Quantity.CONTEXT: "max_context_length"})
    longest = number_of(numbers(info, gauge, {Quantity.CONTEXT: "max_req_input_len"}).get(Quantity.CONTEXT))
    context = number_of(stated.get(Quantity.CONTEXT))
    notes: tuple[str, ...] = ()
    if context is not None and longest is not None and context > longest + _BESIDE:
        detail = (
            f"max_context_length is {context:,.0f}, and no request may be longer than {longest:,.0f} tokens"
        )
        told[Quantity.CONTEXT] = gauge.absent(Reason.UNPARSED, detail)
        told |= numbers(info, gauge, {Quantity.KV_CACHE_TOKENS: "max_context_length"})
        notes = ("what it calls max_context_length are the tokens of its cache",)
    else:
        told |= stated
    name = named(info.get("served_model_name")) or named(info.get("model_path"))
    models = (ModelSnapshot(name, loaded=True),) if name else ()
    return EngineSnapshot(ENGINE, models=models, readings=MappingProxyType(told), notes=notes)


def is_server_info(reply: Any) -> bool:
    """Whether a reply is that of ``/server_info``."""
    found = mapping(reply)
    held = {**found, **mapping(found.get("server_args"))}
    return "mem_fraction_static" in held or ("internal_states" in held and "model_path" in held)


def is_model_info(reply: Any) -> bool:
    """Whether a reply is that of ``/get_model_info``."""
    found = mapping(reply)
    return "is_generation" in found and "model_path" in found and not is_server_info(reply)
