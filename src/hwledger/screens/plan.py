"""The plan screen: verdict, one line on the engine, a table of components, and what to change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwledger.planner.fit import Change, Verdict
from hwledger.planner.memory import HOST, Basis, Component
from hwledger.planner.plan import LayerPlan, Plan
from hwledger.screens.reading import reading_line
from hwledger.units import format_bytes, format_gib, format_tokens

if TYPE_CHECKING:
    from hwledger.planner.solve.holding import Held
    from hwledger.planner.throughput import Throughput
    from hwledger.screens.holding import LimitRow
    from hwledger.screens.speed import SpeedBlock

VERDICTS = {
    Verdict.FITS: "Fits",
    Verdict.TIGHT: "Fits, but tightly",
    Verdict.DOES_NOT_FIT: "Does not fit",
}
CHANGE_WORDS = {
    "context": "a context of {after} tokens instead of {before}",
    "concurrency": "{after} requests at once instead of {before}",
    "kv_cache": "KV cache in {after} instead of {before}",
    "weights": "weights in {after} instead of {before}",
    "devices": "{after} instead of {before}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the component table: bytes per place, in the order of ``PlanScreen.places``."""

    name: str
    sizes: tuple[int, ...]
    basis: Basis | None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of the layer table; ``share`` is the layer's part of the largest layer, 0 to 1."""

    layer: LayerPlan
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanScreen:
    """Everything that the plan screen shows.

    Attributes:
        verdict: the first line.
        good: whether it is good (True), bad (False) or open (``None``: no device given).
        engine: engine, version, context, concurrency and KV type in one line.
        places: column heads of the table.
        rows: components; the last is the total.
        cache: KV per token and per request, in one line.
        capacity: what the engine's pool holds; empty where it has none.
        changes: what would make it fit, each with its figure.
        not_modelled: what is left out, in one line; empty where nothing is.
        warnings: what the user should know.
        layers: the layer table.
        program: the command or server whose settings these are; empty where there was none.
        read: what was read to know the model; empty where that is not told.
        speed: the speed block; ``None`` where no device was given.
        limits: the limits that were asked, and whether each is met.
    """

    verdict: str
    good: bool | None
    tight: bool
    engine: str
    places: tuple[str, ...]
    rows: tuple[Row, ...]
    cache: str
    capacity: str
    changes: tuple[str, ...]
    not_modelled: str
    warnings: tuple[str, ...]
    layers: tuple[LayerRow, ...]
    program: str
    read: str
    speed: "SpeedBlock | None" = None
    limits: "tuple[LimitRow, ...]" = ()


def plan_screen(
    plan: Plan, throughput: "Throughput | None" = None, held: "Sequence[Held]" = ()
) -> PlanScreen:
    """Return the screen of a plan and, where it was estimated, of its speed and its limits."""
    places = _places(plan)
    speed = _speed(throughput) if throughput else None
    return PlanScreen(
        verdict=_verdict(plan),
        good=None if plan.fit is None else plan.fit.verdict is not Verdict.DOES_NOT_FIT,
        tight=plan.fit is not None and plan.fit.verdict is Verdict.TIGHT,
        engine=_engine(plan),
        places=tuple(name for _, name in places),
        rows=tuple(_rows(plan, [place for place, _ in places])),
        cache=_cache(plan),
        capacity=_capacity(plan),
        changes=tuple(_changes(plan)),
        not_modelled="; ".join(plan.memory.not_modelled),
        warnings=(*plan.spec.unknowns, *plan.memory.warnings),
        layers=tuple(_layer_rows(plan.layers)),
        program=f"As run by: {plan.program}" if plan.program else "",
        read=reading_line(plan.spec),
        speed=speed,
        limits=_limits(held) if held else (),
    )


def _limits(held: "Sequence[Held]") -> "tuple[LimitRow, ...]":
    from hwledger.screens.holding import limit_rows  # noqa: PLC0415 - start-up time

    return limit_rows(held)


def _speed(throughput: "Throughput") -> "SpeedBlock":
    from hwledger.screens.speed import speed_block  # noqa: PLC0415 - start-up time

    return speed_block(throughput)


def _verdict(plan: Plan) -> str:
    total = format_gib(plan.total_bytes - plan.host_bytes)
    if plan.fit is None:
        least = "" if plan.spec.weights_known else "at least "
        return f"Needs {least}{total} of accelerator memory{_host(plan)}"
    word = VERDICTS[plan.fit.verdict]
    room, missing = format_gib(abs(plan.fit.headroom_bytes)), plan.fit.missing
    where = "" if len(plan.devices) == 1 else " on the fullest device"
    if plan.fit.verdict is Verdict.DOES_NOT_FIT and (plan.fit.host_headroom_bytes or 0) < 0:
        return f"{word}: {missing} are missing; needs {total}{_host(plan)}"
    if plan.fit.verdict is Verdict.DOES_NOT_FIT:
        return f"{word}: {room} too much{where}; needs {total}{_host(plan)}"
    return f"{word}: needs {total}, {room} to spare{where}{_host(plan)}"


def _host(plan: Plan) -> str:
    if not plan.host_bytes:
        return ""
    node, room = plan.request.node, plan.host_headroom_bytes
    there = f" ({format_gib(plan.host_bytes + room)} there: {node.name})" if node and room is not None else ""
    return f" and {format_gib(plan.host_bytes)} of host memory{there}"


def _engine(plan: Plan) -> str:
    memory = plan.memory
    users = "1 request" if memory.concurrency == 1 else f"{memory.concurrency} requests at once"
    return (
        f"{plan.spec.id} on {plan.engine} {plan.request.version}: "
        f"context {format_tokens(memory.context_tokens)}, {users}, KV cache {memory.kv_type}"
    )


def _places(plan: Plan) -> list[tuple[int, str]]:
    """Return the places that hold something, and their column heads."""
    used = {component.place for component in plan.memory.components if component.size_bytes}
    names = [(place, f"{place}: {d.name}" if len(plan.devices) > 1 else d.name)
             for place, d in enumerate(plan.devices) if place in used or plan.request.devices]  # fmt: skip
    return [*names, *([(HOST, "host")] if HOST in used else [])]


def _rows(plan: Plan, places: Sequence[int]) -> list[Row]:
    by_name: dict[str, list[Component]] = {}
    for component in plan.memory.components:
        if component.size_bytes:
            by_name.setdefault(component.name, []).append(component)
    rows = [
        Row(name.replace("_", " "), tuple(sum(c.size_bytes for c in parts if c.place == p) for p in places),
            max((c.basis for c in parts), key=list(Basis).index))
        for name, parts in by_name.items()
    ]  # fmt: skip
    total = tuple(sum(row.sizes[column] for row in rows) for column in range(len(places)))
    return [*rows, Row("total", total, None)]


def _cache(plan: Plan) -> str:
    memory = plan.memory
    return (
        f"One more token costs {format_bytes(memory.kv_cache_bytes_per_token)} of KV cache; one request of "
        f"{format_tokens(memory.context_tokens)} tokens takes {format_bytes(memory.bytes_per_request)}"
    )


def _capacity(plan: Plan) -> str:
    capacity = plan.memory.capacity
    if capacity is None:
        return ""
    return (
        f"A KV pool of {format_gib(capacity.kv_pool_bytes)} per rank holds {capacity.max_tokens:,} tokens: "
        f"{capacity.max_concurrency:.2f} requests of {format_tokens(plan.memory.context_tokens)}"
    )


def _changes(plan: Plan) -> Iterator[str]:
    """Yield what would make a plan fit: less kept free, and other settings."""
    if plan.fit is not None and plan.fit.verdict is Verdict.DOES_NOT_FIT:
        from hwledger.planner.reserve import fullest_place, reserve_words  # noqa: PLC0415 - start-up time

        yield from filter(None, (reserve_words(plan, fullest_place(plan)),))
    yield from (_change(change) for change in (plan.fit.changes if plan.fit else ()))


def _change(change: Change) -> str:
    words = CHANGE_WORDS[change.kind].format(before=change.before, after=change.after)
    return f"{words}: {format_gib(change.total_bytes)} in all, {format_gib(change.headroom_bytes)} to spare"


def _layer_rows(layers: Sequence[LayerPlan]) -> list[LayerRow]:
    sizes = [layer.weights_bytes + layer.kv_cache_bytes + layer.state_bytes for layer in layers]
    largest = max(sizes, default=0) or 1
    return [LayerRow(layer, size / largest) for layer, size in zip(layers, sizes, strict=True)]
