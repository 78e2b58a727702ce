"""Candidates as columns: memory, speed, price, power and quality, and how each misses each limit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwledger.device.node import host_room_bytes
from hwledger.planner.solve.blocks import Block
from hwledger.planner.solve.cost import OWNED, cost_of
from hwledger.planner.solve.limits import LOWER, MEMORY, NODE_HOST, Limits
from hwledger.planner.solve.pace import Pace
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS, evidence_of, is_plain

Array = NDArray[np.float64]
ENGINE: Final = "engine"
"""Name under which a type that a device does not run is counted."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """All candidates, one a row.

    Attributes:
        blocks: where they are from.
        block, place: number of the block, and place in its arrays flattened.
        count: devices.
        total: bytes over devices and host.
        tpot: seconds between two tokens; not a number: not known.
        price, owned, watts: of all devices together; not a number: not known. ``price`` is of the kind that
            counts, ``owned`` that of bought devices.
        quality: number of the pair of types, into ``types``; rank: how good it is, 0 the best.
        types: pairs of weights and cache type.
        excess: by limit: how far it is missed as a share of it, 0 where it holds, infinite where the
            figure is not known.
    """

    blocks: tuple[Block, ...]
    block: NDArray[np.int64]
    place: NDArray[np.int64]
    count: NDArray[np.int64]
    total: Array
    tpot: Array
    price: Array
    owned: Array
    watts: Array
    quality: NDArray[np.int64]
    rank: Array
    types: tuple[tuple[str | None, str | None], ...]
    excess: dict[str, Array]

    @property
    def misses(self) -> NDArray[np.int64]:
        """How many limits each candidate misses."""
        found = np.zeros(len(self.block), dtype=np.int64)
        for values in self.excess.values():
            found += values > 0
        return found

    def index(self, row: int) -> tuple[Block, tuple[int, int, int]]:
        """Return the block of a row and its place there."""
        block = self.blocks[self.block[row]]
        devices, weights, kv = np.unravel_index(int(self.place[row]), block.missing.shape)
        return block, (int(devices), int(weights), int(kv))


def table_of(pairs: Iterable[tuple[Block, Pace | None]], limits: Limits, output_tokens: float = 1.0) -> Table:
    """Return the candidates of blocks as columns; answers are ``output_tokens`` long where arrivals count."""
    blocks, columns = [], []
    types: dict[tuple[str | None, str | None], int] = {}
    costs: dict[int, _Costs] = {}  # by sets, which the layouts of a class share
    for number, (block, pace) in enumerate(pairs):
        blocks.append(block)
        if id(block.sets) not in costs:
            costs[id(block.sets)] = _costs(block, limits.price_kind)
        cost = costs[id(block.sets)]
        columns.append(_columns(number, block, pace, cost, limits, types, output_tokens))
    names = tuple(types)
    joined = {key: np.concatenate([one[key] for one in columns]) for key in columns[0]} if columns else {}
    ranks = _ranks(names)
    quality = joined["quality"].astype(np.int64)
    return Table(
        blocks=tuple(blocks), block=joined["block"].astype(np.int64), place=joined["place"].astype(np.int64),
        count=joined["count"].astype(np.int64), total=joined["total"], tpot=joined["tpot"],
        price=joined["price"], owned=joined["owned"], watts=joined["watts"], quality=quality,
        rank=ranks[quality], types=names,
        excess={key.removeprefix("over "): joined[key] for key in joined if key.startswith("over ")},
    )  # fmt: skip


def _columns(  # noqa: PLR0913, PLR0917 - one place builds the columns
    number: int,
    block: Block,
    pace: Pace | None,
    costs: "_Costs",
    limits: Limits,
    types: dict[tuple[str | None, str | None], int],
    output_tokens: float,
) -> dict[str, Array]:
    shape = block.missing.shape
    unknown = np.full(shape, np.nan)
    ttft, tpot = (pace.ttft, pace.tpot) if pace else (unknown, unknown)
    price, owned, watts = (np.broadcast_to(each, shape) for each in costs)
    kinds = np.array([
        [types.setdefault((weights, kv), len(types)) for kv in block.kv_caches] for weights in block.weights
    ])  # fmt: skip
    made = {
        "block": np.full(shape, number), "place": np.arange(block.size).reshape(shape),
        "count": np.full(shape, len(block.sets[0])), "total": block.total, "tpot": tpot,
        "price": price, "owned": owned, "watts": watts, "quality": np.broadcast_to(kinds, shape),
    }  # fmt: skip
    served = block.request.workload.concurrency / (ttft + (output_tokens - 1) * tpot)
    speeds = {"ttft_seconds": ttft, "tpot_seconds": tpot, "min_requests_per_second": served}
    paid = {"max_price_per_hour": price, "max_watts": watts}
    made |= {f"over {name}": values for name, values in _excesses(block, limits, {**speeds, **paid})}
    return {key: np.asarray(value, dtype=float).ravel() for key, value in made.items()}


_Costs = tuple[Array, Array, Array]


def _costs(block: Block, kind: str) -> _Costs:
    """Price, price of the owned, and watts of each set, shape (sets, 1, 1)."""
    costs = (
        [cost_of(devices[:1]) for devices in block.sets]
        if _alike(block)
        else [cost_of(d) for d in block.sets]
    )
    times = len(block.sets[0]) if _alike(block) else 1

    def column(values: Sequence[float | None]) -> Array:
        known = np.array([np.nan if value is None else value * times for value in values])
        return known[:, None, None]

    price, owned = (column([one.of(name) for one in costs]) for name in (kind, OWNED))
    return price, owned, column([one.watts for one in costs])


def _alike(block: Block) -> bool:
    return all(device is block.sets[0][0] for device in block.sets[0])


def _excesses(block: Block, limits: Limits, figures: dict[str, Array]) -> Iterable[tuple[str, Array]]:
    held = block.missing + block.usable
    got, wanted = held, block.usable
    left = block.usable > 0
    if not left.all():  # where a reserve leaves nothing, it is held together with the part
        whole = np.array([[[max(1, min(d.usable_bytes for d in members))]] for members in block.sets])
        got, wanted = np.where(left, held, held + limits.reserve_bytes), np.where(left, block.usable, whole)
    yield MEMORY, _over(got.astype(float), np.maximum(1, wanted).astype(float))
    yield ENGINE, np.where(block.runs, 0.0, np.inf)
    with np.errstate(divide="ignore"):
        speeds = 1 / figures["tpot_seconds"]
    room = host_room_bytes(block.request.node, block.sets[0], block.total - block.host)
    if room is not None:
        yield NODE_HOST, _over(block.host.astype(float), np.maximum(1.0, room))
    more = {"ram_bytes": block.host.astype(float), "min_tokens_per_second": speeds}
    for name, values in {**more, **figures}.items():
        wanted = getattr(limits, name)
        if wanted is not None:
            yield name, _over(values, np.full_like(values, wanted), lower=name in LOWER)


def _over(got: Array, wanted: Array, *, lower: bool = False) -> Array:
    """How far a limit is missed as a share, 0 where it holds, infinite where the figure is not known."""
    ratio = wanted / got if lower else got / wanted
    return np.where(np.isnan(ratio), np.inf, np.maximum(0.0, ratio - 1))


def _ranks(types: Sequence[tuple[str | None, str | None]]) -> Array:
    """Rank of each pair of types, 0 the best: weights first, by published loss where one test has both."""
    order = sorted(
        range(len(types)), key=lambda i: (_loss(WEIGHTS, types[i][0], i), _loss(KV_CACHE, types[i][1], i))
    )
    ranks = np.empty(len(types))
    ranks[order] = np.arange(len(types))
    return ranks


def _loss(kind: str, name: str | None, place: int) -> tuple[float, float]:
    """Published loss, else the place in the table of types, which has the largest first."""
    if is_plain(kind, name):
        return 0.0, 0.0
    known = [one.loss for one in evidence_of(kind, name) if one.metric == "kl_divergence"]
    return (1.0, known[0]) if known else (1.0, float(place))
