"""What the process of an engine takes of the host beside what a plan holds there, and with it: pure.

The plan counts what the engine allocates. The process that the system shows holds its program, libraries and
heap too, here the *rest*; and of scratch memory only pages that were used. The rest is shipped per engine
(``data/process_rest.csv``) and learned on a machine from its own runs: their median, without outliers.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Final

from hwledger.planner.memory import HOST, Basis, Category
from hwledger.planner.plan import Plan
from hwledger.shipped import shipped_text
from hwledger.units import MIB

NORMAL_TAIL: Final = 1.2816
"""Standard deviations from the mean to the ends of 80 % of a normal distribution."""
NORMAL_MAD: Final = 1.4826
FAR: Final = 4.0
"""Spreads from the median beyond which a run is left out."""
FEWEST_TO_DOUBT: Final = 3
LEAST_SPREAD: Final = 2.0 * MIB
"""Of the rest from run to run: heaps and threads; seen 0.3 MiB over starts of llama.cpp, pages more."""
FIRST_SPREAD: Final = 5.0 * MIB
"""… that a single run leaves open."""
STEPS: Final = ("n_ubatch", "prefill_step_size")
"""Options that say how many tokens of a prompt are taken in at once."""
USUAL_STEP: Final = 512
OTHER_VERSION: Final = 2.0
"""Factor by which the interval is wider where every run was of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What one run's process held beside its plan.

    Attributes:
        engine, version: what ran; an empty version is not known.
        program: how it is installed: ``xllamacpp``, or empty for a program of its own.
        device: what it computed on.
        model: what it held.
        rest_bytes: resident bytes less those of the plan.
        source: which run.
    """

    engine: str
    rest_bytes: float
    version: str = ""
    program: str = ""
    device: str = ""
    model: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the rest is taken to be, in bytes, with its 80 % interval; ``runs`` it is learned from."""

    value: float
    low: float
    high: float
    basis: Basis
    source: str
    runs: int = 0


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What a process will hold of the host, in bytes, with its 80 % interval.

    Attributes:
        value, low, high: all of it.
        planned: of it what the plan holds on the host, as far as it will be used.
        rest: the rest.
    """

    value: float
    low: float
    high: float
    planned: float
    rest: Learned


def process_memory(plan: Plan, rest: Learned, used: float = 1.0) -> ProcessMemory:
    """Return what the process of a plan holds of the host's memory.

    Args:
        plan: the plan.
        rest: what it holds beside the plan.
        used: share of the scratch memory that is used: 1 where a prompt fills a step.
    """
    sure, low, high = host_bytes(plan, 0.0), host_bytes(plan, 0.0), host_bytes(plan, 1.0)
    planned = sure + used * (high - sure)
    return ProcessMemory(planned + rest.value, low + rest.low, high + rest.high, planned, rest)


def host_bytes(plan: Plan, used: float) -> float:
    """Return what a plan holds of the host's memory with a share of its scratch in use.

    A plan without a device is one of the host. The engine's own runtime is a part of the rest.
    """
    found = 0.0
    for part in plan.memory.components:
        if plan.request.devices and part.place != HOST and plan.request.devices[0].category != "processor":
            continue
        is_scratch = part.category is Category.COMPUTE or "compute" in part.name
        if is_scratch or part.category is not Category.RUNTIME:
            found += part.size_bytes * (used if is_scratch else 1.0)
    return found


def used_share(plan: Plan, prompt_tokens: int) -> float:
    """Return the share of the scratch memory that a longest prompt uses: of the tokens of one step."""
    told = (plan.memory.options.get(name) for name in STEPS)
    size = next((each for each in told if isinstance(each, int) and each > 0), USUAL_STEP)
    return min(1.0, prompt_tokens / size)


def rest_device(plan: Plan, processor: str) -> str:
    """Return what the rest of a process is kept under: the devices of its plan, or the host's processor."""
    names = dict.fromkeys(device.name for device in plan.request.devices if device.category != "processor")
    return ", ".join(names) or processor


def rest_of(
    runs: Sequence[Rest], engine: str, *, version: str = "", program: str = "", device: str = ""
) -> Learned:
    """Return the rest for an engine: learned of this machine's runs, else as shipped.

    Runs of the same version count where there are any, else those of others, with a wider interval.

    Args:
        runs: every measured one.
        engine: what is going to run.
        version: of it.
        program: how it is installed.
        device: what it computes on.
    """
    same = [each for each in runs if (each.engine, each.program, each.device) == (engine, program, device)]
    exact = [each for each in same if each.version == version]
    chosen = without_outliers(exact or same)
    if not chosen:
        return _shipped(engine, program)
    sizes = [each.rest_bytes for each in chosen]
    middle, count = median(sizes), len(sizes)
    seen = NORMAL_MAD * median(abs(size - middle) for size in sizes)
    spread = FIRST_SPREAD if count == 1 else max(seen, LEAST_SPREAD) * (1 + 1 / count) ** 0.5
    margin = NORMAL_TAIL * spread * (1.0 if exact else OTHER_VERSION)
    several = f"{count} run{'s' if count > 1 else ''} of your own"
    other = "" if exact else " of other versions"
    return Learned(
        middle, max(0.0, middle - margin), middle + margin, Basis.CALIBRATED,
        f"median of {several}{other} on this machine", count,
    )  # fmt: skip


def without_outliers(runs: Sequence[Rest]) -> list[Rest]:
    """Return the runs but those that are further from their median than ``FAR`` spreads."""
    if len(runs) < FEWEST_TO_DOUBT:
        return list(runs)
    middle = median(each.rest_bytes for each in runs)
    seen = NORMAL_MAD * median(abs(each.rest_bytes - middle) for each in runs)
    return [each for each in runs if abs(each.rest_bytes - middle) <= FAR * max(seen, LEAST_SPREAD)]


@cache
def _shipped(engine: str, program: str) -> Learned:
    """Return what ships for an engine as it is installed, for any other way, or for any engine."""
    rows = {(row["engine"], row["program"]): row for row in _rows()}
    wanted = ((engine, program), (engine, ""), ("", ""))
    row = next(rows[key] for key in wanted if key in rows)
    return Learned(
        float(row["rest_bytes"]),
        float(row["low_bytes"]),
        float(row["high_bytes"]),
        Basis.ASSUMED,
        row["source"],
    )


@cache
def _rows() -> list[dict[str, str]]:
    return list(csv.DictReader(shipped_text("hwledger.planner", "data/process_rest.csv").splitlines()))
