"""Adding up llama.cpp's memory: one component per name and place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hwledger.planner.engines.llama_cpp.compute import ComputeEstimate
from hwledger.planner.engines.llama_cpp.placement import Places
from hwledger.planner.engines.llama_cpp.settings import Settings
from hwledger.planner.engines.llama_cpp.weights import Loads
from hwledger.planner.memory import HOST, Basis, Category, Component, LayerMemory
from hwledger.planner.weights import WeightTable

KV_SOURCE = "llama.cpp b11549 src/llama-kv-cache.cpp, src/llama-kv-cache-iswa.cpp"
STATE_SOURCE = "llama.cpp b11549 src/llama-memory-recurrent.cpp"
OUTPUT_SOURCE = "llama.cpp b11549 src/llama-context.cpp output_reserve"


@dataclass(frozen=True, slots=True)
class Part:
    """One figure on the way to a component."""

    place: int
    size_bytes: int


def weight_parts(loads: Loads, places: Places, layers: int) -> list[Part]:
    """Return the weights of each place; the embedding stays on the host, the first experts may too.

    Args:
        loads: the weights by destination.
        places: where layers and output go.
        layers: layers that are loaded, MTP layers behind the others.
    """
    parts = [Part(HOST, loads.input.host)]
    if places.output != HOST:
        parts.append(Part(places.output, loads.output.device))
    else:
        # on the host a tied output is the embedding itself
        parts.append(Part(HOST, loads.own_output.host))
    for index, place in enumerate(places.layers[:layers]):
        size, experts = loads.layers[index], loads.experts[index]
        parts.append(Part(place, size.host if place == HOST else size.device))
        on_host = place == HOST or index < places.experts_on_host
        parts.append(Part(HOST if on_host else place, experts.host if on_host else experts.device))
    return parts


def cache_parts(settings: Settings, places: Places, memories: Sequence[LayerMemory], kind: str) -> list[Part]:
    """Return the cache (``kv_cache_bytes``) or the state (``state_bytes``) of each place."""
    totals: dict[int, int] = {}
    for index, memory in enumerate(memories):
        place = places.layers[index] if settings.context.offload_kqv else HOST
        totals[place] = totals.get(place, 0) + getattr(memory, kind)
    return [Part(place, size) for place, size in totals.items()]


def gather(parts: Iterable[Part], blank: Component) -> list[Component]:
    """Return one component per place, in order of devices and the host last; empty ones are left out."""
    totals: dict[int, int] = {}
    for part in parts:
        totals[part.place] = totals.get(part.place, 0) + part.size_bytes
    order = sorted(totals, key=lambda place: (place == HOST, place))
    return [replace(blank, place=place, size_bytes=totals[place]) for place in order if totals[place]]


def weight_components(parts: Iterable[Part], table: WeightTable) -> list[Component]:
    """Return the weights with the interval that their source has."""
    blank = Component(
        name="weights", category=Category.WEIGHTS, size_bytes=0, basis=table.basis, source=table.source
    )
    found = gather(parts, blank)
    if table.low == table.high:
        return found
    low, high = table.low / max(1, table.total), table.high / max(1, table.total)
    return [
        replace(one, low_bytes=round(one.size_bytes * low), high_bytes=round(one.size_bytes * high))
        for one in found
    ]


def kv_blank() -> Component:
    """The KV cache, without place and size."""
    return Component(
        name="kv_cache", category=Category.KV_CACHE, size_bytes=0, basis=Basis.EXACT, source=KV_SOURCE
    )


def state_blank() -> Component:
    """The recurrent state, without place and size."""
    return Component(
        name="state", category=Category.STATE, size_bytes=0, basis=Basis.EXACT, source=STATE_SOURCE
    )


def output_component(vocabulary: int, sequences: int) -> Component:
    """Return the buffer that logits are copied to: one row of f32 per sequence, pinned host memory."""
    return Component(
        name="output", category=Category.OUTPUT, size_bytes=vocabulary * 4 * sequences, basis=Basis.EXACT,
        source=OUTPUT_SOURCE, place=HOST,
    )  # fmt: skip


def compute_component(estimate: ComputeEstimate, place: int, *, inputs: bool = False) -> Component:
    """Return a compute buffer; the host's share beside a device holds the graph's inputs."""
    return Component(
        name="host compute" if inputs else "compute",
        category=Category.RUNTIME if inputs else Category.COMPUTE,
        size_bytes=estimate.size_bytes, low_bytes=estimate.low_bytes, high_bytes=estimate.high_bytes,
        basis=estimate.basis, source=estimate.source, place=place,
    )  # fmt: skip
