"""How devices share a model, and what stays in host memory where they do not hold all of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from hwledger.model.channel import MixtureOfExperts
from hwledger.model.spec import ModelSpec
from hwledger.planner.request import Request
from hwledger.planner.solve.answer import Answer, Solution, counted, refused_of, why_not
from hwledger.planner.solve.choices import Layout, layout_words, layouts_of
from hwledger.planner.solve.limits import MEMORY, OF_MEMORY
from hwledger.planner.solve.question import Measured, Question, least_missed, measure
from hwledger.planner.solve.search import largest

ALL_ON_DEVICES = "everything on the devices"
LAYOUT_OPTIONS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
                  "enable_expert_parallel", "n_gpu_layers", "n_cpu_moe")  # fmt: skip


def solve_layout(question: Question) -> Answer:
    """Return the split over the given devices that holds every limit and is fastest.

    Without speeds the one that leaves most room on the fullest device is taken, and nothing is put into
    host memory that the devices hold.
    """
    ways = [
        (words_of(layout), measure(question, with_layout(question, layout))) for layout in splits(question)
    ]
    holding = [(words, way) for words, way in ways if way.holds]
    refused = refused_of([(words, way) for words, way in ways if not way.holds])
    counts = counted([way for _, way in ways])
    if not holding:
        nearest = least_missed([way for _, way in ways])
        words = next((w for w, way in ways if way is nearest), "")
        solution = (
            Solution(kind="layout", value=words, measured=nearest, limited_by=(why_not(nearest),))
            if nearest else None
        )  # fmt: skip
        return Answer(
            unknowns=("devices",), nearest=solution, refused=refused, searched=len(ways), refusals=counts
        )
    words, best = max(holding, key=lambda pair: _rank(pair[1]))
    others = tuple(f"{w} instead: {_figures(way)}" for w, way in holding if way is not best)
    found = Solution(kind="layout", value=words, measured=best, notes=(*_over(best), *others[:3]))
    front = tuple(Solution(kind="layout", value=w, measured=way) for w, way in holding)
    return Answer(
        unknowns=("devices",), solutions=(found,), front=front, refused=refused, searched=len(ways),
        refusals=counts,
    )  # fmt: skip


def _rank(measured: Measured) -> tuple[float, float, float]:
    """Faster first; then less in host memory; then more room."""
    plan = measured.plan
    room = plan.fit.headroom_bytes if plan and plan.fit else 0
    return measured.users_per_second or 0.0, -float(plan.host_bytes if plan else 0), float(room)


def _figures(measured: Measured) -> str:
    speed = measured.users_per_second
    return f"{speed:.3g} tokens/s" if speed else why_not(measured)


def _over(measured: Measured) -> tuple[str, ...]:
    return measured.throughput.warnings if measured.throughput else ()


def with_layout(question: Question, layout: Layout) -> Request:
    """Return the question's request with this split, and nothing of another one."""
    plain = {k: v for k, v in question.request.options.items() if k not in LAYOUT_OPTIONS}
    return replace(question.request, options={**plain, **layout})


def words_of(layout: Layout) -> str:
    """Return a split in words."""
    return layout_words(layout) or ALL_ON_DEVICES


def splits(question: Question) -> Iterator[Layout]:
    """Yield every split that is worth a try: the engine's own, then with experts or layers in host memory."""
    request, profile = question.request, question.profile
    own = {key: request.options[key] for key in LAYOUT_OPTIONS if key in request.options}
    if own:
        yield own
        return
    yield from layouts_of(profile, request.spec, len(request.devices))
    if "n_gpu_layers" in profile.options and request.devices:
        yield from offloads(question)


def offloads(question: Question) -> Iterator[Layout]:
    """Yield the least that has to stay in host memory: layers' experts, and whole layers.

    Where the host does not hold what the devices leave, that way comes all the same, to be refused by name.
    """
    spec = question.request.spec
    layers = len(spec.layers) + len(spec.mtp_layers)

    def most(top: int, layout: Callable[[int], Layout]) -> int | None:
        found = largest(0, top, lambda kept: _fits(question, layout(kept)))
        return largest(0, top, lambda kept: _fits(question, layout(kept), MEMORY)) if found is None else found

    if is_moe(spec):
        kept = most(layers, lambda kept: {"n_cpu_moe": layers - kept})
        if kept is not None and kept < layers:
            yield {"n_cpu_moe": layers - kept}
    count = most(layers + 1, lambda count: {"n_gpu_layers": count})
    if count is not None and count <= layers:
        yield {"n_gpu_layers": count}


def with_host(question: Question, request: Request) -> Measured:
    """Return a request measured; where devices do not hold it, its best way with parts in host memory.

    Only where a limit of speed or of host memory is set: without one the largest type would always be
    answered, however slow; and not where the user says how devices and host share the model.
    """
    measured = measure(question, request)
    limits, own = question.limits, any(name in request.options for name in LAYOUT_OPTIONS)
    unfit = measured.plan is not None and any(one.limit == MEMORY for one in measured.misses)
    able = "n_gpu_layers" in question.profile.options and (limits.of_speed or limits.ram_bytes)
    if own or not unfit or not able:
        return measured
    typed = replace(question, request=request)
    ways = [measure(typed, with_layout(typed, layout)) for layout in offloads(typed)]
    holding = [way for way in ways if way.holds]
    return max(holding, key=_rank) if holding else least_missed([measured, *ways]) or measured


def host_words(request: Request) -> str:
    """Return what of a request stays in host memory, in words; empty: nothing."""
    return layout_words({k: v for k, v in request.options.items() if k in {"n_cpu_moe", "n_gpu_layers"}})


def is_moe(spec: ModelSpec) -> bool:
    """Whether any layer has routed experts."""
    return any(isinstance(layer.channel, MixtureOfExperts) for layer in spec.layers)


def _fits(question: Question, layout: Layout, *only: str) -> bool:
    """Whether devices and host hold a split, or the places that are named; speeds are compared later."""
    measured = measure(question, with_layout(question, layout), speed=False)
    return measured.plan is not None and not any(m.limit in (only or OF_MEMORY) for m in measured.misses)
