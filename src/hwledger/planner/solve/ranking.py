"""What devices can run: each model in the best way that they hold it, ranked."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hwledger.device.node import Node
from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.model.spec import ModelSpec
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request
from hwledger.planner.request import Request
from hwledger.planner.solve.choices import Layout, engine_runs_on, layouts_of, types_on
from hwledger.planner.solve.limits import NODE_HOST, Limits
from hwledger.planner.solve.offload import offloads, with_layout
from hwledger.planner.solve.quality import WEIGHTS, evidence_of, is_plain
from hwledger.planner.solve.question import Estimator, Measured, Question, measure
from hwledger.planner.solve.search import largest
from hwledger.planner.weights import weigh

GOOD_LOSS: Final = 0.11
"""Nats of KL divergence up to which a mix is taken before host memory is used (Q3_K_M: 0.102)."""
OFFLOADED: Final = {"llama.cpp": "Q4_K_M"}
"""Quantisation in which models are tried that devices do not hold."""


HOSTS: Final = frozenset({"ram_bytes", NODE_HOST})
"""Limits of host memory."""


class Mode(StrEnum):
    """How a model runs, best first."""

    DEVICES = "on devices"
    EXPERTS = "experts in host memory"
    LAYERS = "layers in host memory"
    NOT = "does not fit"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One model on some devices.

    Attributes:
        model: its name.
        parameters, active: of the model.
        engine: what runs it.
        mode: how.
        weights: quantisation; ``None``: as stored.
        measured: the plan with its speed; ``None`` where nothing could be planned.
        problem: why not, in a sentence.
    """

    model: str
    parameters: int
    active: int
    engine: str
    mode: Mode
    weights: str | None = None
    measured: Measured | None = None
    problem: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        """Of one user."""
        return self.measured.users_per_second if self.measured else None


def engine_for(spec: ModelSpec, devices: tuple[DeviceSpec, ...]) -> str:
    """Return the engine that a model is tried on where none is named.

    Its format's own; else vLLM on cards of data centres, mlx on Apple's, and llama.cpp everywhere else.
    """
    if spec.format == "gguf":
        return "llama.cpp"
    if spec.format == "mlx" or all(device.vendor == "Apple" for device in devices):
        return "mlx"
    serving = all(d.category == "datacentre" and engine_runs_on("vllm", d, len(devices)) for d in devices)
    return "vllm" if serving else "llama.cpp"


def fit_model(  # noqa: PLR0913 - what a fit depends on
    spec: ModelSpec,
    devices: tuple[DeviceSpec, ...],
    *,
    node: Node | None = None,
    engine: str | None = None,
    context: int | None = None,
    concurrency: int = 1,
    weights: str | None = None,
    limits: Limits | None = None,
    estimator: Estimator | None = None,
) -> Fitted:
    """Return the best way in which devices run a model.

    On the devices alone in the type that loses least, down to ``GOOD_LOSS``; else with as few experts or
    layers in host memory as needed (where the engine can), whichever is faster; else in the smallest type.
    """
    name = engine or engine_for(spec, devices)
    census = spec.census
    blank = Fitted(model=spec.id, parameters=census.total, active=census.active, engine=name, mode=Mode.NOT)
    profile = engine_profile(name)
    try:
        wanted = min(context, spec.context_length or context) if context else None
        request = make_request(
            spec, profile, context=wanted, concurrency=concurrency, weights=weights,
            devices=devices, node=node,
        )  # fmt: skip
        question = Question(request=request, profile=profile, limits=limits or Limits(), estimator=estimator)
        return _best(question, blank, fixed=weights)
    except HwledgerError as error:
        return replace(blank, problem=str(error))


def _best(question: Question, blank: Fitted, fixed: str | None) -> Fitted:
    names: list[str | None] = [fixed] if fixed else _by_size(question)
    good = [name for name in names if fixed or _is_good(name)]
    found = _on_devices(question, good) or _offloaded(question, fixed) or _on_devices(question, names)
    if found is None:
        smallest = measure(question, _typed(question, names[-1]))
        why = smallest.refusal or "; ".join(one.why for one in smallest.misses)
        why = "; ".join(filter(None, (why, _host_lacks(question, fixed))))
        return replace(blank, measured=smallest, weights=names[-1], problem=why)
    mode, weights, measured = found
    return replace(blank, mode=mode, weights=weights, measured=measured)


def _by_size(question: Question) -> list[str | None]:
    """As stored and every type that is smaller, the largest first."""
    spec = question.request.spec
    names = types_on(question.profile.name, WEIGHTS, question.request.devices)
    return [name for name in names if name is None or weigh(spec, name).total < weigh(spec).total]


def _is_good(name: str | None) -> bool:
    if is_plain(WEIGHTS, name):
        return True
    known = [one.loss for one in evidence_of(WEIGHTS, name) if one.metric == "kl_divergence"]
    return not known or known[0] <= GOOD_LOSS


def _typed(question: Question, name: str | None, layout: Layout | None = None) -> Request:
    request = question.vary(question.request, weights=name) if name else question.request
    return with_layout(replace(question, request=request), layout) if layout else request


def _on_devices(question: Question, names: list[str | None]) -> tuple[Mode, str | None, Measured] | None:
    """The first type that fits, by halving: a smaller one fits where a larger one does."""
    for layout in layouts_of(question.profile, question.request.spec, len(question.request.devices)):
        name = _first_fitting(question, names, layout)
        if name is not _NONE:
            chosen = None if name is None else str(name)
            return Mode.DEVICES, chosen, measure(question, _typed(question, chosen, layout))
    return None


_NONE: Final = object()


def _first_fitting(question: Question, names: list[str | None], layout: Layout) -> object:
    """The largest type that fits in a layout; ``_NONE`` where none does."""
    steps = len(names)
    left = largest(1, steps, lambda count: _holds(question, names[steps - count], layout))
    return _NONE if left is None else names[steps - left]


def _holds(question: Question, name: str | None, layout: Layout) -> bool:
    return measure(question, _typed(question, name, layout), speed=False).holds


def _offloaded(question: Question, fixed: str | None) -> tuple[Mode, str | None, Measured] | None:
    """The fastest of experts and layers in host memory, where the engine can."""
    name, ways = _hosted(question, fixed)
    holding = [(layout, way) for layout, way in ways if way.holds]
    if not holding:
        return None
    layout, best = max(holding, key=lambda pair: pair[1].users_per_second or 0.0)
    return (Mode.EXPERTS if "n_cpu_moe" in layout else Mode.LAYERS), name, best


def _host_lacks(question: Question, fixed: str | None) -> str:
    """What the host does not hold of the parts that devices leave; empty: nothing, or it is not tried."""
    name, ways = _hosted(question, fixed)
    missed = (one.why for _, way in ways for one in way.misses if one.limit in HOSTS)
    why = next(missed, "")
    return f"with parts in host memory{f' as {name}' if name else ''}: {why}" if why else ""


def _hosted(question: Question, fixed: str | None) -> tuple[str | None, list[tuple[Layout, Measured]]]:
    """The type and the ways with experts or layers in host memory, none where the engine cannot."""
    if "n_gpu_layers" not in question.profile.options:
        return None, []
    stored = weigh(question.request.spec).total
    name = fixed or OFFLOADED.get(question.profile.name)
    if name and not fixed and weigh(question.request.spec, name).total >= stored:
        name = None
    typed = replace(question, request=_typed(question, name))
    return name, [(layout, measure(question, with_layout(typed, layout))) for layout in offloads(typed)]


def ranked(fitted: Iterable[Fitted], by: str = "size") -> list[Fitted]:
    """Return models in order: what runs on devices first, then by parameters (``size``), speed or name."""
    modes = list(Mode)

    def key(one: Fitted) -> tuple[object, ...]:
        if by == "speed":
            return (-(one.tokens_per_second or 0.0), one.model)
        if by == "name":
            return (one.model.lower(),)
        return (modes.index(one.mode), -one.parameters, one.model)

    return sorted(fitted, key=key)
