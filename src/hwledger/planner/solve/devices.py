"""Which devices, how many, in which types: a whole catalogue looked through, answers planned again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Final

import numpy as np

from hwledger.device.spec import DeviceSpec
from hwledger.planner.solve.answer import Answer, Refused, Solution, tight, why_not
from hwledger.planner.solve.arrivals import Arrivals
from hwledger.planner.solve.blocks import Block, Devices, blocks
from hwledger.planner.solve.choices import counts_on, engine_runs_on, layout_words, type_choices
from hwledger.planner.solve.cost import OWNED, RENT, cost_of
from hwledger.planner.solve.front import Rows, front_of, spread
from hwledger.planner.solve.limits import LABELS, OF_MEMORY
from hwledger.planner.solve.numbers import resident_tokens
from hwledger.planner.solve.pace import Paces
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS
from hwledger.planner.solve.question import Measured, Progress, Question, measure
from hwledger.planner.solve.table import ENGINE, Table, table_of
from hwledger.planner.solve.types import evidence_notes
from hwledger.planner.weights import weigh

SHOWN_FRONT: Final = 16
AT_ONCE: Final = (4, 16, 64, 256)
"""Requests at once at which arrivals are looked at where the devices are not known."""
TRIES: Final = 8
"""Candidates that are planned again until one holds; the arrays and the plans agree, so the first does."""


def solve_devices(question: Question, unknowns: Sequence[str], progress: Progress | None = None) -> Answer:
    """Return the fewest, the cheapest, the fastest and the least lossy devices that hold every limit.

    Args:
        question: its catalogue are the devices to choose from; its own devices where that is empty.
        unknowns: what is varied: ``devices``, ``weights``, ``kv-cache``; layouts always are.
        progress: is told how many sets of devices of how many are planned.
    """
    if question.arrivals is not None:
        return _for_arrivals(question, question.arrivals, unknowns, progress)
    sets = _sets(question, unknowns)
    weights = _types(question, WEIGHTS, varied="weights" in unknowns)
    kv_caches = _types(question, KV_CACHE, varied="kv-cache" in unknowns)
    paces = Paces(question) if question.estimator else None
    made = _told(blocks(question, sets, weights, kv_caches), len(sets), progress)
    pairs = [(block, paces.of(block) if paces else None) for block in made]
    if not pairs:
        return _refused_by_engine(question, unknowns, sets)
    output = question.output.mean if question.output else 1.0
    return _answer(question, unknowns, table_of(pairs, question.limits, output))


def _for_arrivals(
    question: Question, arrivals: Arrivals, unknowns: Sequence[str], progress: Progress | None
) -> Answer:
    """Devices that keep up with arrivals: looked for at several numbers of requests at once.

    How many are there at once depends on the device (Little's law), so that each number of ``AT_ONCE`` is
    tried: devices hold that answer so many requests at once at least as fast as they arrive, within the
    limits. The fewest requests at once that hold anything are taken, which is the least waiting.
    """
    limits = replace(question.limits, min_requests_per_second=arrivals.requests_per_second)
    answers = []
    for users in AT_ONCE:
        tokens = resident_tokens(arrivals.prompt, arrivals.output, users, question.seed)
        request = question.vary(question.request, context=tokens, concurrency=users)
        closed = replace(
            question,
            request=request,
            limits=limits,
            arrivals=None,
            prompt=arrivals.prompt,
            output=arrivals.output,
        )
        found = solve_devices(closed, unknowns, progress)
        note = (
            f"planned for {users} requests at once, {tokens:,} tokens of cache each (99th percentile), that "
            f"are answered as fast as {arrivals.requests_per_second:g} per second arrive"
        )
        answers.append(replace(found, notes=(note, *found.notes)))
    return _merged(answers)


def _merged(answers: Sequence[Answer]) -> Answer:
    """The best of each kind over several numbers of requests at once, and what they looked at together."""
    best: dict[str, Solution] = {}
    for answer in answers:
        for solution in answer.solutions:
            known = best.get(solution.kind)
            if known is None or _order(solution) < _order(known):
                best[solution.kind] = solution
    first = next((answer for answer in answers if answer.holds), answers[-1])
    return replace(
        first, solutions=tuple(best.values()), searched=sum(answer.searched for answer in answers),
        nearest=None if best else first.nearest,
    )  # fmt: skip


def _order(solution: Solution) -> tuple[float, ...]:
    """What a kind of solution is best in, lower being better."""
    measured, count = solution.measured, solution.number or 0.0
    price, owned = (
        inf if one is None else one for one in (measured.cost.price_per_hour, measured.cost.owned_per_hour)
    )
    slow = 1 / measured.users_per_second if measured.users_per_second else inf
    orders = {
        "devices-fewest": (count, price),
        "devices-cheapest": (price, count),
        "devices-cheapest-owned": (owned, count),
        "devices-fastest": (slow, price),
    }
    return orders.get(solution.kind, (price, count))


def _sets(question: Question, unknowns: Sequence[str]) -> list[Devices]:
    if "devices" not in unknowns or not question.catalogue:
        return [question.request.devices]
    engine = question.profile.name
    return [
        (device,) * count
        for count in counts_on(engine)
        for device in question.catalogue
        if engine_runs_on(engine, device, count) and _there(question, count)
    ]


def _there(question: Question, count: int) -> bool:
    """Whether so many devices are in the node that was named; without one there are as many as are asked."""
    node = question.request.node
    return node is None or count <= len(node.devices)


def _types(question: Question, kind: str, *, varied: bool) -> tuple[str | None, ...]:
    if not varied:
        return (None,)
    names = [choice.name for choice in type_choices(question.profile.name, kind)]
    spec = question.request.spec
    if kind == WEIGHTS:
        names = [name for name in names if weigh(spec, name).total < weigh(spec).total]
    return (None, *names)


def _told(made: Iterable[Block], total: int, progress: Progress | None) -> Iterator[Block]:
    seen: set[tuple[int, ...]] = set()
    done = 0
    for block in made:
        key = tuple(id(devices) for devices in block.sets)
        if key not in seen:
            seen.add(key)
            done += len(block.sets)
        if progress:
            progress(min(done, total), total)
        yield block


def _answer(question: Question, unknowns: Sequence[str], table: Table) -> Answer:
    misses = table.misses
    holding = np.flatnonzero(misses == 0)
    if question.estimator:  # where speeds are asked for, the fastest is among those whose speed is known
        holding = holding[np.argsort(np.isnan(table.tpot[holding]), kind="stable")]
    refused = tuple(_refused(question, table, misses))
    counts = tuple((name, int((over > 0).sum())) for name, over in table.excess.items() if (over > 0).any())
    common = Answer(
        unknowns=tuple(unknowns), refused=refused, searched=len(misses), refusals=counts,
        notes=_notes(question, table, holding),
    )  # fmt: skip
    if not len(holding):
        row = _nearest(table, misses)
        return replace(
            common, nearest=_solution(question, table, row, "devices-fewest") if row is not None else None
        )
    solutions = tuple(_solutions(question, unknowns, table, holding))
    return replace(common, solutions=solutions, front=tuple(_front(question, table, holding)))


def _solutions(question: Question, unknowns: Sequence[str], table: Table, rows: Rows) -> Iterator[Solution]:
    price = np.where(np.isnan(table.price), np.inf, table.price)
    owned = np.where(np.isnan(table.owned), np.inf, table.owned)
    tpot = np.where(np.isnan(table.tpot), np.inf, table.tpot)
    orders = {
        "quality": (tpot, price, table.count, table.rank),
        "devices-fewest": (tpot, table.rank, price, table.count),
        "devices-cheapest": (tpot, table.rank, table.count, price),
        "devices-cheapest-owned": (tpot, table.rank, table.count, owned),
        "devices-fastest": (price, table.rank, tpot),
    }  # fmt: skip
    kinds = {"quality"} if {"weights", "kv-cache"} & set(unknowns) else set()
    kinds |= {"devices-fewest", "devices-cheapest"} if "devices" in unknowns else set()
    limits = question.limits
    if "devices" in unknowns and limits.price_kind == RENT and limits.max_price_per_hour is None:
        kinds.add("devices-cheapest-owned")
    wanted = [kind for kind in orders if kind in kinds | {"devices-fastest"}]
    for kind in wanted:
        if kind == "devices-cheapest" and not np.isfinite(price[rows]).any():
            continue
        if kind == "devices-cheapest-owned" and not np.isfinite(owned[rows]).any():
            continue
        if kind == "devices-fastest" and not np.isfinite(tpot[rows]).any():
            continue
        order = np.lexsort(tuple(column[rows] for column in orders[kind]))
        found = _first_holding(question, table, rows[order[:TRIES]], kind)
        if found:
            yield found


def _first_holding(question: Question, table: Table, rows: Rows, kind: str) -> Solution | None:
    for row in rows:
        solution = _solution(question, table, int(row), kind)
        if solution.measured.holds:
            return solution
    return None


def _solution(question: Question, table: Table, row: int, kind: str) -> Solution:
    block, index = table.index(row)
    measured = measure(question, block.request_of(question, index))
    if kind.endswith("-owned"):
        measured = replace(measured, cost=cost_of(measured.request.devices, OWNED))
    weights, kv = block.weights[index[1]], block.kv_caches[index[2]]
    notes = [*evidence_notes(WEIGHTS, weights), *evidence_notes(KV_CACHE, kv)]
    notes += measured.cost.sources[:1]
    notes += measured.cost.unknown
    if measured.throughput:
        notes += [*measured.throughput.warnings, *measured.throughput.unknown]
    if tight(measured):
        notes.append("tight: by the upper end of the estimate it does not fit")
    return Solution(
        kind=kind, value=candidate_words(block, index), measured=measured, number=float(len(block.sets[0])),
        notes=tuple(notes), limited_by=() if measured.holds else (why_not(measured),),
    )  # fmt: skip


def candidate_words(block: Block, index: tuple[int, int, int]) -> str:
    """Return a candidate in words: ``2x RTX 4090, TP 2, awq, KV fp8``."""
    devices, weights, kv = index
    parts = [devices_words(block.sets[devices]), layout_words(block.layout), block.weights[weights] or ""]
    parts.append(f"KV {block.kv_caches[kv]}" if block.kv_caches[kv] else "")
    return ", ".join(part for part in parts if part)


def devices_words(devices: Sequence[DeviceSpec]) -> str:
    """Return devices as people write them: ``2x RTX 4090``, ``RTX 3090 + RTX 3060``."""
    counts: dict[str, int] = {}
    for device in devices:
        counts[device.name] = counts.get(device.name, 0) + 1
    return " + ".join(f"{n}x {name}" if n > 1 else name for name, n in counts.items()) or "any device"


def _front(question: Question, table: Table, rows: Rows) -> Iterator[Solution]:
    known = rows[np.isfinite(table.tpot[rows])] if question.estimator else rows
    found = front_of(table, known if len(known) else rows)
    points = np.stack([table.price[found], table.tpot[found], table.total[found]], axis=1)
    points[:, 0] = np.where(np.isnan(points[:, 0]), np.inf, points[:, 0])
    chosen = found[spread(points, SHOWN_FRONT)]
    for row in chosen[np.argsort(table.tpot[chosen], kind="stable")]:
        solution = _solution(question, table, int(row), "devices-fastest")
        if solution.measured.holds:
            yield solution


def _nearest(table: Table, misses: Rows) -> int | None:
    """Of the rows that an engine runs: one that fits, then that misses fewest limits, then least of them."""
    total = sum(np.where(np.isfinite(over), over, 1e9) for over in table.excess.values())
    able = table.excess[ENGINE] == 0
    rows = np.flatnonzero(able)
    if not len(rows):
        return None
    unfit = np.any([table.excess[name] > 0 for name in OF_MEMORY & table.excess.keys()], axis=0)
    return int(rows[np.lexsort((table.rank[rows], np.asarray(total)[rows], misses[rows], unfit[rows]))[0]])


def _refused(question: Question, table: Table, misses: Rows) -> Iterator[Refused]:
    """The nearest miss of each limit: among candidates that miss fewest others, the least over."""
    for over in table.excess.values():
        rows = np.flatnonzero(np.isfinite(over) & (over > 0) & (table.excess[ENGINE] == 0))
        if not len(rows):
            continue
        row = int(rows[np.lexsort((table.rank[rows], over[rows], misses[rows]))[0]])
        block, index = table.index(row)
        measured = measure(question, block.request_of(question, index))
        yield Refused(what=candidate_words(block, index), misses=measured.misses, why=why_not(measured))


def _notes(question: Question, table: Table, rows: Rows) -> tuple[str, ...]:
    notes = []
    node = question.request.node
    if node is not None and not len(rows):
        notes.append(f"{node.name} has {devices_words(node.devices)}: more are not tried")
    if question.estimator is None:
        notes.append("speeds are not estimated")
    elif len(rows) and np.isnan(table.tpot[rows]).any():
        notes.append(f"the speed of {int(np.isnan(table.tpot[rows]).sum()):,} ways that fit is not known")
    unpriced = int(np.isnan(table.price[rows]).sum()) if len(rows) else 0
    if unpriced:
        kind = {RENT: "rent", OWNED: "purchase price"}[question.limits.price_kind]
        notes.append(f"no {kind} is known of {unpriced:,} of {len(rows):,} ways that hold")
    runs = table.excess[ENGINE] == 0
    for name, over in table.excess.items():
        runs &= ~(over > 0) if name in OF_MEMORY else True
    for name, over in table.excess.items():
        unknown = int(np.isinf(over[runs]).sum())
        if unknown and name != ENGINE:
            notes.append(f"{LABELS[name]} is not known of {unknown:,} candidates: they are not taken")
    return tuple(notes)


def _refused_by_engine(question: Question, unknowns: Sequence[str], sets: Sequence[Devices]) -> Answer:
    """No way was planned: the engine refuses each, or runs on none of the devices."""
    ways: list[Measured] = [measure(question, question.vary(question.request, devices=d)) for d in sets[:1]]
    why = why_not(ways[0]) if ways else f"{question.profile.name} runs on none of the devices"
    what = devices_words(sets[0]) if sets else "every device"
    return Answer(
        unknowns=tuple(unknowns), refused=(Refused(what=what, misses=(), why=why),), searched=len(sets)
    )
