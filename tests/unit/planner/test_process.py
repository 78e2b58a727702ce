"""What a process holds beside its plan: shipped, learned of runs, and robust to those that are wrong."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.app import devices_of
from hwledger.planner.memory import Basis, Category
from hwledger.planner.process import Rest, host_bytes, process_memory, rest_of, used_share, without_outliers
from hwledger.units import MIB
from support.plans import small_plan

pytestmark = pytest.mark.requirement("FR-CAL-MEMORY")
HERE = {"version": "b1", "program": "xllamacpp", "device": "a processor"}


def run(mib: float, version: str = "b1") -> Rest:
    """Return one run."""
    return Rest(engine="llama.cpp", rest_bytes=mib * MIB, version=version, program="xllamacpp",
                device="a processor", model="m", source="run")  # fmt: skip


def test_before_the_first_run_an_assumption_ships() -> None:
    """By how the engine is installed, with a wide interval and its source; any engine has one."""
    for engine in ("llama.cpp", "mlx", "an engine of tomorrow"):
        found = rest_of([], engine)
        assert found.low < found.value < found.high
        assert (found.basis, found.runs, bool(found.source)) == (Basis.ASSUMED, 0, True)
    assert rest_of([], "llama.cpp", program="xllamacpp") != rest_of([], "llama.cpp")


def test_runs_of_one_s_own_replace_it() -> None:
    """The more there are the narrower is the interval; what says it is said."""
    one, many = (rest_of([run(61.0)] * count, "llama.cpp", **HERE) for count in (1, 8))
    assert one.value == many.value == 61.0 * MIB
    assert many.high - many.low < one.high - one.low < 20 * MIB
    assert (one.basis, one.runs, many.runs) == (Basis.CALIBRATED, 1, 8)
    assert "1 run of your own on this machine" in one.source


def test_other_engines_versions_and_devices_are_kept_apart() -> None:
    """Another device or way of installing tells nothing; another version does, with twice the interval."""
    runs = [run(61.0), run(90.0, "b2")]
    assert rest_of(runs, "llama.cpp", **HERE).value == 61.0 * MIB
    assert rest_of(runs, "llama.cpp", **{**HERE, "version": "b2"}).value == 90.0 * MIB
    older = rest_of(runs[:1], "llama.cpp", **{**HERE, "version": "b9"})
    assert older.high - older.low == 2 * (rest_of(runs, "llama.cpp", **HERE).high - 61.0 * MIB) * 2
    assert "of other versions" in older.source
    for other in ({"device": "another"}, {"program": ""}):
        assert rest_of(runs, "llama.cpp", **{**HERE, **other}).basis is Basis.ASSUMED
    assert rest_of(runs, "mlx", **HERE).basis is Basis.ASSUMED


@given(st.lists(st.floats(59, 63), min_size=3, max_size=12), st.floats(200, 1e6))
def test_one_wrong_run_moves_nothing(sizes: list[float], wrong: float) -> None:
    """Beside three and more runs that agree, one that is far off is left out."""
    runs = [run(size) for size in sizes]
    with_it = rest_of([*runs, run(wrong)], "llama.cpp", **HERE)
    assert with_it == rest_of(runs, "llama.cpp", **HERE)
    assert len(without_outliers([*runs, run(wrong)])) == len(runs)


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=20))
def test_what_is_learned_lies_among_the_runs(sizes: list[float]) -> None:
    """Whatever the runs are, the figure lies between them and in its own interval."""
    found = rest_of([run(size) for size in sizes], "llama.cpp", **HERE)
    assert min(sizes) * MIB <= found.value <= max(sizes) * MIB
    assert 0 <= found.low <= found.value <= found.high


def test_a_process_is_its_plan_and_the_rest() -> None:
    """Weights and cache in full, scratch as far as it is used; what was measured is in the interval then."""
    plan, rest = small_plan(), rest_of([run(61.0)], "llama.cpp", **HERE)
    assert host_bytes(plan, 1.0) == plan.total_bytes
    idle, full = process_memory(plan, rest, 0.0), process_memory(plan, rest)
    assert full.value == plan.total_bytes + 61.0 * MIB
    assert idle.value < full.value
    assert (idle.low, idle.high) == (full.low, full.high)
    assert idle.low < idle.value < full.value < full.high
    assert used_share(plan, 0) == 0
    assert used_share(plan, 1 << 20) == 1


def test_what_lies_on_a_device_is_no_memory_of_the_host() -> None:
    """A plan on an accelerator holds on the host what it holds there."""
    plan = small_plan(options=[], devices=devices_of("RTX 4090"))
    assert 0 < host_bytes(plan, 1.0) == plan.host_bytes < plan.total_bytes
    alone = replace(plan, request=replace(plan.request, devices=()))
    runtime = plan.by_category[Category.RUNTIME]
    assert plan.total_bytes - runtime <= host_bytes(alone, 1.0) < plan.total_bytes
