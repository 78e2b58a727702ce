"""The use cases, and the one place where the rooms are wired together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hwledger.errors import UsageError
from hwledger.library.access import Access
from hwledger.library.own_devices import own_devices
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import Plan
from hwledger.planner.plan import plan as plan_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwledger.device.node import Node
    from hwledger.device.spec import DeviceSpec
    from hwledger.library.benchmarks.run import BenchmarkRun
    from hwledger.library.deployment import Deployment
    from hwledger.planner.solve.arrivals import Arrivals, Lengths
    from hwledger.planner.solve.limits import Limits
    from hwledger.planner.solve.question import Estimator, Question
    from hwledger.planner.throughput import Point, Throughput, Traffic
    from hwledger.telemetry.machine import Machine

__all__ = [
    "calibrate",
    "devices_of",
    "estimator",
    "fit_here",
    "node_of",
    "open_model",
    "plan",
    "question_of",
    "show",
    "speed",
]

Value = TypeVar("Value")


def plan(  # noqa: PLR0913 - the planner's public knobs
    ref: "str | ModelSpec | Deployment",
    *,
    engine: str | None = None,
    engine_version: str | None = None,
    context: int | None = None,
    concurrency: int | None = None,
    weights: str | None = None,
    kv_cache: str | None = None,
    device: str | None = None,
    options: Mapping[str, object] | Sequence[str] = (),
    access: Access | None = None,
) -> Plan:
    """Return the memory plan of a model on an engine.

    Args:
        ref: a path, a catalogue name, a model of the hub, an address, a command line that runs a model,
            a deployment that was read from one, or a model that ``open_model`` returned.
        engine: ``vllm``, ``llama.cpp``, ``mlx`` or ``transformers``; by the model's format where ``None``.
        engine_version: version of the engine; its newest known one where ``None``.
        context: tokens of one request; 4096 or the model's limit where ``None``.
        concurrency: requests at once; 1 where ``None``.
        weights: number type or quantisation to plan the weights in; as stored where ``None``.
        kv_cache: number type of the KV cache; the engine's default where ``None``.
        device: the accelerators as people write them: ``"RTX 4090"``, ``"2x H100 SXM"``.
        options: the engine's own options, ``{"max_num_batched_tokens": 8192}`` or ``["n_ctx=8192"]``;
            they win over ``context`` and ``concurrency``.
        access: how the model may be read: offline, fresh, which revision.

    What is given here wins over what a command line or a running server says.

    Raises:
        UsageError: the request is wrong: an unknown engine, option, type or device, or a bad value.
        InputError: the model cannot be read.
        UnreachableError: a server does not answer, or the network is not to be used.
    """
    access = access or Access()
    told = _deployment(ref, access)
    if told is None:
        return plan_spec(
            _model(ref, access), engine=engine, engine_version=engine_version, context=context,
            concurrency=1 if concurrency is None else concurrency, weights=weights, kv_cache=kv_cache,
            devices=devices_of(device), options=options,
        )  # fmt: skip
    from hwledger.library.told import as_texts, told_options  # noqa: PLC0415 - start-up time

    spec = _deployed(told, access)
    same = engine is None or (
        told.engine is not None and engine_profile(engine) is engine_profile(told.engine)
    )
    kept = told_options(told, options, context=context, concurrency=concurrency, kv_cache=kv_cache)
    wanted = device or told.device
    whole = spec.context_length if told.whole_context else None
    made = plan_spec(
        spec,
        engine=engine or told.engine,
        engine_version=engine_version or (told.engine_version if same else None),
        context=_first(context, told.context, whole),
        concurrency=_first(concurrency, told.concurrency, 1) or 0,
        weights=_first(weights, told.weights),
        kv_cache=_first(kv_cache, told.kv_cache),
        devices=devices_of(wanted),
        options=[*(kept if same else ()), *as_texts(options)],
    )
    return _with_notes(made, told)


def _first(*given: Value | None) -> Value | None:
    """Return the first that is given; zero and nothing are different answers."""
    return next((value for value in given if value is not None), None)


def devices_of(text: str | None) -> "tuple[DeviceSpec, ...]":
    """Return the devices that a text names, the user's own among them; none for no text.

    Raises:
        UsageError: a name that is not known or fits several devices.
        InputError: the file of the user's own devices cannot be used.
    """
    if not text:
        return ()
    from hwledger.device.catalogue import parse_devices  # noqa: PLC0415 - start-up time

    return parse_devices(text, own_devices())


def node_of(text: str) -> "Node":
    """Return the node that a text names: one of the user's, a well-known one, or a list of devices.

    Raises:
        UsageError, InputError: as ``devices_of``.
    """
    from hwledger.device.node import parse_node  # noqa: PLC0415 - start-up time

    return parse_node(text, own_devices())


def named_node(text: str | None) -> "Node | None":
    """Return the node that a text names, one of the user's or a well-known one; ``None``: it names devices.

    Raises:
        UsageError, InputError: as ``devices_of``.
    """
    from hwledger.device.node import find_node  # noqa: PLC0415 - start-up time

    return find_node(text, own_devices().nodes) if text else None


def speed(made: Plan, traffic: "Traffic | None" = None, *, node: "Node | None" = None) -> "Throughput":
    """Return the speed of a plan, corrected by the measured runs that were stored with ``calibrate``.

    Args:
        made: the plan.
        traffic: who asks what; the plan's context, full when an answer ends, where ``None``.
        node: the host and the links; what is known of the devices alone where ``None``.

    Measured runs that cannot be read correct nothing, and a warning says so.
    """
    from hwledger.library.benchmarks.store import usable_calibration  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.power import plan_power_share  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput import estimate  # noqa: PLC0415 - start-up time

    runs, troubles = usable_calibration()
    answer = estimate(made, traffic, node=node, calibration=runs, power_share=plan_power_share(made))
    return replace(answer, warnings=(*answer.warnings, *troubles))


def cost(made: Plan, fast: "Throughput") -> dict[str, Any] | None:
    """Return the cost of a plan's devices, and of a million tokens at that speed, for JSON."""
    from hwledger.planner.solve.document import plan_cost_document  # noqa: PLC0415 - start-up time

    return plan_cost_document(made, fast)


def calibrate(
    runs: "Iterable[BenchmarkRun]",
    *,
    model: str | None = None,
    weights: str | None = None,
    device: str | None = None,
) -> "tuple[Point, ...]":
    """Return measured runs beside what the model predicts for them, ready to be stored.

    Args:
        runs: what ``library.benchmarks.reading.read_runs`` returned.
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


def show(ref: str, *, access: Access | None = None) -> ModelSpec:
    """Return the model that a reference, a command line or a running engine means.

    Raises:
        UsageError, InputError, UnreachableError: as ``plan``.
    """
    access = access or Access()
    told = _deployment(ref, access)
    if told is None:
        return open_model(ref, access=access)
    return _deployed(told, access)


def fit_here(spec: ModelSpec, machine: "Machine") -> Plan:
    """Return the plan of a model on a machine at 4096 tokens and one request, by the model's format.

    Without an accelerator the host's memory is what counts, and transformers stands in for vLLM.

    Raises:
        UsageError: the engine cannot run the model.
    """
    engine = None
    if not machine.accelerators and spec.format not in {"gguf", "mlx"}:
        engine = "transformers"
    return plan_spec(spec, engine=engine, devices=machine.devices)


def _model(ref: "str | ModelSpec | Deployment", access: Access) -> ModelSpec:
    if isinstance(ref, ModelSpec):
        return ref
    return open_model(ref if isinstance(ref, str) else ref.model, access=access)


def _deployment(ref: "str | ModelSpec | Deployment", access: Access) -> "Deployment | None":
    if isinstance(ref, ModelSpec) or (isinstance(ref, str) and not _may_tell(ref)):
        return None
    from hwledger.library.deploy import deployment_of  # noqa: PLC0415 - start-up time

    return deployment_of(ref, access)


def _deployed(told: "Deployment", access: Access) -> ModelSpec:
    from hwledger.library.deploy import open_deployed  # noqa: PLC0415 - start-up time

    return open_deployed(told, access)


def _may_tell(ref: str) -> bool:
    """Whether a reference can be more than a model's name: a command has spaces, a server a colon."""
    return " " in ref.strip() or "\n" in ref.strip() or ":" in ref


def _with_notes(made: Plan, told: "Deployment") -> Plan:
    warnings = (*made.memory.warnings, *told.notes)
    return replace(made, memory=replace(made.memory, warnings=warnings), program=told.program)


def question_of(  # noqa: PLR0913 - what a question holds
    made: Plan,
    *,
    limits: "Limits | None" = None,
    given: Sequence[str] = (),
    arrivals: "Arrivals | None" = None,
    prompt: "Lengths | None" = None,
    output: "Lengths | None" = None,
    seed: int = 0,
) -> "Question":
    """Return what the solver is asked: a plan, the limits, and what of it is fixed.

    Args:
        made: the plan to start from.
        limits: what every answer has to hold.
        given: unknowns that were fixed by hand: ``context``, ``concurrency``, ``weights``, ``kv-cache``.
        arrivals: who comes how often.
        prompt: lengths of prompts where there are no arrivals.
        output: lengths of answers where there are no arrivals.
        seed: of the simulation of arrivals.
    """
    from hwledger.device.catalogue import devices  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.limits import Limits  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.question import Question  # noqa: PLC0415 - start-up time

    own = (entry.device for entry in own_devices().devices)
    return Question(
        request=made.request, profile=engine_profile(made.engine), limits=limits or Limits(),
        given=frozenset(given), arrivals=arrivals, prompt=prompt, output=output, estimator=estimator(),
        catalogue=(*own, *devices()), seed=seed,
    )  # fmt: skip


def estimator() -> "Estimator":
    """Return the speed estimate that every way is held to.

    It knows the user's own measured runs, and the tightest power limit that is set on a way's devices;
    where the runs cannot be read, each answer has a warning that says so.
    """
    from hwledger.library.benchmarks.store import usable_calibration  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.power import plan_power_share  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput import estimate  # noqa: PLC0415 - start-up time

    runs, troubles = usable_calibration()

    def estimated(made: Plan, traffic: "Traffic") -> "Throughput":
        answer = estimate(made, traffic, calibration=runs, power_share=plan_power_share(made))
        return replace(answer, warnings=(*answer.warnings, *troubles)) if troubles else answer

    return estimated
