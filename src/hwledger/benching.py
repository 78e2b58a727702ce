"""The use case of benchmarks: a model measured at several contexts and numbers of users, beside its plans."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Final

from hwledger.errors import EngineError, HwledgerError
from hwledger.learning import Run, learn
from hwledger.planner.fit import Verdict
from hwledger.reconcile.bench import Bench, Cell, Outcome
from hwledger.reconcile.memory import DEVICES, PROCESS
from hwledger.reconcile.speed import busy_note
from hwledger.reconcile.term import Reconciliation, Seen
from hwledger.reconciling import host_now, reconcile_run, timed_plan
from hwledger.recording import Recorder
from hwledger.runner.engine import Ask, Done, Piece, Progress, Shared, Timings
from hwledger.running import Prepared
from hwledger.telemetry.local import cores
from hwledger.telemetry.others import moment, others_share
from hwledger.units import format_tokens

if TYPE_CHECKING:
    from hwledger.runner.engine import Running
    from hwledger.telemetry.snapshot import HostSnapshot

WORDS: Final = (
    "time", "year", "people", "way", "day", "man", "thing", "life", "child", "world", "school", "state",
    "family", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system",
    "question", "work", "number", "night", "point", "home", "water", "room", "mother", "area", "money",
)  # fmt: skip
"""Prompts are drawn from them, so that no request finds another one's beginning in the cache."""
WARM_WORDS: Final = 64
MARGIN: Final = 8
"""Tokens of the context that a prompt leaves free: words are not tokens."""
FEWEST_WORDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How each cell is measured.

    Attributes:
        output_tokens: of one answer at most.
        prompt_tokens: of one request; ``None``: what the context leaves.
        repeats: how often all users ask.
        seconds: after which no further repeat of a cell begins.
        anyway: also where it does not fit.
        record: in the ledger, and for later plans.
        seed: of the words of prompts.
    """

    output_tokens: int = 32
    prompt_tokens: int | None = None
    repeats: int = 3
    seconds: float = 120.0
    anyway: bool = False
    record: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Timed:
    """One round of requests: their timings, its seconds, and the share that others used meanwhile."""

    timings: tuple[Timings, ...]
    seconds: float
    others: float | None


def bench(
    settings: Sequence[tuple[int | None, int | None]],
    prepared: Callable[[int | None, int | None], Prepared],
    wanted: Wanted,
    tell: Callable[[str], None],
    say: Callable[[str], None],
) -> Iterator[Bench]:
    """Yield the benchmark after each cell, with all cells so far.

    Args:
        settings: context and concurrency of each cell; ``None``: as planned.
        prepared: returns the plan of a setting.
        wanted: how each is measured.
        tell: is told how far it is, often.
        say: is given sentences on what could not be recorded or learned.

    Raises:
        UsageError, EngineError, InputError: nothing can be planned or run at all.
    """
    found: Bench | None = None
    for number, setting in enumerate(settings, 1):
        ready = prepared(*setting)
        what = f"{number} of {len(settings)}: {_title(ready)}"
        cell = _cell(ready, wanted, partial(_told, tell, f"{what}, "), say)
        found = found or _begun(ready)
        found = replace(found, cells=(*found.cells, cell))
        yield found


def _told(tell: Callable[[str], None], before: str, words: str) -> None:
    tell(f"{before}{words}")


def _title(ready: Prepared) -> str:
    memory = ready.plan.memory
    return f"context {format_tokens(memory.context_tokens)}, {memory.concurrency} at once"


def _begun(ready: Prepared) -> Bench:
    from hwledger.planner.throughput.processor import is_processor, processor_name  # noqa: PLC0415

    devices = timed_plan(ready.plan, host_now()).request.devices
    names = [processor_name(each) if is_processor(each) else each.name for each in devices]
    return Bench(
        model=ready.plan.spec.id, engine=ready.plan.engine, version=ready.plan.request.version,
        device=", ".join(dict.fromkeys(names)), started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )  # fmt: skip


def _cell(ready: Prepared, wanted: Wanted, tell: Callable[[str], None], say: Callable[[str], None]) -> Cell:
    memory = ready.plan.memory
    empty = Cell(context=memory.context_tokens, concurrency=memory.concurrency, outcome=Outcome.FAILED)
    if ready.verdict is Verdict.DOES_NOT_FIT and not wanted.anyway:
        return replace(empty, outcome=Outcome.DOES_NOT_FIT, why="the plan does not fit what is free now")
    before = host_now()
    recorder = Recorder(say, keep=wanted.record)
    recorder.started(ready, before)
    try:
        with recorder.ending(), ready.engine.start(ready.plan) as running:
            rounds = list(_rounds(running, ready, wanted, tell))
            cell, timings = _measured(empty, rounds)
            found = _reconciled(ready, running, before, timings, cell)
    except HwledgerError as error:
        return replace(empty, why=str(error))
    recorder.finished("length", timings)
    recorder.reconciled(found)
    cell = _with_memory(cell, found)
    if wanted.record:
        _learn(ready, before, found, timings, cell, recorder.run, say)
    return cell


def _rounds(
    running: "Running", ready: Prepared, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[_Timed]:
    """Yield each round of requests at once, after one that warms up and shows how many tokens a word is."""
    users, context = ready.plan.memory.concurrency, ready.plan.memory.context_tokens
    lines = [running]
    if users > 1:
        if not isinstance(running, Shared):
            raise EngineError(f"{ready.engine.title} answers one request at a time")
        lines += [running.beside() for _ in range(users - 1)]
    draw = random.Random(wanted.seed)  # noqa: S311 - words of prompts, no secret
    tell("warming up")
    warm = _answer(running, Ask(prompt=_words(draw, min(WARM_WORDS, context // 4)), max_tokens=2), tell)
    tokens = max(1, min(wanted.prompt_tokens or context, context - wanted.output_tokens - MARGIN))
    per_word = (warm.prompt_tokens + warm.cached_tokens) / min(WARM_WORDS, max(1, context // 4))
    words = max(min(FEWEST_WORDS, tokens), int(tokens / max(1.0, per_word)))
    end = time.monotonic() + wanted.seconds
    for repeat in range(1, wanted.repeats + 1):
        asks = [
            Ask(prompt=_words(draw, words), max_tokens=wanted.output_tokens, seed=wanted.seed) for _ in lines
        ]
        yield _round(running, lines, asks, partial(_told, tell, f"round {repeat}: "))
        if time.monotonic() > end:
            return


def _words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=max(1, count)))


def _round(
    running: "Running", lines: "Sequence[Running]", asks: Sequence[Ask], tell: Callable[[str], None]
) -> _Timed:
    """Ask on every line at once, and return what it took."""
    first = moment(running.pid)
    begun = time.monotonic()
    with ThreadPoolExecutor(len(lines)) as pool:
        told = [pool.submit(_answer, line, ask, tell) for line, ask in zip(lines, asks, strict=True)]
        try:
            timings = tuple(each.result() for each in told)
        except BaseException:
            for line in lines:
                line.cancel()
            raise
    seconds = time.monotonic() - begun
    return _Timed(timings, seconds, others_share(first, moment(running.pid), cores()))


def _answer(line: "Running", ask: Ask, tell: Callable[[str], None]) -> Timings:
    """Return the timings of one request.

    Raises:
        EngineError: the engine fails, or times nothing.
    """
    count = 0
    for event in line.generate(ask):
        if isinstance(event, Progress):
            tell(f"{event.done:,} of {event.total:,} tokens of the prompt")
        elif isinstance(event, Piece):
            count += 1
            tell(f"{count} tokens of the answer")
        elif isinstance(event, Done) and event.timings is not None:
            return event.timings
    raise EngineError(
        "the engine did not say how long the request took; hwledger engines shows what it can do"
    )


def _measured(empty: Cell, rounds: Sequence[_Timed]) -> tuple[Cell, Timings]:
    """Return the figures of a cell, and the timings of its median request; quiet rounds count, if any are."""
    quiet = [each for each in rounds if not busy_note_of(each.others)]
    chosen = quiet or rounds
    every = [timings for each in chosen for timings in each.timings]
    decode = _rates([each.decode_tokens_per_second for each in every])
    prefill = _rates([each.prefill_tokens_per_second for each in every])
    ttft = _rates([each.ttft_seconds for each in every])
    known = [each.others for each in chosen if each.others is not None]
    counts = [(each.prompt_tokens, each.cached_tokens, each.output_tokens) for each in every]
    prompt, cached, output = (round(median(column)) for column in zip(*counts, strict=True))
    timings = Timings(
        prompt, cached, output, _median(prefill), _median(decode), every[0].source, _median(ttft)
    )  # fmt: skip
    return replace(
        empty, outcome=Outcome.MEASURED if quiet else Outcome.BUSY, requests=len(every),
        why="" if quiet else busy_note_of(max(known, default=None)),
        prompt_tokens=timings.prompt_tokens + timings.cached_tokens, output_tokens=timings.output_tokens,
        prefill=timings.prefill_tokens_per_second, decode=timings.decode_tokens_per_second,
        aggregate=_aggregate(chosen), ttft_seconds=timings.ttft_seconds,
        spread=(max(decode) - min(decode)) / median(decode) if len(decode) > 1 else None,
        others=max(known, default=None),
    ), timings  # fmt: skip


def busy_note_of(others: float | None) -> str:
    """Return why a round says nothing; empty where it does, or where nothing is known of others."""
    from hwledger.telemetry.snapshot import HostSnapshot  # noqa: PLC0415 - its load is of no matter here

    return busy_note(HostSnapshot(), cores(), others)


def _rates(told: "Sequence[float | None]") -> list[float]:
    return [each for each in told if each is not None]


def _median(rates: Sequence[float]) -> float | None:
    return median(rates) if rates else None


def _aggregate(rounds: Sequence[_Timed]) -> float | None:
    """Return tokens of answers per second of whole rounds, prompts included; the median."""
    rates = [sum(one.output_tokens for one in each.timings) / each.seconds for each in rounds if each.seconds]
    return median(rates) if rates else None


def _reconciled(
    ready: Prepared, running: "Running", before: "HostSnapshot", timings: Timings, cell: Cell
) -> Reconciliation:
    return reconcile_run(
        ready.plan, running, timings, before, engine=ready.engine.name,
        program=ready.installed.program,
        users=cell.concurrency, others=cell.others,
    )  # fmt: skip


def _with_memory(cell: Cell, found: Reconciliation) -> Cell:
    held = {each.name: each.whole.value for each in found.accounts if isinstance(each.whole, Seen)}
    return replace(cell, memory_bytes=held.get(PROCESS), device_bytes=held.get(DEVICES), found=found)


def _learn(  # noqa: PLR0913, PLR0917 - what is known of a run
    ready: Prepared, before: "HostSnapshot", found: Reconciliation, timings: Timings, cell: Cell, run: str,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    program = ready.installed.program
    learned = learn(Run(
        plan=ready.plan, found=found, timings=timings, host=before, engine=ready.engine.name,
        program=program,
        users=cell.concurrency, busy=cell.outcome is Outcome.BUSY, source=f"bench {run}",
    ))  # fmt: skip
    for sentence in learned:
        say(f"{_title(ready)}: {sentence}")
