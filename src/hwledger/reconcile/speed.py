"""Speed and capacity: tokens and tokens per second, planned beside seen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.reconcile.memory import seen_of
from hwledger.reconcile.term import Expected, Seen, Term, Unknown
from hwledger.telemetry.quantity import Quantity, Unit
from hwledger.telemetry.reading import number_of
from hwledger.telemetry.snapshot import EngineSnapshot, HostSnapshot

if TYPE_CHECKING:
    from hwledger.planner.throughput import Figure, Throughput

NO_SPEED: Final = "no speed was planned"
BUSY_SHARE: Final = 0.7
"""Load per core from which on speeds are not judged: shared cores took llama.cpp from 78 to 2 tokens/s."""
OTHERS_SHARE: Final = 0.1
"""Share of all cores from which on others disturb: engines wait for the slowest of their threads."""


def speed_terms(
    fast: "Throughput | None",
    prefill: Seen | Unknown,
    decode: Seen | Unknown,
    why: str = NO_SPEED,
    doubt: str = "",
) -> tuple[Term, Term]:
    """Return prefill and decode in tokens per second.

    Args:
        fast: the planned speed under the traffic that ran; ``None`` where none was planned.
        prefill: what was timed of one prompt.
        decode: what was timed of one answer.
        why: why no speed was planned.
        doubt: why what was timed judges nothing; empty where it does.
    """
    why = "; ".join(fast.unknown) if fast and fast.unknown else why
    figures = (fast.prefill_tokens_per_second, fast.decode_tokens_per_second) if fast else (None, None)
    return (
        Term("prefill", Unit.TOKENS_PER_SECOND, _figure(figures[0], why), prefill, doubt),
        Term("decode", Unit.TOKENS_PER_SECOND, _figure(figures[1], why), decode, doubt),
    )


def _figure(figure: "Figure | None", why: str) -> Expected | Unknown:
    if figure is None:
        return Unknown(why)
    return Expected(figure.value, figure.low, figure.high, figure.basis, figure.source)


def capacity_terms(plan: Plan, engine: EngineSnapshot) -> Iterator[Term]:
    """Yield context, slots and tokens of the cache, where the engine tells them."""
    memory = plan.memory
    capacity = memory.capacity
    pool = None if capacity is None else capacity.max_tokens
    for name, unit, planned, quantity in (
        ("context", Unit.TOKENS, memory.context_tokens, Quantity.CONTEXT),
        ("slots", Unit.COUNT, memory.concurrency, Quantity.SLOTS),
        ("kv_tokens", Unit.TOKENS, pool, Quantity.KV_CACHE_TOKENS),
    ):
        seen = seen_of(engine[quantity])
        if isinstance(seen, Unknown) and (planned is None or name != "kv_tokens"):
            continue
        yield Term(name, unit, _exact(planned), seen)


def _exact(planned: int | None) -> Expected | Unknown:
    if planned is None:
        return Unknown("the plan has no pool of tokens")
    return Expected(planned, planned, planned, Basis.EXACT, "the plan")


def busy_note(host: HostSnapshot, cores: int, others: float | None = None) -> str:
    """Return that the machine is too busy to judge a speed; empty where it is not, or that is not known.

    Args:
        host: the host before the run, for its load: that of the last minute.
        cores: of the host.
        others: share of all cores that others used while it was timed, which says more where it is known.
    """
    if others is not None:
        if others < OTHERS_SHARE:
            return ""
        return f"others used {others:.0%} of the {cores} cores while it ran, so its speeds judge no plan"
    load = number_of(host[Quantity.LOAD])
    if load is None or load < BUSY_SHARE * cores:
        return ""
    return f"the load was {load:.1f} on {cores} cores: other work shares them, so its speeds judge no plan"
