"""The use case of measured runs: what is predicted for them, ready to correct later figures."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hwledger.app import open_model, plan
from hwledger.errors import UsageError
from hwledger.model.spec import ModelSpec
from hwledger.planner.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwledger.library.benchmarks.run import BenchmarkRun
    from hwledger.planner.throughput import Point, Throughput


def calibrate(
    runs: "Iterable[BenchmarkRun]",
    *,
    model: str | None = None,
    weights: str | None = None,
    device: str | None = None,
) -> "tuple[Point, ...]":
    """Return measured runs beside what the model predicts for them, ready to be stored.

    Args:
        runs: what ``library.benchmarks.read_runs`` returned.
        model: reference of the model; what the runs say where ``None``.
        weights: number type or quantisation of the weights; as the file says or as stored if ``None``.
        device: the accelerators; what the runs say where ``None``.

    Raises:
        UsageError: a run does not say its model or device, or its speed is not modelled.
        InputError: the model cannot be read.
    """
    opened: dict[str, ModelSpec] = {}
    points: list[Point] = []
    for run in runs:
        ref, where = model or run.model, device or run.device
        if not ref or not where:
            missing = "model" if not ref else "device"
            raise UsageError(f"{run.source} does not say its {missing}; name it with --{missing}")
        spec = opened.setdefault(ref, open_model(ref))
        points += _points(run, spec, weights, where)
    return tuple(points)


def _points(run: "BenchmarkRun", spec: ModelSpec, weights: str | None, device: str) -> "list[Point]":
    """Return one run's measured figures beside the predicted ones."""
    from hwledger.library.benchmarks import stated  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput import calibration  # noqa: PLC0415 - start-up time

    rates = {"decode_tokens_per_second": run.decode, "prefill_tokens_per_second": run.prefill}
    if run.decode is None and run.prefill is None:
        raise UsageError(
            f"{run.source}: no speed of prompts or answers in it, and a time to the first token alone is not "
            "used: it holds waiting too; give prefill_tokens_per_second or decode_tokens_per_second"
        )
    context = run.prompt_tokens + run.cached_tokens + max(1, run.output_tokens)
    weights = stated.fitting_weights(run, spec, weights)
    options = [*run.options, *([("backend", run.backend)] if run.backend else [])]
    made = plan(
        spec, engine=run.engine, weights=weights, device=device, context=context, concurrency=run.concurrency,
        options=[f"{key}={value}" for key, value in options],
    )  # fmt: skip
    stated.check_size(run, made)
    answer, found = _predicted(run, made), []
    for quantity, rate in rates.items():
        if rate is None:
            continue
        if (figure := getattr(answer, quantity)) is None:
            raise UsageError(f"{run.source}: nothing to correct. {' '.join(answer.unknown)}")
        at_once = calibration.requests_at_once(answer)
        point = calibration.point_of(made, quantity, rate, figure.value, run.source, at_once)
        if point is None:
            raise UsageError(f"{run.source}: nothing to correct. The device's memory bandwidth is not known.")
        found.append(_plausible(point))
    return found


def _predicted(run: "BenchmarkRun", made: Plan) -> "Throughput":
    """Return what the model says of a run: at its rate of arrivals where it states one.

    A benchmark may state both a rate and a limit of requests at once; the limit is what holds where more
    arrives than is served.
    """
    from hwledger.planner.throughput import Traffic, estimate  # noqa: PLC0415 - start-up time

    traffic = Traffic(
        prompt_tokens=run.prompt_tokens, output_tokens=max(1, run.output_tokens),
        cached_tokens=run.cached_tokens, concurrency=run.concurrency,
        requests_per_second=run.requests_per_second,
    )  # fmt: skip
    answer = estimate(made, traffic)
    limited = run.requests_per_second is not None and run.concurrency > 1
    if limited and answer.decode_tokens_per_second is None:
        return estimate(made, replace(traffic, requests_per_second=None))
    return answer


def _plausible(point: "Point") -> "Point":
    """Return a point whose two speeds can be of one thing."""
    if not point.plausible:
        what = point.quantity.partition("_")[0]
        raise UsageError(
            f"{point.source}: {what} of {point.measured:,.4g} tokens per second where {point.predicted:,.4g} "
            f"are predicted of {point.model} on {point.device}; too far off to be a correction: check "
            "the model, its weights, the device and the number of users"
        )
    return point
