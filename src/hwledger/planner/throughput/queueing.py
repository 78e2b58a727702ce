"""Arrivals at a rate: how many requests are there at once, and how long they wait.

Two answers. ``steady_requests`` is Little's law (Little 1961): requests at once = rate x time in the system,
solved for the number at which the serving model says that time. ``simulate`` plays Poisson arrivals
through the same model, step by step, and gives quantiles; its random numbers come from the given seed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

CLOSE: Final = 1e-6
"""Relative width at which the search for the requests at once ends."""
MOST_STEPS: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What arrives.

    Attributes:
        per_second: mean arrivals.
        prompt_tokens, output_tokens: mean lengths.
        length_spread: lengths are uniform within this share of the mean to both sides.
    """

    per_second: float
    prompt_tokens: int
    output_tokens: int
    length_spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the simulated requests saw, in seconds; ``served`` of them were answered in full.

    Attributes:
        ttft, tpot: medians; ttft_high, tpot_high: 90 % quantiles.
        running: requests in a step, on the average over time.
        saturated: the queue grew to the end: more arrives than can be served.
    """

    ttft: float
    ttft_high: float
    tpot: float
    tpot_high: float
    running: float
    served: int
    saturated: bool


def steady_requests(per_second: float, life: Callable[[float], float], most: float) -> float | None:
    """Return the requests at once at which as many leave as arrive.

    Args:
        per_second: arrivals.
        life: seconds that one request is in the system while so many are.
        most: requests that run at once at most.

    ``None`` where even ``most`` requests at once do not leave as fast as they arrive.
    """
    if most / life(most) < per_second:
        return None
    low, high = 0.0, most
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        if middle / life(middle) < per_second:
            low = middle
        else:
            high = middle
    return high


def queue_seconds(per_second: float, service: float) -> float:
    """Return the mean wait for prompts that arrive at random and take ``service`` seconds each.

    M/D/1 (Pollaczek-Khinchine with a fixed service time); the load must be under 1.
    """
    load = per_second * service
    return load / (2.0 * (1.0 - load)) * service


@dataclass(slots=True)
class _Request:
    arrived: float
    prompt: int
    left: int
    output: int
    first: float = 0.0


@dataclass(slots=True)
class _Tally:
    ttft: list[float]
    tpot: list[float]
    busy: float = 0.0
    area: float = 0.0

    def finish(self, request: _Request, now: float) -> None:
        self.ttft.append(request.first - request.arrived)
        if request.output > 1:
            self.tpot.append((now - request.first) / (request.output - 1))


def simulate(  # noqa: PLR0913 - the knobs of the simulation
    arrivals: Arrivals,
    step: Callable[[float], float],
    prompt: Callable[[int], float],
    *,
    slots: int,
    seed: int,
    requests: int = 400,
) -> Outcome:
    """Return what ``requests`` Poisson arrivals see; deterministic for one seed.

    Args:
        arrivals: what arrives.
        step: seconds of a decoding step of so many requests.
        prompt: seconds that a prompt of so many tokens adds to the step that it joins.
        slots: requests that run at once at most.
        seed: of the random numbers.
        requests: how many arrive.

    One prompt joins a step, as in chunked prefill with a budget of about one prompt.
    """
    coming = _arrivals(arrivals, Random(seed), requests)  # noqa: S311 - a simulation, no secret
    running: list[_Request] = []
    tally = _Tally([], [])
    now = 0.0
    for _ in range(MOST_STEPS):
        if not (coming or running):
            break
        if not running and coming[0].arrived > now:
            now = coming[0].arrived
        joined = coming.popleft() if coming and coming[0].arrived <= now and len(running) < slots else None
        seconds = step(float(len(running))) if running else 0.0
        seconds += prompt(joined.prompt) if joined else 0.0
        now += seconds
        tally.busy += seconds
        tally.area += seconds * (len(running) + bool(joined))
        running = _advance(running, tally, now)
        if joined:
            joined.first, joined.left = now, joined.left - 1
            _keep(joined, running, tally, now)
    return _outcome(tally, requests)


def _arrivals(arrivals: Arrivals, random: Random, requests: int) -> deque[_Request]:
    now, found = 0.0, deque[_Request]()
    low, high = 1.0 - arrivals.length_spread, 1.0 + arrivals.length_spread
    for _ in range(requests):
        now += random.expovariate(arrivals.per_second)
        share = random.uniform(low, high)
        output = max(1, round(arrivals.output_tokens * random.uniform(low, high)))
        found.append(_Request(now, max(1, round(arrivals.prompt_tokens * share)), output, output))
    return found


def _advance(running: list[_Request], tally: _Tally, now: float) -> list[_Request]:
    kept: list[_Request] = []
    for request in running:
        request.left -= 1
        _keep(request, kept, tally, now)
    return kept


def _keep(request: _Request, kept: list[_Request], tally: _Tally, now: float) -> None:
    if request.left > 0:
        kept.append(request)
    else:
        tally.finish(request, now)


def _outcome(tally: _Tally, requests: int) -> Outcome:
    third = max(1, len(tally.ttft) // 3)
    early, late = sorted(tally.ttft[:third]), sorted(tally.ttft[-third:])
    ttft, tpot = sorted(tally.ttft), sorted(tally.tpot) or [0.0]
    return Outcome(
        ttft=_quantile(ttft, 0.5), ttft_high=_quantile(ttft, 0.9), tpot=_quantile(tpot, 0.5),
        tpot_high=_quantile(tpot, 0.9), running=tally.area / tally.busy if tally.busy else 0.0,
        served=len(tally.ttft),
        saturated=len(tally.ttft) < requests or _quantile(late, 0.5) > GROWING * _quantile(early, 0.5),
    )  # fmt: skip


GROWING: Final = 4.0
"""A queue whose last third waits this many times longer than its first keeps growing."""


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0
