"""What an engine says that it would allocate, beside the plan: a term for each kind and place; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hwledger.planner.memory import HOST, Basis, Category, Component
from hwledger.planner.plan import Plan
from hwledger.reconcile.memory import expected_of, term_of
from hwledger.reconcile.term import Expected, Quality, Seen, Term, Unknown
from hwledger.telemetry.quantity import Unit

KINDS: Final[Mapping[str, tuple[Category, ...]]] = {
    "weights": (Category.WEIGHTS,), "cache": (Category.KV_CACHE, Category.STATE),
    "compute": (Category.COMPUTE,),
}  # fmt: skip
"""What engines tell apart when they are asked, and what of a plan that is."""
NONE_PLANNED: Final = "the plan holds none there"
NOT_SAID: Final = "the engine does not say it"


@dataclass(frozen=True, slots=True)
class Holding:
    """What an engine would allocate on one place, in bytes.

    Attributes:
        place: device number, or ``HOST``.
        name: what the engine calls it.
        sizes: by the names of ``KINDS``.
    """

    place: int
    name: str
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An engine's own answer beside a plan.

    Attributes:
        plan: the plan that was asked for: on what the engine computes with.
        engine, version: who was asked.
        source: how, for people.
        holdings: the answer, by place.
        terms: it beside the plan.
        notes: what to know, in sentences.
    """

    plan: Plan
    engine: str
    version: str
    source: str
    holdings: tuple[Holding, ...]
    terms: tuple[Term, ...]
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """All that the engine would allocate, as far as it says."""
        return sum(sum(each.sizes.values()) for each in self.holdings)


def asked_terms(plan: Plan, holdings: Sequence[Holding], source: str) -> tuple[Term, ...]:
    """Return the answer beside the plan; what only one of them has is there with the reason for the other.

    Args:
        plan: the plan.
        holdings: the answer, by place.
        source: who says it.
    """
    planned: dict[tuple[str, int], list[Component]] = {}
    for component in plan.memory.components:
        planned.setdefault((_kind_of(component), component.place), []).append(component)
    said = {(kind, each.place): size for each in holdings for kind, size in each.sizes.items()}
    places = {each.place: each.name for each in holdings}
    order = [*KINDS, *(each.value for each in Category)]
    keys = sorted({*planned, *said}, key=lambda key: (key[1] == HOST, key[1], order.index(key[0])))
    terms = (_term(key, planned.get(key, ()), said.get(key), places, source) for key in keys)
    return tuple(term for term in terms if not _is_nothing(term))


def _kind_of(component: Component) -> str:
    own = Category(term_of(component))
    return next((name for name, categories in KINDS.items() if own in categories), own.value)


def _term(
    key: tuple[str, int], parts: Sequence[Component], size: int | None, places: Mapping[int, str], source: str
) -> Term:
    kind, place = key
    name = places.get(place) or ("host" if place == HOST else f"device {place}")
    return Term(
        f"{kind} ({name})", Unit.BYTES, expected_of(parts) if parts else Unknown(NONE_PLANNED),
        Unknown(NOT_SAID) if size is None else Seen(float(size), Quality.REPORTED, source),
    )  # fmt: skip


def _is_nothing(term: Term) -> bool:
    planned = term.expected.value if isinstance(term.expected, Expected) else 0
    seen = term.seen.value if isinstance(term.seen, Seen) else 0
    return not planned and not seen


def asked_document(asked: Asked) -> dict[str, Any]:
    """Return the answer for JSON: components like those of a plan, basis measured, and the terms."""
    from hwledger.reconcile.document import term_document  # noqa: PLC0415 - start-up time

    components = [
        {"name": kind, "bytes": size, "basis": Basis.MEASURED.value, "source": asked.source,
         "place": "host" if each.place == HOST else each.place}
        for each in asked.holdings for kind, size in each.sizes.items() if size
    ]  # fmt: skip
    return {
        "engine": asked.engine, "version": asked.version, "source": asked.source,
        "total_bytes": asked.total_bytes, "planned_bytes": asked.plan.total_bytes, "components": components,
        "terms": [term_document(term) for term in asked.terms], "notes": list(asked.notes),
    }  # fmt: skip
