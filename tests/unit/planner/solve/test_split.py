"""How devices share a model: what stays in host memory is the least, and splits are compared."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.solve.limits import Limits
from hwledger.planner.solve.offload import offloads, solve_layout, with_layout
from hwledger.planner.solve.question import measure
from hwledger.planner.solve.solve import solve
from hwledger.planner.throughput import estimate
from hwledger.units import GIB
from support.solving import question


def _fits(asked, layout) -> bool:  # noqa: ANN001 - a question and a layout
    way = measure(asked, with_layout(asked, layout), speed=False)
    return way.plan is not None and not way.misses


@pytest.mark.requirement("FR-SOLVE-SPLIT")
@pytest.mark.parametrize("context", [4096, 32768])
def test_no_fewer_experts_or_layers_in_host_memory_fit(context: int) -> None:
    """Brute force over every number of layers finds the same least."""
    asked = question(
        shipped_model("Qwen/Qwen3-30B-A3B"), "llama.cpp", parse_devices("RTX 3060 12GB"), context=context,
        weights="Q4_K_M",
    )  # fmt: skip
    count = len(asked.request.spec.layers)
    experts = [n for n in range(count + 1) if _fits(asked, {"n_cpu_moe": n})]
    layers = [n for n in range(count + 2) if _fits(asked, {"n_gpu_layers": n})]
    assert list(offloads(asked)) == [{"n_cpu_moe": min(experts)}, {"n_gpu_layers": max(layers)}]


@pytest.mark.requirement("FR-SOLVE-SPLIT")
def test_everything_stays_on_devices_that_hold_it() -> None:
    """Nothing is put into host memory without need."""
    asked = question(
        shipped_model("Qwen/Qwen3-30B-A3B"), "llama.cpp", parse_devices("RTX 4090"), weights="Q4_K_M",
        estimator=estimate,
    )  # fmt: skip
    assert solve_layout(asked).solutions[0].value == "everything on the devices"


@pytest.mark.requirement("FR-SOLVE-SPLIT", "FR-SOLVE-LIMITS")
def test_host_memory_is_a_limit_of_its_own() -> None:
    """With less host memory than the offload needs nothing holds, and what lacks is said."""
    knobs = {"weights": "Q4_K_M", "context": 4096}
    spec, devices = shipped_model("Qwen/Qwen3-30B-A3B"), parse_devices("RTX 3060 12GB")
    assert solve_layout(question(spec, "llama.cpp", devices, **knobs)).holds
    short = question(spec, "llama.cpp", devices, limits=Limits(ram_bytes=GIB), **knobs)
    answer = solve_layout(short)
    assert not answer.holds
    assert any("host memory" in one.why or "memory of a device" in one.why for one in answer.refused)


@pytest.mark.requirement("FR-SOLVE-SPLIT")
def test_the_fastest_split_is_answered_and_divides_the_heads() -> None:
    """Of all ways in which eight devices share the model the fastest one holds; TP divides 64 heads."""
    asked = question(
        shipped_model("Qwen/Qwen3-32B"),
        "vllm",
        parse_devices("8x H100 SXM"),
        estimator=estimate,
        context=8192,
    )
    answer = solve_layout(asked)
    speeds = [one.measured.users_per_second or 0 for one in answer.front]
    assert answer.solutions[0].measured.users_per_second == max(speeds)
    for one in answer.front:
        options = one.measured.request.options
        sizes = [int(str(options[f"{kind}_parallel_size"])) for kind in ("tensor", "pipeline", "data")]
        assert sizes[0] * sizes[1] * sizes[2] == 8
        assert 64 % sizes[0] == 0


@pytest.mark.requirement("FR-SOLVE-SPLIT")
def test_mixed_devices_are_planned_one_by_one() -> None:
    """24 and 12 GiB are no 36: a model that the sum would hold and the cards do not is refused or split."""
    asked = question(
        shipped_model("Qwen/Qwen3-32B"), "llama.cpp", parse_devices("RTX 4090, RTX 3060 12GB"), weights="Q6_K"
    )
    answer = solve(asked, "devices")
    assert all(one.measured.holds for one in answer.solutions)
    assert {len(one.measured.request.devices) for one in answer.solutions} == {2}


@pytest.mark.requirement("FR-SOLVE-CLI")
def test_an_unknown_that_cannot_be_found_is_refused_in_a_sentence() -> None:
    """No such unknown, none without a device, and none that is given."""
    spec = shipped_model("Qwen/Qwen3-8B")
    with pytest.raises(UnknownOptionError, match="known: context"):
        solve(question(spec), "price")
    with pytest.raises(UsageError, match="depends on the device"):
        solve(question(spec), "context")
    with pytest.raises(UsageError, match="leave --weights out"):
        solve(question(spec, "vllm", parse_devices("H200"), given=frozenset({"weights"})), "weights")
