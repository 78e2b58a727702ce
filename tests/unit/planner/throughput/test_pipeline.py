"""How far devices that share the layers overlap on a prompt."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.device.catalogue import parse_devices
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import plan
from hwledger.planner.throughput.assumptions import assumed
from hwledger.planner.throughput.layout import layout_of
from hwledger.planner.throughput.pipeline import Stage, even_runs, launches, overlapped
from hwledger.planner.throughput.setting import Setting
from hwledger.planner.throughput.work import work_of

STAGES = st.lists(st.builds(Stage, st.floats(1e-3, 1.0), st.floats(1.0, 5000.0)), min_size=2, max_size=8)
QUICK = 10.0


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_few_launches_make_an_ideal_pipeline() -> None:
    """Two stages do four micro-batches in five turns of eight."""
    assert overlapped([Stage(1.0, QUICK), Stage(1.0, QUICK)], 4) == pytest.approx(5 / 8)


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_the_slowest_stage_paces_the_others() -> None:
    """Stages of 1 and 3 turns take 4, and 3 for each further micro-batch."""
    uneven = [Stage(1.0, QUICK), Stage(3.0, QUICK)]
    assert overlapped(uneven, 5) * 5 * 4.0 == pytest.approx(4.0 + 4 * 3.0)


@pytest.mark.requirement("FR-SPEED-MODEL")
@given(STAGES, st.integers(1, 64))
def test_an_overlap_is_between_the_slowest_stage_and_no_overlap(stages: list[Stage], rounds: int) -> None:
    """No pipeline is faster than its slowest stage, none slower than one turn after another."""
    whole = sum(stage.seconds for stage in stages)
    taken = overlapped(stages, rounds) * rounds * whole
    assert taken >= rounds * max(stage.seconds for stage in stages) * (1 - 1e-9)
    assert taken <= rounds * whole * (1 + 1e-9)


@pytest.mark.requirement("FR-SPEED-MODEL")
@given(STAGES, st.integers(2, 64))
def test_full_queues_never_help(stages: list[Stage], rounds: int) -> None:
    """Kernels beyond the queue hold the host up: four stages that overflow it hardly overlap."""
    freer = [replace(stage, launches=1.0) for stage in stages]
    assert overlapped(freer, rounds) <= overlapped(stages, rounds) * (1 + 1e-9)
    beyond = [Stage(1.0, 100 * assumed("launch_queue").value)] * 4
    assert overlapped(beyond, rounds) > 0.98


@pytest.mark.requirement("FR-SPEED-MODEL")
def test_four_cards_overlap_on_a_70b_in_halves_and_not_in_quantised_weights_of_2024() -> None:
    """Measured with llama.cpp b2824: 1.4 to 1.55 times as fast for 1024 tokens as for 512, and 1.08."""
    work = work_of(shipped_model("meta-llama/Meta-Llama-3-70B-Instruct"), "Q4_K_M")
    gains = []
    for group in ("float", "k"):
        setting = Setting(
            engine="llama.cpp", backend="CUDA", weights="any", group=group, flash=False, early=True
        )
        kernels = launches(work, setting) / work.layers
        stages = [Stage(float(run), run * kernels) for run in even_runs(work.layers, 4)]
        gains.append(1 / overlapped(stages, 2))
    assert gains[0] == pytest.approx(1.6, abs=0.1)
    assert gains[1] == pytest.approx(1.1, abs=0.1)


@pytest.mark.requirement("FR-SPEED-MODEL")
@pytest.mark.parametrize("count", [2, 3, 4, 6, 8])
def test_even_runs_are_those_of_a_plan(count: int) -> None:
    """Alike cards have the layers that the planner gives them."""
    spec = shipped_model("meta-llama/Meta-Llama-3-70B-Instruct")
    made = plan(
        spec, engine="llama.cpp", weights="Q4_K_M", devices=parse_devices(f"{count}x RTX 3090"), suggest=False
    )
    shares = [share.layers * len(spec.layers) for _, share in layout_of(made).devices]
    assert shares == pytest.approx(even_runs(len(spec.layers), count))


@pytest.mark.requirement("FR-SPEED-MODEL")
@given(STAGES, st.integers(1, 20))
def test_arrays_overlap_as_numbers_do(stages: list[Stage], rounds: int) -> None:
    """The solver's arrays have at each place what a number has."""
    many = [replace(stage, seconds=np.array([stage.seconds, 2 * stage.seconds])) for stage in stages]
    assert overlapped(many, rounds) == pytest.approx([overlapped(stages, rounds)] * 2)
