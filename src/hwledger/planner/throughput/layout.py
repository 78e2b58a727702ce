"""Which part of a model each device of a plan runs, and which the host."""

from dataclasses import dataclass
from functools import lru_cache

from hwledger.planner.memory import HOST, Category
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.terms import WHOLE, Share


@dataclass(frozen=True, slots=True)
class Layout:
    """Shares of a model.

    Attributes:
        devices: share of each device that takes part, with its number in the plan.
        host: share of the host; ``None`` where it runs nothing.
        copied: large batches copy the host's weights to a device instead of multiplying there.
    """

    devices: tuple[tuple[int, Share], ...]
    host: Share | None = None
    copied: bool = True


def layout_of(plan: Plan) -> Layout:
    """Return the layout of a plan on llama.cpp, or of one device on any other engine."""
    if plan.engine != "llama.cpp":
        return Layout(((0, WHOLE),))
    from hwledger.planner.engines.llama_cpp.dialect import dialect_of  # noqa: PLC0415 - start-up time
    from hwledger.planner.engines.llama_cpp.placement import place  # noqa: PLC0415
    from hwledger.planner.engines.llama_cpp.settings import build_number, settle  # noqa: PLC0415

    request = plan.request
    settings = settle(request, dialect_of(request.spec, build_number(request.version)))
    count = len(request.spec.layers)
    places = place(settings, request.devices, count + len(request.spec.mtp_layers))
    return _shared(
        places.layers[:count], places.output, places.experts_on_host,
        cached=settings.context.offload_kqv, copied=settings.op_offload,
    )  # fmt: skip


def uses_host(plan: Plan) -> bool:
    """Return whether decoding reads layers from host memory, or runs them there; embeddings do not count."""
    if plan.engine == "llama.cpp":
        return layout_of(plan).host is not None
    return any(c.place == HOST and c.category is Category.WEIGHTS for c in plan.memory.components)


@lru_cache(maxsize=1024)
def _shared(
    layers: tuple[int, ...], output: int, experts_on_host: int, *, cached: bool, copied: bool
) -> Layout:
    """Return the shares of places, layers counted alike."""
    count = max(1, len(layers))
    found: list[tuple[int, Share]] = []
    for number in sorted({*layers, output, HOST}):
        own = [index for index, at in enumerate(layers) if at == number]
        routed = sum(index >= experts_on_host for index in own)
        if number == HOST:
            routed = len(own) + sum(at != HOST for at in layers[:experts_on_host])
        cache = len(own) / count if cached else float(number == HOST)
        share = Share(
            layers=len(own) / count, experts=routed / count, cache=cache, head=float(output == number)
        )
        if share.layers or share.experts or share.cache or share.head:
            found.append((number, share))
    host = next((share for number, share in found if number == HOST), None)
    return Layout(tuple(one for one in found if one[0] != HOST), host, copied)
