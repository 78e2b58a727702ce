"""Arrivals that are more than one setting serves: what else keeps up with them, and what comes nearest."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from hwledger.planner.solve.answer import TITLES, Answer, Solution, nearest_of, why_not
from hwledger.planner.solve.devices import AT_ONCE
from hwledger.planner.solve.numbers import cache_on_demand, most_users, resident_tokens, times_of
from hwledger.planner.solve.question import Question, measure
from hwledger.units import format_tokens

FIXED: Final = frozenset({"context", "concurrency"})
"""Unknowns that leave the setting's speed as it is: no other number of requests at once is tried."""


def keep_up(question: Question, unknown: str, why: str, solved: Callable[[Question], Answer]) -> Answer:
    """Return what holds the limits, the arrival rate among them, with the fewest requests at once.

    Args:
        question: closed, with ``min_requests_per_second`` among its limits.
        unknown: what is looked for.
        why: why the setting as it is cannot keep up, in words.
        solved: looks for it.
    """
    capacity = _capacity(question)
    crowds = [capacity] if unknown in FIXED else sorted({capacity, *_crowds(question)})
    answers = []
    for users in crowds:
        asked = _crowded(question, users, unknown)
        found = solved(asked)
        if found.holds:
            note = f"planned for {users:,} requests at once, which are answered as fast as they arrive"
            return replace(found, notes=(*(() if unknown == "concurrency" else (note,)), *found.notes))
        answers.append(found)
    tried = [one.nearest for one in answers if one.nearest and unknown not in FIXED]
    nearest = nearest_of([*tried, *_as_it_is(question, capacity, unknown)])
    base = next((one for one in answers if nearest is not None and one.nearest is nearest), answers[-1])
    return replace(base, nearest=nearest, notes=(why, *base.notes))


def _crowds(question: Question) -> Iterator[int]:
    top, _ = most_users(question)
    yield from (users for users in AT_ONCE if users <= top)


def _capacity(question: Question) -> int:
    """The most requests at once, a power of two, whose speed is known: those that fit; 1 where none is."""
    top, _ = most_users(question)
    users = 1
    while 2 * users <= top and times_of(question, 2 * users) is not None:
        users *= 2
    return users


def _crowded(question: Question, users: int, unknown: str) -> Question:
    """The question with so many requests at once, each with the cache that arrivals of these lengths hold."""
    context = question.request.workload.context_tokens
    if unknown not in FIXED and question.prompt and question.output and cache_on_demand(question):
        context = min(context, resident_tokens(question.prompt, question.output, users, question.seed))
    request = question.vary(question.request, context=context, concurrency=users)
    return replace(question, request=request)


def _as_it_is(question: Question, users: int, unknown: str) -> Iterator[Solution]:
    """The setting as it was given, with as many requests at once as it holds."""
    request = question.vary(question.request, concurrency=users)
    measured = measure(question, request)
    if measured.plan is None or measured.holds:
        return
    words = f"{users:,} at once, {format_tokens(request.workload.context_tokens)} tokens each"
    kind = unknown if unknown in TITLES else "layout"
    yield Solution(kind=kind, value=words, measured=measured, limited_by=(why_not(measured),))
