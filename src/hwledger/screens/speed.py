"""The speed block: how fast, with its interval, what it waits for, and what to beware of."""

from dataclasses import dataclass, replace

from hwledger.planner.solve.corrections import own_runs
from hwledger.planner.solve.limits import format_rate
from hwledger.planner.throughput import Figure, Throughput, Traffic
from hwledger.units import format_tokens

PLACES = 3
MILLISECONDS = 1000.0
RATES = {
    "prefill_tokens_per_second": "prefill",
    "decode_tokens_per_second": "decode",
    "aggregate_tokens_per_second": "all users",
}
TIMES = {"ttft_seconds": "first token", "tpot_seconds": "per token"}


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One figure in words: ``decode``, ``178 tokens/s``, ``161 … 208``, its basis and what bounds it."""

    name: str
    value: str
    interval: str
    basis: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedBlock:
    """Everything that is shown of a plan's speed.

    Attributes:
        title: what traffic the figures are for.
        rows: the figures that are known.
        notes: why others are not, and speed traps.
    """

    title: str
    rows: tuple[SpeedRow, ...]
    notes: tuple[str, ...]


def speed_block(throughput: Throughput) -> SpeedBlock:
    """Return the block of an estimate; all users together are shown where there is more than one."""
    limits, corrected = dict(throughput.limits), dict(throughput.corrected)
    names = {**RATES, **TIMES}
    if throughput.traffic.concurrency == 1 and throughput.traffic.requests_per_second is None:
        del names["aggregate_tokens_per_second"]
    rows = []
    for key, name in names.items():
        figure = getattr(throughput, key)
        if figure is not None:
            row = _row(name, figure, limits.get(key, ""), rate=key in RATES)
            rows.append(replace(row, basis=f"{row.basis}, own runs") if key in corrected else row)
    return SpeedBlock(
        title=_title(throughput.traffic), rows=tuple(rows),
        notes=(*throughput.unknown, *own_runs(throughput), *throughput.warnings),
    )  # fmt: skip


def _title(traffic: Traffic) -> str:
    cached = f" after {format_tokens(traffic.cached_tokens)} in the cache" if traffic.cached_tokens else ""
    users = f", {traffic.concurrency} at once" if traffic.concurrency > 1 else ""
    if traffic.requests_per_second is not None:
        users = f", {format_rate(traffic.requests_per_second)} arriving"
    prompt, answer = format_tokens(traffic.prompt_tokens), format_tokens(traffic.output_tokens)
    return f"Speed with a prompt of {prompt} tokens{cached} and an answer of {answer}{users}"


def _row(name: str, figure: Figure, limit: str, *, rate: bool) -> SpeedRow:
    if rate:
        unit, scaled = "tokens/s", figure
    else:
        short = figure.value < 1
        unit, scaled = ("ms", figure.scaled(MILLISECONDS)) if short else ("s", figure)
    return SpeedRow(
        name, f"{digits(scaled.value)} {unit}", f"{digits(scaled.low)} … {digits(scaled.high)}",
        figure.basis.value, limit,
    )  # fmt: skip


def digits(value: float) -> str:
    """Return a number with three digits that count: ``12,100``, ``178``, ``5.6``, ``0.048``."""
    whole = len(str(int(value))) if value >= 1 else 0
    if whole >= PLACES:
        step = 10 ** (whole - PLACES)
        return f"{round(value / step) * step:,}"
    return f"{value:.{PLACES}g}"
