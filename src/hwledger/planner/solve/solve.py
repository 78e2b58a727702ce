"""The solver: from a question and what is unknown to answers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner.solve.answer import Answer, Solution, nearest_of
from hwledger.planner.solve.arrivals import Arrivals
from hwledger.planner.solve.choices import types_on
from hwledger.planner.solve.corrections import runs_words
from hwledger.planner.solve.devices import devices_words, solve_devices
from hwledger.planner.solve.numbers import solve_context, solve_load, solve_users
from hwledger.planner.solve.offload import host_words, solve_layout
from hwledger.planner.solve.overload import keep_up
from hwledger.planner.solve.quality import WEIGHTS
from hwledger.planner.solve.question import UNKNOWNS, Progress, Question
from hwledger.planner.solve.types import best_type, solve_kv_cache, solve_weights
from hwledger.units import format_tokens

NEEDS_DEVICES: Final = frozenset({"context", "concurrency", "weights", "kv-cache"})


def solve(question: Question, unknown: str, progress: Progress | None = None) -> Answer:
    """Return what was asked for, each answer planned again.

    Args:
        question: what is given, and the limits.
        unknown: one of ``UNKNOWNS``.
        progress: is told how many sets of devices of how many are planned.

    Raises:
        UnknownOptionError: there is no such unknown.
        UsageError: it cannot be found without a device, or it is given.
    """
    if unknown not in UNKNOWNS:
        raise UnknownOptionError("thing to solve for", unknown, UNKNOWNS)
    if unknown in question.given and unknown != "devices":
        raise UsageError(f"{unknown} is given and cannot be solved for; leave --{unknown} out")
    if unknown in NEEDS_DEVICES and not question.request.devices:
        raise UsageError(
            f"the largest or best {unknown} depends on the device; give --device, or solve for devices"
        )
    arrivals = question.arrivals
    if arrivals is None or not question.request.devices:
        answer = _solved(question, unknown, progress)
    else:
        answer = _loaded(question, arrivals, unknown, progress)
    notes = (*_too_long(question, unknown), *answer.notes, *_own_runs(answer))
    return replace(answer, notes=notes)


def _own_runs(answer: Answer) -> tuple[str, ...]:
    """That measured runs of the user's own correct the answers, and whether the search went by them."""
    shown = (*answer.solutions, *answer.front, *([answer.nearest] if answer.nearest else []))
    looked = any(one.kind.startswith(("devices", "quality")) for one in shown)
    return runs_words([one.measured.throughput for one in shown], unordered=looked)


def _too_long(question: Question, unknown: str) -> Iterator[str]:
    """That the context is more than the model was made for, where it is not what is looked for."""
    made, wanted = question.request.spec.context_length, question.request.workload.context_tokens
    if made and wanted > made and unknown != "context":
        yield (
            f"a context of {format_tokens(wanted)} tokens is over the {format_tokens(made)} that the model "
            "was made for"
        )


def _solved(question: Question, unknown: str, progress: Progress | None) -> Answer:
    match unknown:
        case "context":
            return solve_context(question)
        case "concurrency":
            return solve_users(question)
        case "weights":
            return solve_weights(question)
        case "kv-cache":
            return solve_kv_cache(question)
        case "devices":
            return _devices(question, progress)
        case _:
            return _all(question, progress)


def _loaded(question: Question, arrivals: Arrivals, unknown: str, progress: Progress | None) -> Answer:
    """With arrivals: every plan has to hold the users that they make, and answer as fast as they arrive."""
    closed = replace(question, arrivals=None, prompt=arrivals.prompt, output=arrivals.output)
    rate = replace(question.limits, min_requests_per_second=arrivals.requests_per_second)
    kept = replace(closed, limits=rate)
    load, why = solve_load(closed, arrivals)
    if load is None:
        return keep_up(kept, unknown, why, lambda asked: _solved(asked, unknown, progress))
    if unknown == "concurrency":
        return replace(_solved(closed, unknown, progress), load=load)
    users = max(1, load.p99, ceil(load.little))
    held = replace(kept, request=question.vary(question.request, concurrency=users))
    note = f"planned for {users:,} requests at once, the 99th percentile of the arrivals"
    answer = _solved(held, unknown, progress)
    return replace(answer, load=load, notes=(note, *answer.notes))


def _devices(question: Question, progress: Progress | None) -> Answer:
    """Given devices: how many of them, and how they share the model. None given: the catalogue."""
    given = question.request.devices
    if not given:
        return solve_devices(question, ("devices",), progress)
    split = solve_layout(question)
    kinds = dict.fromkeys(given)
    if len(kinds) > 1:
        return split
    counted = solve_devices(replace(question, catalogue=tuple(kinds)), ("devices",), progress)
    return _joined(("devices",), split, counted)


def _all(question: Question, progress: Progress | None) -> Answer:
    """Everything that is not given: devices, types and split; then the context and the users of the best."""
    free = [name for name in ("weights", "kv-cache") if name not in question.given]
    given = question.request.devices
    unknowns = free if given else ["devices", *free]
    found = solve_devices(question, unknowns, progress)
    answers = [_with_host(question, found) if given and "weights" in free else found]
    if given and not found.holds:
        answers.insert(0, solve_layout(question))
    best = next((one for answer in answers for one in answer.solutions), None)
    if best is not None:
        at = replace(question, request=best.measured.request)
        answers += [
            _told(solve_context(at), best) if "context" not in question.given else Answer(unknowns=())
        ]
        answers += [
            _told(solve_users(at), best) if "concurrency" not in question.given else Answer(unknowns=())
        ]
    return _joined(("all",), *answers)


def _with_host(question: Question, found: Answer) -> Answer:
    """With the type that loses least where a part of it may stay in host memory, if it loses less."""
    typed = next(iter(solve_weights(question).solutions), None)
    if typed is None or not host_words(typed.measured.request):
        return found
    names = types_on(question.profile.name, WEIGHTS, question.request.devices)
    mine = typed.measured.request.weights
    others = [one.measured.request.weights for one in found.solutions]
    if mine in others or best_type(WEIGHTS, [n for n in names if n in {mine, *others}] or [mine]) != mine:
        return found
    words = f"{devices_words(question.request.devices)}, {typed.value}"
    best = replace(typed, kind="quality", value=words)
    rest = (one for one in found.solutions if one.kind != "quality")
    return replace(found, solutions=(best, *rest), front=(*found.front, best) if found.front else ())


def _told(answer: Answer, best: Solution) -> Answer:
    """An answer for one choice says which."""
    said = tuple(replace(one, value=f"{one.value} ({best.value})") for one in answer.solutions)
    return replace(answer, solutions=said, searched=0, refused=())


def _joined(unknowns: Sequence[str], *answers: Answer) -> Answer:
    """Several answers as one; what is nearest counts where none holds."""
    holds = any(answer.holds for answer in answers)
    return Answer(
        unknowns=tuple(unknowns),
        solutions=tuple(one for answer in answers for one in answer.solutions),
        front=max((answer.front for answer in answers), key=len, default=()),
        refused=tuple({one.what: one for answer in answers for one in answer.refused}.values()),
        nearest=None if holds else nearest_of([answer.nearest for answer in answers if answer.nearest]),
        searched=sum(answer.searched for answer in answers),
        refusals=tuple(_sums(answers).items()),
        notes=tuple(dict.fromkeys(note for answer in answers for note in answer.notes)),
    )  # fmt: skip


def _sums(answers: Sequence[Answer]) -> dict[str, int]:
    found: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.refusals:
            found[name] = found.get(name, 0) + count
    return found
