"""From arrivals and lengths to requests at once: Little's law, and a seeded simulation of the spread."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil, exp, inf
from random import Random
from typing import Final

from hwledger.errors import UsageError
from hwledger.planner.throughput.queueing import steady_requests
from hwledger.units import parse_size

SIMULATED: Final = 4000
"""Requests that a simulation lets arrive; the first fifth warms it up."""
MOST_TOKENS: Final = 1 << 24
NORMAL_P99: Final = 2.326
"""Standard deviations that 99 % of a normal distribution lie below."""
ROUNDED: Final = 0.015
"""How far the shares of lengths may be from 1: thirds are written as 0.33."""
_LOGNORMAL: Final = re.compile(r"lognormal\(\s*([^,]+),\s*([\d.]+)\s*\)", re.IGNORECASE)
_HOW: Final = "write 2000, 500-4000, 200:0.7,4000:0.3 or lognormal(2000,0.8)"


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long prompts or answers are.

    Attributes:
        text: as it was written.
        kind: ``fixed``, ``uniform``, ``mix`` or ``lognormal``.
        values: the length; the ends; the lengths of the mix; mean and sigma.
        weights: of the mix.
    """

    text: str
    kind: str
    values: tuple[float, ...]
    weights: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Tokens on the average."""
        if self.kind == "uniform":
            return sum(self.values) / 2
        if self.kind == "mix":
            return sum(v * w for v, w in zip(self.values, self.weights, strict=True)) / sum(self.weights)
        return self.values[0]

    @property
    def longest(self) -> int:
        """Tokens that all, of a log-normal spread 99 %, are no longer than."""
        if self.kind == "lognormal":
            mean, sigma = self.values
            return min(MOST_TOKENS, ceil(mean * exp(NORMAL_P99 * sigma - sigma * sigma / 2)))
        return ceil(max(self.values))

    def draw(self, random: Random) -> int:
        """Return one length, at least one token."""
        if self.kind == "uniform":
            return max(1, random.randint(int(self.values[0]), int(self.values[1])))
        if self.kind == "mix":
            return max(1, round(random.choices(self.values, self.weights)[0]))
        if self.kind == "lognormal":
            mean, sigma = self.values
            scale = random.lognormvariate(-sigma * sigma / 2, sigma)  # its own mean is 1
            return min(MOST_TOKENS, max(1, round(mean * scale)))
        return max(1, round(self.values[0]))


def parse_lengths(text: str) -> Lengths:
    """Return the lengths that ``2000``, ``500-4000``, ``200:0.7,4000:0.3`` or ``lognormal(2000,0.8)`` mean.

    Raises:
        UsageError: the text is none of these, or its shares do not add up to 1.
    """
    plain = text.strip()
    try:
        lengths = _lengths(plain)
    except ValueError:
        raise UsageError(f"{text!r} is no length of a prompt or an answer; {_HOW}") from None
    if not all(0 < value <= MOST_TOKENS for value in lengths.values if lengths.kind != "lognormal"):
        raise UsageError(f"{text!r} is no length of a prompt or an answer: give 1 to 16,777,216 tokens")
    return lengths


def _lengths(text: str) -> Lengths:
    if match := _LOGNORMAL.fullmatch(text):
        mean, sigma = parse_size(match[1]), float(match[2])
        if not (0 < mean <= MOST_TOKENS and 0 < sigma <= 3):  # noqa: PLR2004 - e**3: a spread of 20 to 1
            raise ValueError
        return Lengths(text, "lognormal", (float(mean), sigma))
    if ":" in text:
        pairs = [part.split(":") for part in text.split(",")]
        values = tuple(float(parse_size(value)) for value, _ in pairs)
        weights = tuple(float(weight) for _, weight in pairs)
        if min(weights) < 0 or not 0 < sum(weights) < inf:
            raise ValueError
        if abs(sum(weights) - 1) > ROUNDED:
            raise UsageError(f"the shares of {text!r} add up to {sum(weights):g}; they have to add up to 1")
        return Lengths(text, "mix", values, weights)
    low, dash, high = text.partition("-")
    if dash:
        ends = (float(parse_size(low)), float(parse_size(high)))
        if ends[0] > ends[1]:
            raise ValueError
        return Lengths(text, "uniform", ends)
    return Lengths(text, "fixed", (float(parse_size(text)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Who comes and asks what.

    Attributes:
        requests_per_second: of a Poisson process.
        prompt, output: lengths of prompts and answers.
    """

    requests_per_second: float
    prompt: Lengths
    output: Lengths

    def __post_init__(self) -> None:
        if not 0 < self.requests_per_second <= 1 << 20:
            raise UsageError(
                "the arrival rate is no positive number of requests per second; give one like 2.5"
            )


def arrivals_of(
    requests_per_second: float | None, prompt: Lengths | None, output: Lengths | None
) -> Arrivals | None:
    """Return the arrivals at a rate; ``None`` for no rate.

    Raises:
        UsageError: a rate without lengths, or one that cannot be.
    """
    if requests_per_second is None:
        return None
    if prompt is None or output is None:
        raise UsageError("--rps needs the lengths of what arrives; give --prompt and --output")
    return Arrivals(requests_per_second=requests_per_second, prompt=prompt, output=output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What arrivals make of a server.

    Attributes:
        little: requests at once by Little's law, arrival rate times time in the system.
        mean, p99: requests at once in the simulation.
        tokens_p99: tokens in the cache at once in the simulation.
        requests: that were simulated.
        seed: of the simulation.
    """

    little: float
    mean: float
    p99: int
    tokens_p99: int
    requests: int
    seed: int


Times = Callable[[int], tuple[float, float] | None]
"""TTFT and TPOT in seconds with so many requests at once; ``None`` where they are not known."""


def little(arrivals: Arrivals, times: Times, most: int) -> float | None:
    """Return the requests at once by Little's law: rate times time in the system, which depends on them.

    J. D. C. Little, A proof for the queuing formula L = lambda W, Operations Research 9 (1961); solved by
    ``throughput/queueing.py``. Times between the powers of two are interpolated.

    Returns:
        The number; ``None`` where up to ``most`` requests at once do not keep up with the arrivals.
    """
    speeds = _Speeds(times)

    def life(requests: float) -> float:
        first, each = speeds.at(max(1.0, requests))
        return first + (arrivals.output.mean - 1) * each

    return steady_requests(arrivals.requests_per_second, life, float(most))


def simulate(arrivals: Arrivals, times: Times, *, law: float, seed: int = 0) -> Load:
    """Return the spread of the load: Poisson arrivals, drawn lengths, answers that share the machine.

    An answer advances by one token per TPOT of as many requests as are then at once (processor sharing in
    virtual time); TPOT between the powers of two is interpolated.
    """
    random = Random(seed)  # noqa: S311 - a simulation, not a secret
    speed = _Speeds(times)
    waiting: list[tuple[float, int]] = []
    now = virtual = tokens = 0.0
    seen: list[tuple[int, float, float]] = []
    arrival = 0.0
    for index in range(SIMULATED):
        arrival += random.expovariate(arrivals.requests_per_second)
        while waiting:
            pace = speed.at(len(waiting))[1]
            end = now + (waiting[0][0] - virtual) * pace
            if end > arrival:
                break
            seen.append((len(waiting), tokens, end - now))
            now, virtual = end, waiting[0][0]
            tokens -= heappop(waiting)[1]
        seen.append((len(waiting), tokens, arrival - now))
        virtual += (arrival - now) / speed.at(max(1, len(waiting)))[1]
        now = arrival
        prompt, output = arrivals.prompt.draw(random), arrivals.output.draw(random)
        lead = speed.at(len(waiting) + 1)[0] / speed.at(len(waiting) + 1)[1]
        heappush(waiting, (virtual + lead + output, prompt + output))
        tokens += prompt + output
        if index == SIMULATED // 5:
            seen.clear()
    return Load(
        little=law, mean=_mean(seen), p99=ceil(_quantile([(n, t) for n, _, t in seen], 0.99)),
        tokens_p99=ceil(_quantile([(k, t) for _, k, t in seen], 0.99)), requests=SIMULATED, seed=seed,
    )  # fmt: skip


class _Speeds:
    """TTFT and TPOT at any number of requests, asked for at the powers of two only."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._known: dict[int, tuple[float, float]] = {}

    def at(self, users: float) -> tuple[float, float]:
        """TTFT and TPOT in seconds."""
        low = 1 << (int(users).bit_length() - 1)
        share = users / low - 1
        first, each = self._asked(low)
        if not share:
            return first, each
        more_first, more_each = self._asked(2 * low)
        return (1 - share) * first + share * more_first, (1 - share) * each + share * more_each

    def _asked(self, users: int) -> tuple[float, float]:
        if users not in self._known:
            found = self._times(users)
            if found is None:  # beyond what can be planned: twice as slow as half as many
                first, each = self._asked(users // 2) if users > 1 else (inf, inf)
                found = (2 * first, 2 * each)
            self._known[users] = found
        return self._known[users]


def _mean(seen: Sequence[tuple[int, float, float]]) -> float:
    span = sum(time for _, _, time in seen)
    return sum(count * time for count, _, time in seen) / span if span else 0.0


def _quantile(values: Sequence[tuple[float, float]], share: float) -> float:
    """Quantile of values that each lasted some time."""
    wanted = share * sum(time for _, time in values)
    for value, time in sorted(values):
        wanted -= time
        if wanted <= 0:
            return value
    return 0.0
