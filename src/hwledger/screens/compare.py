"""The compare screen: models, devices and quantisations side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from hwledger.app import plan, question_of
from hwledger.errors import UsageError
from hwledger.library.access import Access
from hwledger.planner.fit import Verdict
from hwledger.planner.solve.choices import engine_runs_on
from hwledger.planner.solve.corrections import own_runs
from hwledger.planner.solve.document import per_million
from hwledger.planner.solve.limits import seconds
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS, quality_words
from hwledger.planner.solve.question import Measured, measure
from hwledger.planner.solve.ranking import engine_for
from hwledger.planner.solve.whatif import quality_of
from hwledger.planner.throughput import Figure
from hwledger.screens.solve import price_words
from hwledger.screens.speed import digits
from hwledger.units import format_count, format_gib, format_tokens

MOST_COMPARED = 12
VERDICTS = {Verdict.FITS: "fits", Verdict.TIGHT: "fits tightly", Verdict.DOES_NOT_FIT: "does not fit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One column: its name, the plan, and what is known of its quality."""

    name: str
    measured: Measured
    engine: str
    quality: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareQuestion:
    """What is compared: every combination of the lists."""

    models: tuple[str, ...]
    devices: tuple[str | None, ...]
    weights: tuple[str | None, ...]
    kv_caches: tuple[str | None, ...]
    engines: tuple[str | None, ...]
    context: int | None
    concurrency: int | None
    options: tuple[str, ...]


def compare(asked: CompareQuestion, access: Access) -> list[Compared]:
    """Return every combination planned and estimated.

    Raises:
        UsageError: fewer than two things, or too many.
        HwledgerError: as ``app.plan``; a combination that its engine refuses is shown as refused.
    """
    combinations = list(product(asked.models, asked.devices, asked.engines, asked.weights, asked.kv_caches))
    if len(combinations) < 2:  # noqa: PLR2004 - a comparison has two sides
        raise UsageError("compare two things at least: models, --device, --weights, --kv-cache or --engine")
    if len(combinations) > MOST_COMPARED:
        raise UsageError(
            f"{len(combinations)} columns are too many side by side; compare {MOST_COMPARED} at most"
        )
    return [_compared(asked, combination, access) for combination in combinations]


_Combination = tuple[str, str | None, str | None, str | None, str | None]


def _compared(asked: CompareQuestion, combination: _Combination, access: Access) -> Compared:
    model, device, engine, weights, kv_cache = combination
    name = _name(asked, combination)
    made = plan(
        model, engine=engine or _engine(model, device, access), context=asked.context,
        concurrency=asked.concurrency, weights=weights, kv_cache=kv_cache, device=device,
        options=asked.options, access=access,
    )  # fmt: skip
    measured = measure(question_of(made), made.request)
    quality = (*quality_of(WEIGHTS, weights), *(quality_of(KV_CACHE, kv_cache) if kv_cache else ()))
    return Compared(
        name=name, measured=measured, engine=f"{made.engine} {made.request.version}", quality=quality
    )


def _engine(model: str, device: str | None, access: Access) -> str | None:
    """``None``, the format's own engine, where the devices run it; else the engine of ``hwledger fit``."""
    if device is None:
        return None
    made = plan(model, device=device, access=access)
    devices = made.request.devices
    runs = all(engine_runs_on(made.engine, one, len(devices)) for one in devices)
    return None if runs else engine_for(made.spec, devices)


def _name(asked: CompareQuestion, combination: _Combination) -> str:
    """What tells a column from the others."""
    axes = (asked.models, asked.devices, asked.engines, asked.weights, asked.kv_caches)
    words = [
        value.rpartition("/")[2] if place == 0 else f"KV {value}" if place == len(axes) - 1 else value
        for place, (axis, value) in enumerate(zip(axes, combination, strict=True))
        if value is not None and len(axis) > 1
    ]
    return ", ".join(words) or "as stored"


def compare_rows(compared: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: a name, and one cell a column."""
    measured = [one.measured for one in compared]
    yield ("engine", *(one.engine for one in compared))
    yield ("parameters", *(_parameters(one) for one in measured))
    yield ("weights", *(one.request.weights or "as stored" for one in measured))
    yield ("context", *(format_tokens(one.request.workload.context_tokens) for one in measured))
    yield ("memory", *(format_gib(one.plan.total_bytes) if one.plan else "refused" for one in measured))
    yield ("KV cache", *(_category(one) for one in measured))
    yield ("fit", *(_fit(one) for one in measured))
    for name, key in (
        ("tokens/s, one user", "decode_tokens_per_second"),
        ("prompt tokens/s", "prefill_tokens_per_second"),
    ):
        yield (name, *(_figure(one, key) for one in measured))
    if any(one.request.workload.concurrency > 1 for one in measured):
        yield ("tokens/s, all users", *(_figure(one, "aggregate_tokens_per_second") for one in measured))
    yield ("first token", *(_time(one, "ttft_seconds") for one in measured))
    yield ("USD/h", *(price_words(one.cost) or "?" for one in measured))
    yield ("USD/1M tokens", *(_number(per_million(one.cost, one.throughput), ".3g") for one in measured))
    yield ("watts", *(_number(one.cost.watts, ",.0f") for one in measured))
    yield ("quality", *(quality_words(WEIGHTS, one.request.weights) for one in measured))


def _parameters(measured: Measured) -> str:
    census = measured.request.spec.census
    active = f" ({format_count(census.active)} active)" if census.active != census.total else ""
    return f"{format_count(census.total)}{active}"


def _category(measured: Measured) -> str:
    if measured.plan is None:
        return ""
    totals = measured.plan.by_category
    return format_gib(
        sum(size for category, size in totals.items() if category.value in {"kv_cache", "state"})
    )


def _fit(measured: Measured) -> str:
    fit = measured.plan.fit if measured.plan else None
    if fit is None:
        return measured.refusal or "no device"
    word = "too much" if fit.headroom_bytes < 0 else "to spare"
    return f"{VERDICTS[fit.verdict]}, {format_gib(abs(fit.headroom_bytes))} {word}"


def _found(measured: Measured, key: str) -> Figure | None:
    found: Figure | None = getattr(measured.throughput, key) if measured.throughput else None
    return found


def _figure(measured: Measured, key: str) -> str:
    figure = _found(measured, key)
    if figure is None:
        return "-" if measured.misses else "?"
    return f"{digits(figure.value)} ({digits(figure.low)} … {digits(figure.high)})"


def _time(measured: Measured, key: str) -> str:
    figure = _found(measured, key)
    return seconds(figure.value) if figure else ("-" if measured.misses else "?")


def _number(value: float | None, shape: str) -> str:
    return "?" if value is None else format(value, shape)


def unknowns(compared: Sequence[Compared]) -> tuple[str, ...]:
    """Return why figures are not known, and what to beware of, once each."""
    found: dict[str, None] = {}
    for one in compared:
        if one.measured.throughput:
            lines = (
                *one.measured.throughput.unknown,
                *own_runs(one.measured.throughput),
                *one.measured.throughput.warnings,
            )
            found.update(dict.fromkeys(f"{one.name}: {line}" for line in lines))
        found.update(dict.fromkeys(one.measured.cost.unknown))
    return tuple(found)
