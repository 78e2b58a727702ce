"""Preparing, refusing, running and reconciling, with the fake engine; what fails is one sentence."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hwledger.errors import EngineError, UsageError
from hwledger.looking import reconcile_server
from hwledger.planner.fit import Verdict
from hwledger.planner.memory import Basis
from hwledger.reconcile.document import reconciliation_document
from hwledger.reconcile.term import Expected, Seen
from hwledger.reconciling import host_now, reconcile_run
from hwledger.runner.engine import Ask, Done, Installation, NotInstalled
from hwledger.runner.fake import FakeEngine
from hwledger.running import prepare
from hwledger.screens.run import engine_rows, reconciliation_screen, refusal, room_line, timing_line
from hwledger.telemetry.reading import Absent, Value
from hwledger.telemetry.resident import device_bytes, resident_bytes
from support import tiny

pytestmark = pytest.mark.requirement("FR-RUN-CLI", "FR-RUN-RECONCILE")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return a small GGUF file."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    return str(path)


def test_a_model_is_planned_on_what_the_engine_computes_with(model: str) -> None:
    """An engine without accelerators is planned on the processor, held against the host's memory."""
    ready = prepare(model, runner=FakeEngine(), context=128)
    assert ready.on_host
    assert ready.verdict is Verdict.FITS
    assert ready.plan.total_bytes == ready.plan.host_bytes > 0
    assert ready.plan.memory.context_tokens == 128
    assert ready.plan.memory.options["n_gpu_layers"] == 0
    assert not refusal(ready)
    assert "can be had now" in room_line(ready)


def test_what_does_not_fit_is_refused_with_the_way_out(model: str) -> None:
    """The sentence says what is needed, what there is, and what would fit; more machines are no way out."""
    ready = prepare(model, runner=FakeEngine(), context=1 << 38)
    assert ready.verdict is Verdict.DOES_NOT_FIT
    why = refusal(ready)
    assert "Does not fit: needs" in why
    assert "a context of" in why
    assert "host memory instead of" not in why
    assert "--anyway" in why


def test_options_of_the_engine_win(model: str) -> None:
    """Layers that are asked for on accelerators are not moved to the processor."""
    ready = prepare(model, runner=FakeEngine(), context=128, options=["n_gpu_layers=1"])
    assert ready.plan.memory.options["n_gpu_layers"] == 1
    assert ready.plan.request.options["n_batch"] == 512
    larger = prepare(model, runner=FakeEngine(), context=128, options=["n_ubatch=1024"])
    assert "n_batch" not in larger.plan.request.options


def test_an_engine_that_is_absent_says_how_to_install_it(model: str) -> None:
    """One sentence with the command; the list of engines has it too."""
    absent = FakeEngine(installed=False)
    with pytest.raises(EngineError, match="pip install fake"):
        prepare(model, runner=absent)
    found = absent.find()
    assert isinstance(found, NotInstalled)
    (row,) = engine_rows([(absent, found)])
    assert "pip install fake" in row[-1]
    there = Installation("llama.cpp", "b1", "here", ("CUDA0: a card",), ("a note",))
    (row,) = engine_rows([(absent, there)])
    assert row[1:3] == ("b1", "CUDA0: a card")
    assert row[-1] == "here; a note"


def test_a_format_that_the_engine_does_not_load_is_refused(tmp_path: Path) -> None:
    """Safetensors on llama.cpp: what to name instead is in the sentence."""
    files = tiny.plain()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="loads GGUF"):
        prepare(str(tmp_path), runner=FakeEngine())


def test_a_run_reconciles_with_its_plan(model: str) -> None:
    """An engine that does as planned is as planned; its speeds stand beside assumed ones."""
    engine = FakeEngine()
    ready = prepare(model, runner=engine, context=128)
    with engine.start(ready.plan) as running:
        done = list(running.generate(Ask(prompt="one two", max_tokens=3)))[-1]
        assert isinstance(done, Done)
        found = reconcile_run(ready.plan, running, done.timings, host_now(), others=0.0)
    terms = {term.name: term for term in found.terms}
    assert terms["weights"].inside
    assert terms["kv_cache"].inside
    assert found.planned_bytes == ready.plan.total_bytes
    assert isinstance(terms["decode"].seen, Seen)
    assert isinstance(terms["decode"].expected, Expected)
    assert terms["decode"].expected.basis is Basis.ASSUMED
    assert "2 tokens of prompt at 100 tokens/s, 3 of answer at 10" in timing_line(done.timings or _none())
    screen = reconciliation_screen(found)
    assert any("as planned" in row for row in screen.rows)
    document = reconciliation_document(found)
    assert {term["name"]: term["difference"] for term in document["terms"]}["kv_cache"] == 0
    assert engine.started[0].stopped


def _none() -> None:
    pytest.fail("nothing was timed")


def test_process_memory_is_its_parts_and_the_rest(model: str) -> None:
    """Of a process the resident bytes are seen; what no part explains is written as that."""
    engine = FakeEngine()
    ready = prepare(model, runner=engine, context=128)
    running = engine.start(ready.plan)
    running.pid = os.getpid()
    found = reconcile_run(ready.plan, running, None, host_now())
    account = found.accounts[0]
    assert account.name == "process memory"
    assert isinstance(account.whole, Seen)
    assert account.unexplained == account.whole.value - account.explained
    assert "unexplained" in reconciliation_screen(found).accounts[0]
    weights = next(term for term in found.terms if term.name == "weights")
    other = replace(found, terms=(replace(weights, seen=Seen(1.0, weights.seen.quality, "log")),))  # type: ignore[union-attr]
    assert isinstance(weights.expected, Expected)
    assert "outside" in reconciliation_screen(other).rows[0]


def test_a_process_that_is_gone_has_no_memory() -> None:
    """A reason, never a zero; without devices that list processes there is none either."""
    assert isinstance(resident_bytes(os.getpid()), Value)
    assert isinstance(resident_bytes(1 << 22), Absent)
    from hwledger.telemetry.probing import probe  # noqa: PLC0415 - only here

    seen = replace(probe(only=frozenset({"host"})), devices=())
    assert isinstance(device_bytes(seen, os.getpid()), Absent)


def test_what_is_no_address_is_said() -> None:
    """A model's name is no running engine."""
    with pytest.raises(UsageError, match="no address of a running engine"):
        reconcile_server("Qwen/Qwen3-8B")
