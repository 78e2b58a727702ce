"""The best quantisation of weights and cache: by published evidence, and bits where there is none."""

from collections.abc import Sequence
from dataclasses import replace

from hwledger.planner.solve.answer import Answer, Solution, counted, refused_of, why_not
from hwledger.planner.solve.choices import types_on
from hwledger.planner.solve.offload import host_words, with_host
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS, evidence_of, is_plain, not_worse, quality_words
from hwledger.planner.solve.question import Measured, Question, least_missed, measure
from hwledger.planner.weights import weigh


def solve_weights(question: Question) -> Answer:
    """Return the quantisation that loses least and holds every limit."""
    devices = question.request.devices
    names = [n for n in types_on(question.profile.name, WEIGHTS, devices) if _worth(question, n)]
    ways = [
        (n, with_host(question, question.vary(question.request, weights=n or question.request.weights)))
        for n in names
    ]
    return _answer("weights", WEIGHTS, ways, question)


def solve_kv_cache(question: Question) -> Answer:
    """Return the type of the KV cache that loses least and holds every limit."""
    names = types_on(question.profile.name, KV_CACHE, question.request.devices)
    ways = [(n, measure(question, question.vary(question.request, kv_cache=n))) for n in names]
    return _answer("kv-cache", KV_CACHE, ways, question)


def _worth(question: Question, name: str | None) -> bool:
    """Whether a type is smaller than what the model is stored in; larger ones gain nothing."""
    spec = question.request.spec
    return name is None or weigh(spec, name).total < weigh(spec).total


def best_type(kind: str, names: Sequence[str | None]) -> str | None:
    """Return the type that loses least: the first (largest) one unless another is known to lose less."""
    best = names[0]
    for name in names[1:]:
        if not_worse(kind, name, best) is True and not_worse(kind, best, name) is False:
            best = name
    return best


def type_words(kind: str, name: str | None, measured: Measured) -> str:
    """Return a type in words: its name, or what the model is stored in."""
    if name is not None:
        return name
    if kind == KV_CACHE:
        return measured.plan.memory.kv_type if measured.plan else "the engine's default"
    return measured.request.weights or "as stored"


def evidence_notes(kind: str, name: str | None) -> tuple[str, ...]:
    """Return the published figures of a type, each with its source; that there is none is said."""
    if is_plain(kind, name):
        return ()
    found = evidence_of(kind, name)
    if not found:
        return (f"{name}: {quality_words(kind, name)}",)
    return tuple(
        f"{name}: {one.sentence}{'; ' + one.note if one.note else ''} [{one.source}]" for one in found
    )


def _answer(
    unknown: str, kind: str, ways: Sequence[tuple[str | None, Measured]], question: Question
) -> Answer:
    named = [(_words(kind, name, way), way) for name, way in ways]
    holding = [name for name, way in ways if way.holds]
    refused = refused_of([(words, way) for words, way in named if not way.holds])
    common = Answer(
        unknowns=(unknown,), refused=refused, searched=len(ways), refusals=counted([way for _, way in ways]),
        notes=() if question.estimator else ("speeds are not estimated",),
    )  # fmt: skip
    front = tuple(_solution(unknown, kind, name, way) for name, way in ways if way.holds)
    if not holding:
        nearest = least_missed([way for _, way in ways])
        name = next((n for n, way in ways if way is nearest), None)
        return replace(common, nearest=_solution(unknown, kind, name, nearest) if nearest else None)
    best = best_type(kind, holding)
    solution = next(
        one for one, (name, _) in zip(front, [w for w in ways if w[1].holds], strict=True) if name == best
    )
    above = [(words, way) for (name, _), (words, way) in zip(ways, named, strict=True)
             if not way.holds and not_worse(kind, name, best) is not False][:2]  # fmt: skip
    limited = tuple(f"{words}: {why_not(way)}" for words, way in above)
    return replace(common, solutions=(replace(solution, limited_by=limited),), front=front)


def _words(kind: str, name: str | None, measured: Measured) -> str:
    return ", ".join(filter(None, (type_words(kind, name, measured), host_words(measured.request))))


def _solution(unknown: str, kind: str, name: str | None, measured: Measured) -> Solution:
    return Solution(
        kind=unknown, value=_words(kind, name, measured), measured=measured,
        notes=evidence_notes(kind, name), limited_by=() if measured.holds else (why_not(measured),),
    )  # fmt: skip
