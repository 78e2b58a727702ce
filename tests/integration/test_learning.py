"""Learning: what a run says corrects the next plan, unless the machine was busy, and can be taken back."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hwledger.cli import run as cli
from hwledger.learning import Run, learn
from hwledger.library.benchmarks.rests import load_rests, rests_path, usable_rests
from hwledger.library.benchmarks.store import load_calibration
from hwledger.planner.memory import Basis
from hwledger.reconcile.memory import BASELINE, NOT_USED
from hwledger.reconcile.term import Expected, Quality, Reconciliation
from hwledger.reconciling import host_now, planned_speed, reconcile_run
from hwledger.runner.engine import Timings
from hwledger.runner.fake import FakeEngine
from hwledger.running import prepare
from hwledger.telemetry.snapshot import EngineSnapshot, ModelSnapshot
from support import tiny

pytestmark = pytest.mark.requirement("FR-CAL-LEARN")
TIMINGS = Timings(100, 0, 32, 3.0, 3.0, "fake")


@pytest.fixture
def made(tmp_path: Path) -> Run:
    """Return a run of a small model in this process."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    engine = FakeEngine()
    plan = prepare(str(path), runner=engine, context=128).plan
    running = engine.start(plan)
    running.pid = os.getpid()
    host = host_now()
    fast = planned_speed(plan, TIMINGS, host)
    assert fast
    assert fast.decode_tokens_per_second
    assert fast.prefill_tokens_per_second
    timings = replace(
        TIMINGS, prefill_tokens_per_second=0.3 * fast.prefill_tokens_per_second.value,
        decode_tokens_per_second=0.3 * fast.decode_tokens_per_second.value,
    )  # fmt: skip
    found = reconcile_run(plan, running, timings, host, others=0.0)
    return Run(plan=plan, found=found, timings=timings, host=host, source="run 1")


def again(run: Run) -> Reconciliation:
    """Return what the next run of the same plan says."""
    running = FakeEngine().start(run.plan)
    running.pid = os.getpid()
    return reconcile_run(run.plan, running, run.timings, run.host, others=0.0)


def test_the_next_plan_is_corrected(made: Run) -> None:
    """Decode, prefill and the process's memory are nearer, calibrated, and say by what."""
    (said,) = learn(made)
    assert "its decode and prefill will correct later plans" in said
    assert {point.source for point in load_calibration().points} == {"run 1"}
    before, after = made.found, again(made)
    for name in ("decode", "prefill"):
        first, then = (next(t for t in each.terms if t.name == name) for each in (before, after))
        assert abs(then.difference or 0) <= 0.5 * abs(first.difference or 0)
        assert isinstance(then.expected, Expected)
        assert then.expected.basis is Basis.CALIBRATED
    account = after.accounts[0]
    assert isinstance(account.expected, Expected)
    assert account.expected.basis is Basis.CALIBRATED
    assert account.inside


def test_a_busy_machine_teaches_no_speed(made: Run) -> None:
    """Its memory does count; a term that is in doubt is not judged, and says why."""
    (said,) = learn(replace(made, busy=True))
    assert "will correct no plan: the machine was busy" in said
    assert not load_calibration().points
    assert len(load_rests()) == 1
    running = FakeEngine().start(made.plan)
    found = reconcile_run(made.plan, running, TIMINGS, made.host, others=0.5)
    decode = next(term for term in found.terms if term.name == "decode")
    assert (decode.inside, "50% of the" in decode.doubt) == (None, True)


def test_what_was_learned_is_forgotten(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One run by its number, of speeds and of processes, or all; the list has them all."""
    learn(made)
    assert cli(["calibrate", "--list"]) == 0
    assert "beside the plan" in capsys.readouterr().out
    assert cli(["calibrate", "--forget", "3"]) == 0
    assert (len(load_calibration().points), len(load_rests())) == (2, 0)
    assert cli(["calibrate", "--forget", "4"]) == 2
    learn(made)
    assert cli(["calibrate", "--forget", "all"]) == 0
    assert (len(load_calibration().points), len(load_rests())) == (0, 0)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema": "hwledger.process-memory/1", "runs": [{"engine": 1}]}']
)
def test_a_broken_file_is_a_sentence(made: Run, text: str) -> None:
    """Nothing is learned and nothing fails; plans are made without it and say so."""
    rests_path().parent.mkdir(parents=True, exist_ok=True)
    rests_path().write_text(text)
    (said,) = learn(made)
    assert said.startswith("nothing is learned from this run: ")
    assert usable_rests()[0] == ()
    assert any("left out" in note for note in again(made).notes)


def test_a_baseline_is_a_part_that_says_that_it_is_expected(made: Run) -> None:
    """Where buffers are told, the rest of the process and scratch that is not used are parts of their own."""
    from hwledger.planner.process import process_memory, rest_of  # noqa: PLC0415
    from hwledger.reconcile.memory import process_account  # noqa: PLC0415 - only here
    from hwledger.telemetry.quantity import Quantity  # noqa: PLC0415
    from hwledger.telemetry.reading import Gauge  # noqa: PLC0415

    gauge = Gauge("llama.cpp log")
    told = {Quantity.COMPUTE_BYTES: gauge(Quantity.COMPUTE_BYTES, 1000)}
    engine = EngineSnapshot("llama.cpp", models=(ModelSnapshot("m", loaded=True, devices={"CPU": told}),))
    planned = process_memory(made.plan, rest_of([], "llama.cpp"), 0.25)
    whole = Gauge("RSS")(Quantity.HOST_MEMORY_TOTAL, 60_000_000)
    account = process_account(engine, whole, planned, 0.25)
    parts = {part.name: part.seen for part in account.parts}
    assert parts[NOT_USED].value == -750
    assert parts[BASELINE].quality is Quality.ASSUMED
    assert account.unexplained == 60_000_000 - 250 - planned.rest.value
