"""What is asked of the solver, and measuring one way to answer it: planned, estimated, held to the limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hwledger.device.options import kept_free
from hwledger.device.spec import DeviceSpec
from hwledger.errors import HwledgerError
from hwledger.planner.engine import EngineProfile
from hwledger.planner.plan import Plan, plan_request
from hwledger.planner.request import Request, Workload
from hwledger.planner.reserve import reserve_words
from hwledger.planner.solve.arrivals import Arrivals, Lengths
from hwledger.planner.solve.cost import RENT, Cost, cost_of
from hwledger.planner.solve.limits import MEMORY, NODE_HOST, OF_MEMORY, Limits, Miss, miss
from hwledger.planner.throughput import Figure, Throughput, Traffic, traffic_of
from hwledger.units import format_bytes

UNKNOWNS: Final = ("context", "concurrency", "weights", "kv-cache", "devices", "all")
# Engine options that fix what is searched for; an answer goes through the workload instead.
FIXING: Final[Mapping[str, tuple[str, ...]]] = {
    "context": ("n_ctx", "max_model_len", "max_cache_len", "max_kv_size", "max_context", "max_length"),
    "concurrency": ("n_parallel", "num_concurrent", "batch_size"),
    "kv-cache": ("cache_type_k", "cache_type_v", "kv_cache_dtype", "kv_bits"),
    "weights": ("quantization",),
    "devices": (
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "tensor_split",
        "enable_expert_parallel",
    ),
}

Estimator = Callable[[Plan, Traffic], Throughput]
Progress = Callable[[int, int], None]
"""Is told how many candidates of how many are done."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        request: everything that is given; what is unknown holds a first value.
        profile: the engine.
        limits: what every answer has to hold.
        given: unknowns that the user fixed by hand; they are never varied.
        arrivals: arrival rate and lengths; ``None``: ``request``'s users with full contexts.
        prompt, output: lengths where there is no arrival rate; ``None``: the whole context.
        estimator: the speed estimate; ``None``: speeds are not asked for.
        catalogue: devices to choose from where devices are unknown.
        seed: of the simulation of arrivals.
    """

    request: Request
    profile: EngineProfile
    limits: Limits = field(default_factory=Limits)
    given: frozenset[str] = frozenset()
    arrivals: Arrivals | None = None
    prompt: Lengths | None = None
    output: Lengths | None = None
    estimator: Estimator | None = None
    catalogue: tuple[DeviceSpec, ...] = ()
    seed: int = 0

    def vary(self, request: Request, **changes: object) -> Request:
        """Return a request with something changed, and without the options that would undo it.

        Args:
            request: to start from.
            changes: ``context``, ``concurrency``, ``weights``, ``kv_cache``, ``devices``, ``options``.
        """
        dropped = {name for key in changes for name in FIXING.get(key.replace("_", "-"), ())}
        options = {key: value for key, value in request.options.items() if key not in dropped}
        extra = changes.pop("options", {})
        if isinstance(extra, Mapping):
            options.update(extra)
        workload = Workload(
            context_tokens=changes.pop("context", request.workload.context_tokens),  # type: ignore[arg-type]
            concurrency=changes.pop("concurrency", request.workload.concurrency),  # type: ignore[arg-type]
        )
        return replace(request, workload=workload, options=options, **changes)  # type: ignore[arg-type]

    def traffic(self, plan: Plan) -> Traffic:
        """Return who asks what of a plan: the lengths that were given, else a full context."""
        return traffic_under(plan, self.arrivals, self.prompt, self.output)


def traffic_under(
    plan: Plan, arrivals: Arrivals | None = None, prompt: Lengths | None = None, output: Lengths | None = None
) -> Traffic:
    """Return who asks what of a plan, by mean lengths; a full context where no lengths are given."""
    memory = plan.memory
    if arrivals is not None:
        prompt, output = arrivals.prompt, arrivals.output
    if prompt is None and output is None:
        return traffic_of(memory.context_tokens, memory.concurrency)
    answer = max(1, round(output.mean)) if output else traffic_of(memory.context_tokens, 1).output_tokens
    asked = round(prompt.mean) if prompt else max(0, memory.context_tokens - answer)
    return Traffic(
        prompt_tokens=asked, output_tokens=answer, concurrency=memory.concurrency,
        requests_per_second=arrivals.requests_per_second if arrivals else None,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way to answer.

    Attributes:
        request: what was planned.
        plan: the plan; ``None`` where the engine refuses.
        refusal: why it refuses.
        throughput: the speed; ``None`` where it was not asked for, or the plan does not fit.
        cost: of the devices.
        misses: the limits that it misses; empty: it answers the question.
    """

    request: Request
    plan: Plan | None = None
    refusal: str = ""
    throughput: Throughput | None = None
    cost: Cost = field(default_factory=Cost)
    misses: tuple[Miss, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every limit holds."""
        return self.plan is not None and not self.misses

    @property
    def users_per_second(self) -> float | None:
        """Tokens per second of one user."""
        figure = self.throughput.decode_tokens_per_second if self.throughput else None
        return figure.value if figure else None


def measure(question: Question, request: Request, *, speed: bool = True) -> Measured:
    """Return a request planned, estimated and held to the limits.

    Args:
        question: the limits, the traffic and the estimator.
        request: what to plan.
        speed: estimate the speed even where no limit needs it.
    """
    limits = question.limits
    try:
        plan = plan_request(with_reserve(request, limits.reserve_bytes), question.profile)
    except HwledgerError as error:  # the engine refuses this way
        return Measured(request=request, refusal=str(error))
    cost = cost_of(request.devices, limits.price_kind)
    misses = [*memory_misses(plan, limits), *cost_misses(cost, limits)]
    throughput = None
    there = not any(one.limit == MEMORY for one in misses)
    if question.estimator is not None and there and (speed or (limits.of_speed and not misses)):
        throughput = question.estimator(plan, question.traffic(plan))
    if throughput is not None or (question.estimator is None and there):
        misses += speed_misses(throughput, limits)
    return Measured(
        request=request, plan=plan, throughput=throughput, cost=cost, misses=tuple(misses),
    )  # fmt: skip


def with_reserve(request: Request, reserve_bytes: int) -> Request:
    """Return the request with so much less usable memory on each device."""
    if not reserve_bytes:
        return request
    return replace(request, devices=kept_free(request.devices, reserve_bytes))


def memory_misses(plan: Plan, limits: Limits) -> list[Miss]:
    """Return what does not fit: the fullest device, and the host."""
    found = [
        _held(plan, place, device.usable_bytes, limits)
        for place, device in enumerate(plan.devices)
        if device.usable_bytes is not None
    ]
    worst = max((one for one in found if one), key=lambda one: (one.got or 0) - one.wanted, default=None)
    return [*([worst] if worst else []), *host_misses(plan, limits)]


def _held(plan: Plan, place: int, usable: int, limits: Limits) -> Miss | None:
    """How a device does not hold its part; where nothing is left of it, the part and the reserve together."""
    total = plan.devices[place].total_bytes
    found = miss(MEMORY, usable, total)
    if found is None or not (words := reserve_words(plan, place)):
        return found
    if usable:
        return replace(found, why=f"{found.why}; {words}")
    whole = plan.request.devices[place].reserved_bytes
    why = f"{words}; {format_bytes(total)} are needed"
    return replace(found, wanted=whole, got=total + limits.reserve_bytes, why=why)


def host_misses(plan: Plan, limits: Limits) -> list[Miss]:
    """Return what is over the host memory that was given, and over the node's own."""
    found = [miss("ram_bytes", limits.ram_bytes, plan.host_bytes, of="--ram")]
    node, room = plan.request.node, plan.host_headroom_bytes
    if node is not None and room is not None:
        found.append(miss(NODE_HOST, plan.host_bytes + room, plan.host_bytes, of=node.name))
    return [one for one in found if one]


def cost_misses(cost: Cost, limits: Limits) -> list[Miss]:
    """Return the limits of price and power that devices miss; a price of the other kind holds none."""
    unknown, kind = "; ".join(cost.unknown), limits.price_kind
    priced = unknown if cost.of(kind) is None and cost.price_per_hour is None else _other_price(cost, kind)
    found = (
        miss("max_price_per_hour", limits.max_price_per_hour, cost.of(kind), priced),
        miss("max_watts", limits.max_watts, cost.watts, unknown),
    )
    return [one for one in found if one]


def _other_price(cost: Cost, kind: str) -> str:
    """That the price of the other kind is known, and how to ask for it."""
    gone = "no offer" if kind == RENT else "no purchase price"
    return f"{gone}; {cost.kind}, it is {cost.price_per_hour or 0:.2f} USD/h: --price {cost.kind} counts that"


def speed_misses(throughput: Throughput | None, limits: Limits) -> list[Miss]:
    """Return the limits of speed that an estimate misses, by its best figures."""
    unknown = "; ".join(throughput.unknown) if throughput else "no speed estimate is at hand"

    def value(name: str) -> float | None:
        figure: Figure | None = getattr(throughput, name) if throughput else None
        return figure.value if figure else None

    found = (
        miss("min_requests_per_second", limits.min_requests_per_second, served_per_second(throughput),
             unknown),
        miss("ttft_seconds", limits.ttft_seconds, value("ttft_seconds"), unknown),
        miss("tpot_seconds", limits.tpot_seconds, value("tpot_seconds"), unknown),
        miss("min_tokens_per_second", limits.min_tokens_per_second, value("decode_tokens_per_second"),
             unknown),
    )  # fmt: skip
    return [one for one in found if one]


def served_per_second(throughput: Throughput | None) -> float | None:
    """Return how many requests are answered per second by as many users as ask again at once."""
    if throughput is None or throughput.ttft_seconds is None or throughput.tpot_seconds is None:
        return None
    traffic = throughput.traffic
    life = throughput.ttft_seconds.value + (traffic.output_tokens - 1) * throughput.tpot_seconds.value
    return traffic.concurrency / life


def least_missed(ways: Sequence[Measured]) -> Measured | None:
    """Return the way that comes nearest: one that fits before any that does not, whose speed nobody knows.

    Then the fewest limits missed, then the least sum of shares over.
    """
    planned = [one for one in ways if one.plan is not None]
    return min(planned, key=distance, default=None)


def distance(measured: Measured) -> tuple[bool, int, float]:
    """Return how far a planned way is from the limits, nearer being less."""
    unfit = any(one.limit in OF_MEMORY for one in measured.misses)
    return unfit, len(measured.misses), sum(one.excess for one in measured.misses)
