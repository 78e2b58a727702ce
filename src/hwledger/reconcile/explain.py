"""Why an engine takes as much as somebody saw: what is seen and planned of it, and the rest; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hwledger.planner.memory import HOST, Basis, Category, Component
from hwledger.planner.plan import Plan
from hwledger.planner.process import Learned
from hwledger.reconcile.memory import BASELINE, expected_of, term_of
from hwledger.reconcile.term import UNEXPLAINED, Expected, Reconciliation, Seen
from hwledger.units import format_bytes, format_tokens

POOL: Final = "kv pool"
SEEN_IS: Final = "seen"
OTHERS_LIKELY: Final = (
    "other processes on the same memory, a second model, a draft, adapters or a vision tower, fragments of"
    " the allocator, or a longer context than was planned"
)
LESS_LIKELY: Final = (
    "a part that was not loaded yet, pages of a mapped file that nobody touched, a shorter context"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One reason.

    Attributes:
        name: the term.
        value, low, high: bytes; alike where it was seen or is exact.
        trust: quality of what was seen, or basis of what is planned.
        source: who says it.
        why: what it hangs on, in one sentence.
    """

    name: str
    value: float
    low: float
    high: float
    trust: str
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A figure and what it is made of.

    Attributes:
        whole: what is to be explained, in bytes.
        where: ``the devices`` or ``the host``.
        lines: the largest first.
        verdict: what follows, in one sentence.
    """

    whole: float
    where: str
    lines: tuple[Line, ...]
    verdict: str

    @property
    def unexplained(self) -> float:
        """What no line explains; negative where they explain more."""
        return self.whole - sum(line.value for line in self.lines)


def explain(whole: float, plan: Plan, baseline: Learned, found: Reconciliation | None = None) -> Explanation:
    """Return what a figure is made of.

    What was seen of a term wins over what was planned for it. Where a plan has devices the figure is taken to
    be theirs together, else the host's.

    Args:
        whole: bytes that somebody saw.
        plan: of what runs.
        baseline: what a process holds of the host beside its plan.
        found: what was seen of it; ``None``: nothing was.
    """
    on_devices = any(part.place != HOST for part in plan.memory.components) and bool(plan.request.devices)
    on_devices = on_devices and plan.request.devices[0].category != "processor"
    lines = list(_lines(plan, found, on_devices=on_devices))
    if not on_devices:
        lines.append(Line(
            BASELINE, baseline.value, baseline.low, baseline.high, baseline.basis.value, baseline.source,
            "the program, its libraries and its heap, whatever the model",
        ))  # fmt: skip
    ordered = tuple(sorted((line for line in lines if line.value), key=lambda line: -line.value))
    where = "the devices" if on_devices else "the host"
    return Explanation(whole, where, ordered, _verdict(whole, ordered))


def _lines(plan: Plan, found: Reconciliation | None, *, on_devices: bool) -> Iterator[Line]:
    planned: dict[str, list[Component]] = {}
    for part in plan.memory.components:
        own = not on_devices and term_of(part) == Category.RUNTIME.value  # the baseline has it
        if not own and (not on_devices or part.place != HOST):
            planned.setdefault(term_of(part), []).append(part)
    elsewhere = {term_of(part) for part in plan.memory.components} if on_devices else set()
    split = {name for name in elsewhere if any(
        part.place == HOST and part.size_bytes for part in plan.memory.components if term_of(part) == name
    )}  # fmt: skip
    seen = {} if found is None else {
        term.name: term.seen for term in found.terms if isinstance(term.seen, Seen) and term.name not in split
    }  # fmt: skip
    for name, parts in planned.items():
        yield _line(name, expected_of(parts), seen.get(name), plan)


def _line(name: str, expected: Expected, seen: Seen | None, plan: Plan) -> Line:
    pool = _pool(plan) if name == Category.KV_CACHE.value else None
    if seen is not None:
        value, low, high = seen.value, seen.value - seen.give, seen.value + seen.give
        return Line(name, value, low, high, seen.quality.value, seen.source, _why(name, plan, pool))
    if pool is not None:
        return Line(POOL, pool, pool, pool, Basis.ASSUMED.value, expected.source, _why(name, plan, pool))
    return Line(
        name, expected.value, expected.low, expected.high, expected.basis.value, expected.source,
        _why(name, plan, None),
    )  # fmt: skip


def _pool(plan: Plan) -> float | None:
    """Return the pool that an engine fills its devices with; ``None``: it allocates what is asked for."""
    capacity = plan.memory.capacity
    return None if capacity is None else float(capacity.kv_pool_bytes * max(1, len(plan.request.devices)))


def _why(name: str, plan: Plan, pool: float | None) -> str:
    """Return what a term hangs on, with the plan's own numbers."""
    memory = plan.memory
    tokens = f"{memory.concurrency} x {format_tokens(memory.context_tokens)} tokens"
    each = format_bytes(memory.kv_cache_bytes_per_token)
    if pool is not None:
        return (
            f"{plan.engine} fills what is left of {memory.usable_share:.0%} of each device with its pool,"
            f" whatever is asked of it; {tokens} need {format_bytes(plan.by_category[Category.KV_CACHE])}"
        )
    words: Mapping[str, str] = {
        "weights": f"the parameters of {plan.spec.id} as they are packed; fewer bits make it less",
        "kv_cache": f"{tokens} at {each} a token ({memory.kv_type}); less context or a smaller type is less",
        "state": "recurrent state: by requests at once, whatever the context",
        "compute": "scratch of one step: by the tokens that are taken in at once and the context",
        "graph": "captured graphs: by how many batch sizes are captured; eager mode has none",
        "output": "scores of the vocabulary: by requests at once",
        "runtime": "the driver's context and the engine's own buffers, whatever the model",
    }
    return words.get(name, "")


def _verdict(whole: float, lines: tuple[Line, ...]) -> str:
    low, high = sum(line.low for line in lines), sum(line.high for line in lines)
    between = f"{format_bytes(low)} to {format_bytes(high)} are explained"
    if low > high or not lines:
        return "nothing is known that explains it"
    if whole > high:
        return f"{between}: at least {format_bytes(whole - high)} are something else: {OTHERS_LIKELY}"
    if whole < low:
        return f"{between}, which is more than was seen: {LESS_LIKELY}"
    return f"{between}: it is as much as is to be expected"


def explanation_document(found: Explanation) -> dict[str, Any]:
    """Return an explanation for JSON."""
    return {
        "whole_bytes": found.whole, "where": found.where, UNEXPLAINED: found.unexplained,
        "verdict": found.verdict,
        "lines": [
            {"name": line.name, "bytes": line.value, "interval": [line.low, line.high], "trust": line.trust,
             "source": line.source, "why": line.why}
            for line in found.lines
        ],
    }  # fmt: skip
