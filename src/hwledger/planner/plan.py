"""The plan: what an engine answers, added up per category, device and layer, and held against the devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hwledger.device.spec import DeviceSpec
from hwledger.errors import UsageError
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import EngineProfile, engine_profile
from hwledger.planner.engines.versions import is_newer
from hwledger.planner.fit import Change, Fit, Verdict, judge
from hwledger.planner.memory import HOST, Category, EngineMemory
from hwledger.planner.options import parse_options
from hwledger.planner.request import Request, Workload
from hwledger.planner.weights import weigh

if TYPE_CHECKING:
    from hwledger.device.node import Node

DEFAULT_CONTEXT = 4096
ENGINE_OF_FORMAT = {"gguf": "llama.cpp", "mlx": "mlx"}
DEFAULT_ENGINE = "vllm"


@dataclass(frozen=True, kw_only=True)
class DevicePlan:
    """What one device holds.

    Attributes:
        name: of the device; ``any`` where none was given.
        capacity_bytes, usable_bytes: of the device, the engine's own share of it where it takes one;
            ``None`` where none was given.
        by_category: bytes per category.
        verdict: how it fits; ``None`` where no device was given.
    """

    name: str
    capacity_bytes: int | None
    usable_bytes: int | None
    by_category: Mapping[Category, int]
    high_bytes: int
    verdict: Verdict | None

    @property
    def total_bytes(self) -> int:
        """Everything that the plan puts on this device."""
        return sum(self.by_category.values())


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One decoder layer of the plan; bytes over all devices and all concurrent requests."""

    index: int
    kind: str
    mixer: str
    parameters: int
    active_parameters: int
    weights_bytes: int
    kv_cache_bytes: int
    state_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The memory plan of one model on one engine.

    Attributes:
        request: what was asked, fully resolved.
        engine: name of the engine.
        memory: the engine's answer.
        fit: the verdict over all devices; ``None`` where no device was given, or where the weights are
            unknown and the rest fits.
        program: the command line or server whose settings were planned; empty where there was none.
    """

    request: Request
    engine: str
    memory: EngineMemory
    fit: Fit | None = None
    program: str = ""

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.request.spec

    @cached_property
    def by_category(self) -> dict[Category, int]:
        """Bytes per category, devices and host together."""
        totals = dict.fromkeys(Category, 0)
        for component in self.memory.components:
            totals[component.category] += component.size_bytes
        return totals

    @property
    def total_bytes(self) -> int:
        """The sum of all components."""
        return sum(component.size_bytes for component in self.memory.components)

    @property
    def host_bytes(self) -> int:
        """The part of the total that lives in host memory."""
        return sum(c.size_bytes for c in self.memory.components if c.place == HOST)

    @property
    def host_headroom_bytes(self) -> int | None:
        """What the named node's host keeps free; ``None`` where nothing is there or its size is not known."""
        request, used = self.request, self.host_bytes
        if not used or request.node is None:
            return None
        from hwledger.device.node import host_room_bytes  # noqa: PLC0415 - only where a node is named

        room = host_room_bytes(request.node, request.devices, self.total_bytes - used)
        return None if room is None else int(room) - used

    @property
    def total_interval_bytes(self) -> tuple[int, int]:
        """The sums of the components' interval ends: an outer bound of the 80 % interval."""
        ends = [component.interval_bytes for component in self.memory.components]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def export(self, target: str, *, force: bool = False) -> str:
        """Return the command or file that runs this plan; see ``hwledger.planner.export.export``.

        Raises:
            UsageError: the target cannot run this plan.
            DoesNotFitError: the plan does not fit its devices, and ``force`` is off.
        """
        from hwledger.planner.export import export  # noqa: PLC0415 - start-up time

        return export(self, target, force=force)

    @cached_property
    def devices(self) -> tuple[DevicePlan, ...]:
        """What each device holds, in the order given."""
        plans = device_plans(self.request.devices, self.memory)
        if self.spec.weights_known:
            return tuple(plans)
        bad = Verdict.DOES_NOT_FIT
        return tuple(replace(plan, verdict=bad if plan.verdict is bad else None) for plan in plans)

    @cached_property
    def layers(self) -> tuple[LayerPlan, ...]:
        """The plan per decoder layer."""
        census = self.spec.census
        weights = weigh(self.spec, self.request.weights).by_layer
        return tuple(
            LayerPlan(
                index=layer.index,
                kind=layer.kind,
                mixer=" + ".join(mixer.name for mixer in layer.mixers),
                parameters=census.by_layer[layer.index],
                active_parameters=census.active_by_layer[layer.index],
                weights_bytes=weights[layer.index],
                kv_cache_bytes=memory.kv_cache_bytes,
                state_bytes=memory.state_bytes,
            )
            for layer, memory in zip(self.spec.layers, self.memory.layers, strict=True)
        )


def device_plans(devices: Sequence[DeviceSpec], memory: EngineMemory) -> list[DevicePlan]:
    """Return what each place of the answer holds, held against its device."""
    places = max([len(devices), *(c.place + 1 for c in memory.components)])
    plans = []
    for place in range(places):
        device = devices[place] if place < len(devices) else None
        totals = dict.fromkeys(Category, 0)
        high = 0
        for component in memory.components:
            if component.place == place:
                totals[component.category] += component.size_bytes
                high += component.interval_bytes[1]
        usable = round(device.usable_bytes * memory.usable_share) if device else None
        plans.append(
            DevicePlan(
                name=device.name if device else "any",
                capacity_bytes=device.memory_bytes if device else None,
                usable_bytes=usable,
                by_category=totals,
                high_bytes=high,
                verdict=judge(sum(totals.values()), high, usable) if usable is not None else None,
            )
        )
    return plans


def make_request(  # noqa: PLR0913 - the planner's public knobs
    spec: ModelSpec,
    profile: EngineProfile,
    *,
    engine_version: str | None = None,
    context: int | None = None,
    concurrency: int = 1,
    weights: str | None = None,
    kv_cache: str | None = None,
    devices: Sequence[DeviceSpec] = (),
    node: "Node | None" = None,
    options: Mapping[str, object] | Sequence[str] = (),
) -> Request:
    """Return the request with every default filled in.

    Raises:
        UsageError: a number is out of range, an option is unknown or a version is none.
    """
    limit = 1 << 40
    wanted = context if context is not None else min(spec.context_length or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    if not 1 <= wanted <= limit:
        raise UsageError(f"a context of {wanted} tokens cannot be planned; give 1 to 2**40")
    if not 1 <= concurrency <= 1 << 20:
        raise UsageError(f"a concurrency of {concurrency} cannot be planned; give 1 to 1,048,576")
    return Request(
        spec=spec,
        workload=Workload(context_tokens=wanted, concurrency=concurrency),
        version=profile.check_version(engine_version) if engine_version else profile.newest,
        options=parse_options(profile.name, profile.options, options),
        weights=weights,
        kv_cache=kv_cache,
        devices=tuple(devices),
        node=node,
    )


def default_engine(spec: ModelSpec) -> str:
    """Return the engine that a model's format is made for: vLLM where nothing says otherwise."""
    return ENGINE_OF_FORMAT.get(spec.format, DEFAULT_ENGINE)


def plan_request(request: Request, profile: EngineProfile) -> Plan:
    """Return the plan of one request, with a verdict where devices are given."""
    memory = profile.memory(request)
    if is_newer(request.version, profile.newest):
        newer = (
            f"{profile.name} {request.version} is newer than {profile.newest}, up to which the rules here"
            " were checked; the newest rules are used"
        )
        memory = replace(memory, warnings=(*memory.warnings, newer))
    plan = Plan(request=request, engine=profile.name, memory=memory)
    if not request.devices:
        return plan
    return replace(plan, fit=_fit(plan))


def _fit(plan: Plan) -> Fit | None:
    """Return the verdict of the worst place, a named node's host among them, and the least headroom.

    Where the weights are unknown the plan is a lower bound: it can fail to fit, and nothing says it fits.
    """
    headrooms = [d.usable_bytes - d.total_bytes for d in plan.devices if d.usable_bytes is not None]
    verdicts = [d.verdict for d in device_plans(plan.request.devices, plan.memory) if d.verdict is not None]
    host = plan.host_headroom_bytes
    if host is not None and host < 0:
        verdicts.append(Verdict.DOES_NOT_FIT)
    worst = max(verdicts, key=list(Verdict).index)
    if not plan.spec.weights_known and worst is not Verdict.DOES_NOT_FIT:
        return None
    return Fit(verdict=worst, headroom_bytes=min(headrooms), host_headroom_bytes=host)


def plan(  # noqa: PLR0913 - the planner's public knobs
    spec: ModelSpec,
    *,
    engine: str | None = None,
    engine_version: str | None = None,
    context: int | None = None,
    concurrency: int = 1,
    weights: str | None = None,
    kv_cache: str | None = None,
    devices: Sequence[DeviceSpec] = (),
    node: "Node | None" = None,
    options: Mapping[str, object] | Sequence[str] = (),
    suggest: bool = True,
) -> Plan:
    """Return the memory plan of a model.

    Args:
        spec: the model.
        engine: name of an engine profile; by the model's format where ``None``.
        engine_version: version of the engine; its newest known one where ``None``.
        context: tokens of one request; at most 4096 where ``None``.
        concurrency: requests at once.
        weights: number type or quantisation to plan the weights in.
        kv_cache: number type of the KV cache.
        devices: the accelerators, in order.
        node: the node that they are in, where one was named: its host memory and its links count.
        options: the engine's own options, which win over ``context`` and ``concurrency``.
        suggest: look for changes that make a plan fit that does not.

    Raises:
        UsageError: the request is wrong.
        InputError: the model cannot be planned.
    """
    profile = engine_profile(engine or default_engine(spec))
    request = make_request(
        spec, profile, engine_version=engine_version, context=context, concurrency=concurrency,
        weights=weights, kv_cache=kv_cache, devices=devices, node=node, options=options,
    )  # fmt: skip
    made = plan_request(request, profile)
    if suggest and made.fit and made.fit.verdict is Verdict.DOES_NOT_FIT:
        return replace(made, fit=replace(made.fit, changes=_changes(made, profile)))
    return made


def _changes(made: Plan, profile: EngineProfile) -> tuple[Change, ...]:
    from hwledger.planner.changes import find_changes  # noqa: PLC0415 - only where a plan does not fit

    return find_changes(made, profile)
