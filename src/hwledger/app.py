"""The use cases, and the one place where the rooms are wired together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hwledger.library.access import Access
from hwledger.library.own_devices import own_devices
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import DEFAULT_CONTEXT, Plan
from hwledger.planner.plan import plan as plan_spec
from hwledger.units import format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwledger.device.node import Node
    from hwledger.device.spec import DeviceSpec
    from hwledger.library.deployment import Deployment
    from hwledger.planner.solve.arrivals import Arrivals, Lengths
    from hwledger.planner.solve.limits import Limits
    from hwledger.planner.solve.question import Estimator, Question
    from hwledger.planner.throughput import Throughput, Traffic
    from hwledger.telemetry.local import Local
    from hwledger.telemetry.machine import Machine

__all__ = [
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
    least_context: int = 0,
    reserve_bytes: int = 0,
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
        device: the accelerators as people write them: ``"RTX 4090"``, ``"2x H100 SXM"``; or a node,
            ``"DGX H100"``, whose host memory and links then count; ``"local"`` is this machine now.
        options: the engine's own options, ``{"max_num_batched_tokens": 8192}`` or ``["n_ctx=8192"]``;
            they win over ``context`` and ``concurrency``.
        access: how the model may be read: offline, fresh, which revision.
        least_context: tokens that the context holds at least where nothing says how long it is.
        reserve_bytes: kept free on each device.

    What is given here wins over what a command line or a running server says.

    Raises:
        UsageError: the request is wrong: an unknown engine, option, type or device, or a bad value.
        InputError: the model cannot be read.
        UnreachableError: a server does not answer, or the network is not to be used.
    """
    access = access or Access()
    told = _deployment(ref, access)
    longer = least_context if least_context > DEFAULT_CONTEXT else None
    if told is None:
        made = plan_spec(
            _model(ref, access), engine=engine, engine_version=engine_version,
            context=_first(context, longer), concurrency=_first(concurrency, 1) or 0, weights=weights,
            kv_cache=kv_cache, devices=devices_of(device, reserve_bytes), node=named_node(device),
            options=options,
        )  # fmt: skip
        return _with_notes(made, *local_notes(device))
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
        context=_first(context, told.context, whole, longer),
        concurrency=_first(concurrency, told.concurrency, 1) or 0,
        weights=_first(weights, told.weights),
        kv_cache=_first(kv_cache, told.kv_cache),
        devices=devices_of(wanted, reserve_bytes),
        node=named_node(wanted),
        options=[*(kept if same else ()), *as_texts(options)],
    )
    noted = _with_notes(made, *told.notes, *local_notes(wanted))
    return replace(noted, program=told.program)


def local_notes(device: str | None) -> tuple[str, ...]:
    """Return what there is to know of the devices of this machine where a text asks for them."""
    here = _here(device)
    return here.notes if here else ()


def _first(*given: Value | None) -> Value | None:
    """Return the first that is given; zero and nothing are different answers."""
    return next((value for value in given if value is not None), None)


def devices_of(text: str | None, reserve_bytes: int = 0) -> "tuple[DeviceSpec, ...]":
    """Return the devices that a text names, the user's own among them; none for no text.

    Args:
        text: as people write devices; ``local``: this machine's, with what is free on them now.
        reserve_bytes: kept free on each.

    Raises:
        UsageError: a name that is not known or fits several devices.
        InputError: the file of the user's own devices cannot be used, or this machine's tell nothing.
    """
    if not text:
        return ()
    here = _here(text)
    if here is not None:
        found = here.devices
    else:
        from hwledger.device.catalogue import parse_devices  # noqa: PLC0415 - start-up time

        found = parse_devices(text, own_devices())
    if not reserve_bytes:
        return found
    from hwledger.device.options import kept_free  # noqa: PLC0415 - start-up time

    return kept_free(found, reserve_bytes)


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
    if not text:
        return None
    from hwledger.device.node import find_node, node_of  # noqa: PLC0415 - start-up time

    here = _here(text)
    if here is None:
        return find_node(text, own_devices().nodes)
    made = node_of(here.devices, "this machine")
    return made if made.unified else replace(made, host_memory_bytes=here.host_bytes)


def _here(text: str | None) -> "Local | None":
    """Return this machine as a text asks for it; ``None``: it names other devices."""
    if not text or not text.lstrip().lower().startswith("local"):
        return None
    from hwledger.telemetry.local import here  # noqa: PLC0415 - start-up time

    return here(text)


def speed(made: Plan, traffic: "Traffic | None" = None, *, node: "Node | None" = None) -> "Throughput":
    """Return the speed of a plan, corrected by the measured runs that were stored with ``calibrate``.

    Args:
        made: the plan.
        traffic: who asks what; the plan's context, full when an answer ends, where ``None``.
        node: the host and the links; those that the plan's devices were named with where ``None``.

    Measured runs that cannot be read correct nothing, and a warning says so.
    """
    from hwledger.library.benchmarks.store import usable_calibration  # noqa: PLC0415 - start-up time
    from hwledger.planner.solve.power import plan_power_share  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput import estimate  # noqa: PLC0415 - start-up time

    runs, troubles = usable_calibration()
    answer = estimate(made, traffic, node=node, calibration=runs, power_share=plan_power_share(made))
    return replace(answer, warnings=(*answer.warnings, *_stretched(made, answer.traffic), *troubles))


def _stretched(made: Plan, traffic: "Traffic") -> "Iterator[str]":
    """Yield that requests are longer than the plan's context, where they are."""
    asked = traffic.cached_tokens + traffic.prompt_tokens + traffic.output_tokens
    if asked > made.memory.context_tokens:
        yield (
            f"a request of {format_tokens(asked)} tokens is longer than the context of "
            f"{format_tokens(made.memory.context_tokens)}; the speed is as if it held that: give --context"
        )


def cost(made: Plan, fast: "Throughput", kind: str = "rent") -> dict[str, Any] | None:
    """Return the cost of a plan's devices, ``rent`` or ``owned``, and of a million tokens, for JSON."""
    from hwledger.planner.solve.document import plan_cost_document  # noqa: PLC0415 - start-up time

    return plan_cost_document(made, fast, kind)


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


def _with_notes(made: Plan, *notes: str) -> Plan:
    if not notes:
        return made
    return replace(made, memory=replace(made.memory, warnings=(*made.memory.warnings, *notes)))


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
        notes = (*_stretched(made, traffic), *troubles)
        return replace(answer, warnings=(*answer.warnings, *notes)) if notes else answer

    return estimated
