"""The use case of learning: what a run says of its plan corrects the next plans of this machine.

Speeds are kept with the other measured runs (``hwledger calibrate``), what a process held beside its plan
next to them; both say which run they are of, and each can be forgotten again.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from hwledger.errors import HwledgerError
from hwledger.library.benchmarks.rests import load_rests, rests_path, save_rests
from hwledger.library.benchmarks.store import load_calibration, save_calibration
from hwledger.library.files import make_folder
from hwledger.planner.plan import Plan
from hwledger.planner.process import Rest, host_bytes, rest_device, used_share
from hwledger.reconcile.memory import PROCESS, SAVED
from hwledger.reconcile.term import Reconciliation, Seen
from hwledger.reconciling import timed_plan, traffic_timed
from hwledger.telemetry.snapshot import HostSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwledger.planner.throughput import Calibration, Point
    from hwledger.runner.engine import Timings

FEWEST_OUTPUT: Final = 8
"""Tokens of an answer whose speed says something: the first ones pay for waking up."""
FEWEST_PROMPT: Final = 32
LEAST_REST: Final = 0
PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one run.

    Attributes:
        plan: what was planned.
        found: what it said of it.
        timings: of its requests; ``None``: nothing was timed.
        host: before it.
        engine: what ran, where others' rules planned it.
        program: how the engine is installed.
        users: requests at once.
        busy: others disturbed it, so that its speeds say nothing.
        source: its name, for people.
    """

    plan: Plan
    found: Reconciliation
    timings: "Timings | None"
    host: HostSnapshot
    engine: str = ""
    program: str = ""
    users: int = 1
    busy: bool = False
    source: str = ""


def learn(run: Run) -> tuple[str, ...]:
    """Keep what a run says, for the next plans; return sentences on what was kept, and what was not."""
    try:
        with _alone():
            return _learned(run)
    except (HwledgerError, Timeout, OSError) as error:
        return (f"nothing is learned from this run: {error}",)


@contextmanager
def _alone() -> "Iterator[None]":
    """Hold the folder of what is learned: two runs that end together would lose one of theirs."""
    make_folder(rests_path().parent)
    with FileLock(f"{rests_path()}.lock", timeout=PATIENCE_S):
        yield


def _learned(run: Run) -> tuple[str, ...]:
    points, said = tuple(_points(run)), list[str]()
    if points:
        save_calibration(_with(points))
        figures = " and ".join(point.quantity.partition("_")[0] for point in points)
        said.append(f"its {figures} will correct later plans of this machine")
    elif run.busy:
        said.append("its speeds will correct no plan: the machine was busy")
    rest = rest_seen(run)
    if rest is not None:
        save_rests((*load_rests(), rest))
        said.append("what its process held beside the plan is kept for the next plan")
    return (f"{'; '.join(said)} (hwledger calibrate --list, --forget)",) if said else ()


def _with(points: "tuple[Point, ...]") -> "Calibration":
    """Return the stored runs and these."""
    from hwledger.planner.throughput import Calibration  # noqa: PLC0415 - start-up time

    return Calibration((*load_calibration().points, *points))


def rest_seen(run: Run) -> Rest | None:
    """Return what the process held beside the plan; ``None`` where that was not seen, or cannot be."""
    account = next((each for each in run.found.accounts if each.name == PROCESS), None)
    if account is None or not isinstance(account.whole, Seen):
        return None
    timings = run.timings
    tokens = run.users * (timings.prompt_tokens + timings.cached_tokens) if timings else 0
    saved = sum(part.seen.value for part in account.parts if part.name == SAVED)
    rest = account.whole.value - saved - host_bytes(run.plan, used_share(run.plan, tokens))
    if rest <= LEAST_REST:  # a mapped file that was not read in yet: nothing to learn
        return None
    return Rest(
        engine=run.engine or run.plan.engine, version=run.plan.request.version, program=run.program,
        device=rest_device(run.plan, run.host.name), model=run.plan.spec.id, rest_bytes=round(rest),
        source=run.source,
    )  # fmt: skip


def _points(run: Run) -> "Iterator[Point]":
    """Yield the speeds beside what is predicted for them without earlier runs."""
    from hwledger.planner.throughput import calibration, estimate  # noqa: PLC0415 - start-up time

    timings, made = run.timings, timed_plan(run.plan, run.host)
    if timings is None or run.busy or not made.request.devices:
        return
    answer = estimate(made, traffic_timed(timings, run.users))
    counts = {
        "decode_tokens_per_second": (timings.output_tokens, FEWEST_OUTPUT),
        "prefill_tokens_per_second": (timings.prompt_tokens, FEWEST_PROMPT),
    }
    for quantity, (tokens, fewest) in counts.items():
        rate, figure = getattr(timings, quantity), getattr(answer, quantity)
        if rate is None or figure is None or tokens < fewest:
            continue
        point = calibration.point_of(made, quantity, rate, figure.value, run.source, float(run.users))
        if point is not None and point.plausible:
            yield point
