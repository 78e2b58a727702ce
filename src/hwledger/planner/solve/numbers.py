"""The largest context and the most users: found by planning, at the edge of the limits."""

from collections.abc import Iterator
from math import ceil, sqrt
from random import Random
from typing import Final

from hwledger.planner.changes import find_changes
from hwledger.planner.solve.answer import Answer, Solution, refused_of, tight, why_not
from hwledger.planner.solve.arrivals import NORMAL_P99, Arrivals, Lengths, Load, little, simulate
from hwledger.planner.solve.limits import MEMORY, format_rate
from hwledger.planner.solve.question import Measured, Question, measure
from hwledger.planner.solve.search import largest
from hwledger.units import format_gib, format_tokens

MOST_CONTEXT: Final = 1 << 24
MOST_USERS: Final = 1 << 16
DRAWN: Final = 4000


def solve_context(question: Question) -> Answer:
    """Return the largest context at which every limit holds, up to what the model was made for."""
    top = question.request.spec.context_length or MOST_CONTEXT

    def at(tokens: int) -> Measured:
        return measure(question, question.vary(question.request, context=tokens), speed=False)

    best = largest(1, top, lambda tokens: at(tokens).holds, _breaks(question))
    if best is None:
        return _none(question, "context", at(1), "a context of 1 token")
    limited = (
        (f"the model was made for {format_tokens(top)} tokens",)
        if best == top
        else (f"{format_tokens(best + 1)} tokens: {why_not(at(best + 1))}",)
    )
    found = _solution("context", f"{format_tokens(best)} tokens", question, best, limited, context=best)
    return Answer(unknowns=("context",), solutions=(found,), searched=top)


def _breaks(question: Question) -> tuple[int, ...]:
    """Lengths at which the engine's rules change, by its own word."""
    breaks = getattr(question.profile, "breaks", None)
    return tuple(breaks(question.request)) if breaks else ()


def solve_users(question: Question) -> Answer:
    """Return the most users at full contexts, and at the lengths that were given."""
    request = question.request
    top, named = most_users(question)

    def at(users: int) -> Measured:
        return measure(question, question.vary(request, concurrency=users), speed=False)

    best = largest(1, top, lambda users: at(users).holds, (request.workload.concurrency,))
    solutions = []
    if best is not None:
        limited = (named,) if best == top else (f"{best + 1:,} users: {why_not(at(best + 1))}",)
        words = f"{best:,} at {format_tokens(request.workload.context_tokens)} tokens each"
        solutions.append(_solution("concurrency", words, question, best, limited, concurrency=best))
    realistic = _realistic(question, best or 1, top, named)
    if realistic:
        solutions.append(realistic)
    if not solutions:
        return _none(question, "concurrency", at(1), "1 user")
    return Answer(unknowns=("concurrency",), solutions=tuple(solutions), searched=top)


def most_users(question: Question) -> tuple[int, str]:
    """Return how many users an engine takes at once at most, and why not more."""
    plan = measure(question, question.vary(question.request, concurrency=1), speed=False).plan
    seqs = plan.memory.options.get("max_num_seqs") if plan else None
    if isinstance(seqs, int):
        return min(MOST_USERS, seqs), f"the engine takes {seqs:,} requests at once (max_num_seqs)"
    return MOST_USERS, f"more than {MOST_USERS:,} users at once are not planned"


def _realistic(question: Question, worst: int, top: int, named: str) -> Solution | None:
    """The most users whose requests take what the lengths say, where the engine shares its cache out."""
    prompt = question.arrivals.prompt if question.arrivals else question.prompt
    output = question.arrivals.output if question.arrivals else question.output
    if prompt is None or output is None:
        return None
    request = question.request
    if not cache_on_demand(question):
        note = "the engine reserves the whole context for each user: lengths change nothing"
        return None if worst < 1 else _solution(
            "concurrency-realistic", f"{worst:,}", question, worst, (note,), concurrency=worst)  # fmt: skip
    tokens = resident_tokens(prompt, output, worst, question.seed)
    tokens = min(tokens, request.workload.context_tokens)
    shorter = question.vary(request, context=tokens)

    def at(users: int) -> Measured:
        return measure(question, question.vary(shorter, concurrency=users), speed=False)

    best = largest(1, top, lambda users: at(users).holds)
    if best is None:
        return None
    limited = (named,) if best == top else (f"{best + 1:,} users: {why_not(at(best + 1))}",)
    words = f"{best:,} at prompts of {prompt.text} and answers of {output.text} tokens"
    note = (
        f"{tokens:,} tokens of cache for each user: the 99th percentile over {worst:,} users of a prompt and "
        f"the part of its answer that is written, {DRAWN:,} draws, seed {question.seed}"
    )
    return _solution(
        "concurrency-realistic", words, question, best, limited, (note,), context=tokens, concurrency=best
    )


def cache_on_demand(question: Question) -> bool:
    """Whether a request takes cache as it grows, and not a whole context from its start."""
    said = getattr(question.profile, "cache_on_demand", None)
    return said is not None and bool(said(question.request))


def resident_tokens(prompt: Lengths, output: Lengths, users: int, seed: int) -> int:
    """Return the cached tokens of one user, so that 99 % of the time ``users`` of them need no more.

    A request holds its prompt and a part of its answer, evenly spread; the sum over many users is normal.
    """
    random = Random(seed)  # noqa: S311 - a draw of lengths, not a secret
    draws = [prompt.draw(random) + random.random() * output.draw(random) for _ in range(DRAWN)]
    mean = sum(draws) / DRAWN
    spread = sqrt(sum((draw - mean) ** 2 for draw in draws) / DRAWN)
    return ceil(mean + NORMAL_P99 * spread / sqrt(max(1, users)))


def solve_load(question: Question, arrivals: Arrivals) -> tuple[Load | None, str]:
    """Return the requests at once that arrivals make, or why they cannot be served."""
    top, _ = most_users(question)
    known: dict[int, tuple[float, float] | None] = {}

    def times(users: int) -> tuple[float, float] | None:
        if users not in known:
            known[users] = times_of(question, users)
        return known[users]

    if times(1) is None:
        return None, "the load cannot be found: TTFT and TPOT are not known"
    law = little(arrivals, times, top)
    rate = format_rate(arrivals.requests_per_second)
    if law is None:
        return None, f"{rate} are more than are served: with {top:,} requests at once they still pile up"
    return simulate(arrivals, times, law=law, seed=question.seed), ""


def times_of(question: Question, users: int) -> tuple[float, float] | None:
    """Return TTFT and TPOT with so many requests at once, as if nobody had to queue; ``None``: not known."""
    request = question.vary(question.request, concurrency=users)
    throughput = measure(question, request).throughput
    if throughput is None or throughput.ttft_seconds is None or throughput.tpot_seconds is None:
        return None
    return throughput.ttft_seconds.value, throughput.tpot_seconds.value


def _solution(  # noqa: PLR0913, PLR0917 - one place builds it
    kind: str, words: str, question: Question, number: int, limited: tuple[str, ...],
    notes: tuple[str, ...] = (), **changes: object,
) -> Solution:  # fmt: skip
    measured = measure(question, question.vary(question.request, **changes))
    if tight(measured):
        notes = (*notes, "tight: by the upper end of the estimate it does not fit")
    return Solution(kind=kind, value=words, measured=measured, number=number, limited_by=limited, notes=notes)


def _none(question: Question, unknown: str, nearest: Measured, words: str) -> Answer:
    """Nothing holds, not even the smallest: that is the nearest."""
    solution = Solution(
        kind=unknown, value=words, measured=nearest, limited_by=(why_not(nearest),),
        notes=tuple(_helping(question, nearest)),
    )  # fmt: skip
    return Answer(unknowns=(unknown,), nearest=solution, refused=refused_of([(words, nearest)]), searched=1)


def _helping(question: Question, nearest: Measured) -> Iterator[str]:
    """What would make the nearest way fit, each planned."""
    if nearest.plan is None or not any(one.limit == MEMORY for one in nearest.misses):
        return
    for change in find_changes(nearest.plan, question.profile):
        room = format_gib(change.headroom_bytes)
        what = change.kind.replace("_", " ")
        yield f"{what} {change.after} instead of {change.before} would fit, {room} to spare"
