"""The speed of a plan on llama.cpp and mlx: one request on one or several devices, the rest in host memory.

Constants and intervals come from measurements of single requests. Several requests at once are derived from
them (weights are read once per step, prompts delay the others' tokens) and not measured: the intervals are
wider and the basis says ``assumed``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp

from hwledger.device.node import Node
from hwledger.device.spec import DeviceSpec
from hwledger.planner.memory import Basis
from hwledger.planner.plan import Plan
from hwledger.planner.throughput.assumptions import Assumed, assumed
from hwledger.planner.throughput.constants import Constants, bound_by, shipped_constants
from hwledger.planner.throughput.decode import decode_terms
from hwledger.planner.throughput.figure import Figure, Throughput, Traffic
from hwledger.planner.throughput.host import Host
from hwledger.planner.throughput.layout import Layout, layout_of
from hwledger.planner.throughput.pipeline import Stage, larger, launches, overlapped
from hwledger.planner.throughput.prefill import piped, prefill_terms
from hwledger.planner.throughput.regime import group_of, hardware_of, situation_of
from hwledger.planner.throughput.setting import BACKENDS, Setting, setting_of
from hwledger.planner.throughput.silicon import Silicon, silicon_of
from hwledger.planner.throughput.speculation import Speculation
from hwledger.planner.throughput.terms import MICROSECOND, WHOLE, Share, Term
from hwledger.planner.throughput.work import Work, cached_element_bytes, plan_work

FAMILY_CONSTANTS = {"decode": "e.family", "prefill": "p.family"}


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds with the ends of their interval, and what they are spent on."""

    value: float
    low: float
    high: float
    parts: dict[str, float]
    source: str

    @property
    def ends(self) -> tuple[float, float, float]:
        """Best, lowest and highest."""
        return self.value, self.low, self.high


@dataclass(frozen=True, slots=True)
class Chip:
    """Alike devices that run a part of the model together; all times are linear in the share."""

    silicon: Silicon
    setting: Setting
    share: Share
    count: int


@dataclass(frozen=True)
class Single:
    """One plan while its speed is estimated.

    Attributes:
        plan, traffic: what is asked.
        work: what the model takes.
        layout: which device runs what.
        stages: the devices that share the layers, in order.
        chips: the same with alike devices together, with their number and the sum of their shares.
        host: what the host does.
        constants: the fitted constants.
    """

    plan: Plan
    traffic: Traffic
    work: Work
    layout: Layout
    stages: tuple[Chip, ...]
    chips: tuple[Chip, ...]
    host: Host
    constants: Constants

    def decode(self, batch: int, tokens: int = 1) -> Time:
        """Return the time of one step of ``batch`` requests; each has one token made or several verified."""
        element = cached_element_bytes(self.plan)
        depth = self.traffic.mean_depth
        terms: list[Term] = []
        for chip in self.chips:
            terms += decode_terms(
                self.work, chip.silicon, chip.setting, depth=depth, cache_bytes=element, batch=batch,
                tokens=tokens, share=chip.share,
            )  # fmt: skip
            if batch * tokens > 1:
                terms += _multiplied(self.work, chip, batch * tokens - 1)
        if len(self.stages) > 1:
            terms.append(Term("hops", (len(self.stages) - 1) * MICROSECOND, (("h", 1.0),)))
        parts = self.constants.parts(terms)
        host = self.host.decode(batch, batch * tokens, depth)
        before = self.traffic.cached_tokens + self.traffic.prompt_tokens
        return self._time("decode", parts, host, depth=before, wide=batch * tokens > 1)

    def speculated(self, batch: int, speculation: Speculation) -> Time:
        """Return the time per token of each request where tokens are drafted and verified."""
        step, round_ = self.decode(batch), self.decode(batch, speculation.drafted + 1)
        value, low, high = (
            speculation.seconds_per_token(one, many) for one, many in zip(step.ends, round_.ends, strict=True)
        )
        source = f"{round_.source}; {speculation.tokens_per_round:.2f} tokens a round: {speculation.source}"
        return Time(value, low, high, round_.parts, source)

    def prefill(self) -> Time | str:
        """Return the time of one prompt, or why it is not known."""
        host = self.host.prefill(self.traffic)
        if isinstance(host, str):
            return host
        parts = self._stage_parts()
        if parts is None:
            return "the device's rate of arithmetic is not known, so prompts cannot be timed"
        overlap, total = self._overlap(parts), dict[str, float]()
        for own in parts:
            for name, seconds in own.items():
                total[name] = total.get(name, 0.0) + overlap * seconds
        return self._time("prefill", total, host, depth=self.traffic.cached_tokens, wide=False)

    def _stage_parts(self) -> list[dict[str, float]] | None:
        """Return the seconds of each stage's turns at the prompt by name; ``None``: a rate is not known.

        What is copied from the host is multiplied by the first device (llama.cpp b11434 ggml-backend.cpp
        ``ggml_backend_sched_backend_id_from_cur``: the first that takes it), which attends there, too.
        """
        whole: dict[tuple[int, Share], dict[str, float]] = {}
        found = []
        for number, stage in enumerate(self.stages):
            share = stage.share + self.host.lent(self.traffic) if number == 0 else stage.share
            even = share.layers == share.experts == share.cache
            key = id(stage.silicon), WHOLE if even else share
            if key not in whole:
                terms = prefill_terms(
                    self.work, stage.silicon, stage.setting, tokens=self.traffic.prompt_tokens,
                    depth=self.traffic.cached_tokens, stages=len(self.stages), share=key[1],
                )  # fmt: skip
                if terms is None:
                    return None
                whole[key] = self.constants.parts(terms)
            factor = share.layers if even else 1.0  # every term is linear in the share
            found.append({name: factor * seconds for name, seconds in whole[key].items()})
        return found

    def _overlap(self, parts: list[dict[str, float]]) -> float:
        """Return the time of a prompt over that of all turns one after another; 1 with a part on the host.

        llama.cpp b11434 ``src/llama-context.cpp`` wants all layers and their caches on devices for it.
        """
        together = all(piped(stage.setting, len(self.stages)) for stage in self.stages)
        if not together or self.layout.host is not None:
            return 1.0
        setting = self.stages[0].setting
        kernels = launches(self.work, setting)
        stages = [
            Stage(sum(own.values()), stage.share.layers * kernels)
            for own, stage in zip(parts, self.stages, strict=True)
        ]
        return float(overlapped(stages, ceil(self.traffic.prompt_tokens / setting.micro_batch)))

    def _time(
        self, quantity: str, parts: dict[str, float], host: Assumed | None, *, depth: float, wide: bool
    ) -> Time:
        """Return the sum with the interval of its regime, widened where something was never measured."""
        low, high, regime = self._ends(quantity, depth)
        if wide:
            factor = assumed("batch_interval").value
            low, high = low / factor, high * factor
        value = sum(parts.values())
        if host is None:
            return Time(value, value / high, value / low, parts, regime)
        name = "copies" if quantity == "prefill" else "host"
        return Time(
            value + host.value, value / high + host.low, value / low + host.high,
            {**parts, name: host.value}, f"{regime}; host: {host.source}",
        )  # fmt: skip

    def _ends(self, quantity: str, depth: float) -> tuple[float, float, str]:
        """Return the ends of measured over predicted speed, and where they are from; of mixed devices all."""
        wrapped, known = self.stages[0].setting.wrapped, self.constants.ends
        situation = situation_of(self.work, devices=len(self.stages), depth=depth, wrapped=wrapped)
        kinds = dict.fromkeys(hardware_of(chip.silicon) for chip in self.chips)
        groups = [group_of(quantity, kind, situation) for kind in kinds]
        letter = FAMILY_CONSTANTS[quantity]
        if any(f"{letter}:{one.silicon.family}" not in self.constants.values for one in self.chips):
            groups.insert(0, f"{quantity}, family never measured")
        low, high = min(known[one][0] for one in groups), max(known[one][1] for one in groups)
        return exp(low), exp(high), groups[0]


def _multiplied(work: Work, chip: Chip, tokens: int) -> Sequence[Term]:
    """Return the arithmetic of further requests in a step, at the rate of prompts."""
    terms = prefill_terms(work, chip.silicon, chip.setting, tokens=tokens, share=chip.share) or ()
    return [term for term in terms if term.name in {"matrices", "expert matrices"}]


def prepare(plan: Plan, traffic: Traffic, node: Node, power_share: float) -> Single | str:
    """Return a plan ready to be timed, or why its speed is not known."""
    layout = layout_of(plan)
    devices = plan.request.devices
    if not layout.devices:
        return "the model runs on the host's processor, which is not measured"
    if plan.engine == "mlx" and len(devices) > 1:
        return "mlx over several machines is not measured"
    if not (plan.spec.tensors or plan.spec.stored_tensors):
        return "the weights are unknown: only metadata was read"
    constants = shipped_constants()
    stages: list[Chip] = []
    known: dict[int, Chip] = {}
    for number, share in layout.devices:
        device = devices[number]
        if id(device) in known:
            stages.append(Chip(known[id(device)].silicon, known[id(device)].setting, share, 1))
            continue
        silicon, setting = silicon_of(device, power_share), setting_of(plan, device)
        if silicon is None:
            return f"the memory bandwidth of {device.name} is not known"
        if f"e.on:{silicon.vendor} {setting.backend}" not in constants.values:
            return _unmeasured(plan, device, setting)
        known[id(device)] = Chip(silicon, setting, share, 1)
        stages.append(known[id(device)])
    work = plan_work(plan)
    host = Host(plan, work, layout, node, stages[0].setting.micro_batch)
    return Single(plan, traffic, work, layout, tuple(stages), _alike(stages), host, constants)


def _alike(stages: Sequence[Chip]) -> tuple[Chip, ...]:
    """Return alike devices together, with their number and the sum of their shares."""
    chips: dict[tuple[Silicon, Setting], Chip] = {}
    for one in stages:
        key = one.silicon, one.setting
        known = chips.get(key)
        chips[key] = Chip(*key, known.share + one.share, known.count + 1) if known else one
    return tuple(chips.values())


def _unmeasured(plan: Plan, device: DeviceSpec, setting: Setting) -> str:
    if device.vendor not in BACKENDS:
        makers = ", ".join(BACKENDS)
        return f"who made {device.name} is not said; give its vendor in devices.toml: {makers}"
    where = f"{plan.engine} with {setting.backend} on a device of {device.vendor}"
    return f"no measurement of {where} ships"


def estimate_single(
    plan: Plan,
    traffic: Traffic,
    node: Node,
    power_share: float = 1.0,
    speculation: Speculation | None = None,
) -> Throughput:
    """Return the speed of a plan on llama.cpp or mlx."""
    single = prepare(plan, traffic, node, power_share)
    if isinstance(single, str):
        return Throughput(traffic=traffic, unknown=(f"No figure of speed: {single}.",))
    return _answer(single, speculation)


def _answer(single: Single, speculation: Speculation | None) -> Throughput:
    traffic, users = single.traffic, single.traffic.concurrency
    plain = users == 1 and single.layout.host is None and speculation is None
    basis = Basis.CALIBRATED if plain else Basis.ASSUMED
    step = single.speculated(users, speculation) if speculation else single.decode(users)
    prompt = single.prefill() if traffic.prompt_tokens else "there is no prompt"
    limits = [("decode_tokens_per_second", bound_by(step.parts))]
    if isinstance(prompt, str):
        decode = _figure(step, basis).inverse()
        return Throughput(
            traffic=traffic, decode_tokens_per_second=decode,
            aggregate_tokens_per_second=decode.scaled(users),
            tpot_seconds=_figure(step, basis), limits=tuple(limits),
            unknown=(f"No figure of prefill and of time to the first token: {prompt}.",),
        )  # fmt: skip
    limits.insert(0, ("prefill_tokens_per_second", bound_by(prompt.parts)))
    each = _figure(between_tokens(step, prompt, traffic), basis)
    return Throughput(
        traffic=traffic,
        prefill_tokens_per_second=_figure(prompt, basis).inverse().scaled(traffic.prompt_tokens),
        decode_tokens_per_second=each.inverse(),
        aggregate_tokens_per_second=each.inverse().scaled(users),
        ttft_seconds=_figure(first_token(step, prompt, traffic), basis),
        tpot_seconds=each,
        limits=tuple(limits),
    )


def _figure(time: Time, basis: Basis) -> Figure:
    source = f"speed model fitted to measured speeds (accuracy/data/speed.csv); interval: {time.source}"
    return Figure(time.value, time.low, time.high, basis, source)


def between_tokens(step: Time, prompt: Time, traffic: Traffic) -> Time:
    """Return the time between two tokens: a step, and the others' prompts that come between."""
    between = (traffic.concurrency - 1) / traffic.output_tokens
    return _sum(step, prompt, between)


def first_token(step: Time, prompt: Time, traffic: Traffic) -> Time:
    """Return the time to the first token: the prompt, and what is left of another's prompt.

    The first token is sampled from what the prompt's last token gives, so no step is added; a prompt takes
    at least as long as a step, for its weights are read once, too.
    With n users who ask again at once, one of the other n - 1 is being prefilled with the probability that
    its prompt takes of a cycle; half of it is left on the average.
    """
    cycle = traffic.concurrency * prompt.value + traffic.output_tokens * step.value
    waiting = (traffic.concurrency - 1) * prompt.value / cycle / 2
    least = Time(
        larger(prompt.value, step.value), larger(prompt.low, step.low), larger(prompt.high, step.high),
        prompt.parts, prompt.source,
    )  # fmt: skip
    return _sum(least, prompt, waiting)


def _sum(step: Time, prompt: Time, prompts: float) -> Time:
    return Time(
        step.value + prompts * prompt.value, step.low + prompts * prompt.low,
        step.high + prompts * prompt.high, step.parts, step.source,
    )  # fmt: skip
