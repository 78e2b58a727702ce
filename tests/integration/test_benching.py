"""Benchmarks: cells measured beside their plans, busy ones told apart, and written whole after each."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger import benching
from hwledger.benching import Wanted, bench
from hwledger.errors import UsageError
from hwledger.library.benchmarks.store import load_calibration
from hwledger.reconcile.bench import (
    AXES,
    COLUMNS,
    Bench,
    Cell,
    Outcome,
    bench_csv,
    bench_document,
    settings_of,
)
from hwledger.runner.fake import FakeEngine
from hwledger.running import Prepared, prepare
from hwledger.screens.bench import bench_notes, bench_rows
from hwledger.shipped import shipped_text
from support import tiny
from support.engines import needs

pytestmark = pytest.mark.requirement("FR-RUN-BENCH")


def measured(
    tmp_path: Path, text: str, engine: FakeEngine | None = None, **wanted: object
) -> tuple[list[Bench], list[str]]:
    """Return the benchmark after each cell, and what was told meanwhile."""
    path, told = tmp_path / "tiny.gguf", list[str]()
    path.write_bytes(tiny.gguf_file())
    runner = engine or FakeEngine()

    def prepared(context: int | None, concurrency: int | None) -> Prepared:
        return prepare(str(path), runner=runner, context=context, concurrency=concurrency)

    asked = replace(Wanted(output_tokens=8), **wanted)  # type: ignore[arg-type]
    return list(bench(settings_of(text), prepared, asked, told.append, told.append)), told


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody else use the machine."""
    monkeypatch.setattr(benching, "others_share", lambda *_: 0.0)


@pytest.mark.usefixtures("quiet")
def test_every_cell_is_measured_beside_its_plan(tmp_path: Path) -> None:
    """Users times repeats are timed; prompts fill what the context leaves; progress is told."""
    found, told = measured(tmp_path, "context=64:128,concurrency=1:2", repeats=2)
    assert [len(each.cells) for each in found] == [1, 2, 3, 4]
    last = found[-1]
    assert [(cell.context, cell.concurrency, cell.requests) for cell in last.cells] == [
        (64, 1, 2), (64, 2, 4), (128, 1, 2), (128, 2, 4),
    ]  # fmt: skip
    for cell in last.cells:
        assert cell.outcome is Outcome.MEASURED
        assert (cell.decode, cell.prefill, cell.spread) == (10.0, 100.0, 0.0)
        assert 0 < (cell.prompt_tokens or 0) <= cell.context - 8
        assert cell.expected("decode")
    assert last.device.endswith("cores)")
    assert any("3 of 4: context 128, 1 at once, round 2" in line for line in told)


def test_a_busy_machine_is_said_and_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its speeds are shown and judge nothing; a quiet round among busy ones counts alone."""
    shares = iter([0.4, 0.4, 0.4, 0.4, 0.02, 0.4])
    monkeypatch.setattr(benching, "others_share", lambda *_: next(shares))
    (*_, found), _ = measured(tmp_path, "context=64:128", repeats=3)
    busy, quiet = found.cells
    assert (busy.outcome, busy.requests, quiet.outcome, quiet.requests) == (
        Outcome.BUSY,
        3,
        Outcome.MEASURED,
        1,
    )
    assert busy.found
    assert all(not term.doubt or term.inside is None for term in busy.found.terms)
    assert not any(point.source.endswith("busy") for point in load_calibration().points)
    assert any("1 of 2 cells were measured while the machine was busy" in note for note in bench_notes(found))


@pytest.mark.usefixtures("quiet")
def test_what_fails_or_does_not_fit_is_a_cell(tmp_path: Path) -> None:
    """The others go on; each says why; --anyway tries what does not fit."""
    (*_, found), _ = measured(tmp_path, f"context=64:{1 << 38}")
    assert [cell.outcome for cell in found.cells] == [Outcome.MEASURED, Outcome.DOES_NOT_FIT]
    (*_, found), _ = measured(tmp_path, "", FakeEngine(fails_after=3))
    assert (found.cells[0].outcome, found.cells[0].why) == (
        Outcome.FAILED, "the fake engine broke, as it was told to",
    )  # fmt: skip
    rows = bench_rows(found)
    assert rows[0][-1] == "failed"
    assert bench_notes(found)


@pytest.mark.usefixtures("quiet")
def test_it_is_kept_for_later_plans_unless_asked_not_to(tmp_path: Path) -> None:
    """With ``record=False`` nothing is left behind."""
    (*_, found), _ = measured(tmp_path, "", record=False)
    assert found.cells[0].outcome is Outcome.MEASURED
    assert not load_calibration().points
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [("quant,context", "unknown axis"), ("context,context", "twice"), ("context=0", "1 or more"),
     ("context=x", "x"), (f"context={':'.join(map(str, range(1, 99)))},users=1:2:3", "more than")],
)  # fmt: skip
def test_bad_grids_are_one_sentence(text: str, why: str) -> None:
    """What cannot be a grid says what can."""
    with pytest.raises(UsageError, match=why):
        settings_of(text)


def test_a_grid_without_values_has_some() -> None:
    """Both axes; one axis leaves the other as planned; none is one cell."""
    assert len(settings_of("context,concurrency")) == len(AXES["context"]) * len(AXES["concurrency"])
    assert settings_of("users=2k:4") == ((None, 2048), (None, 4))
    assert settings_of("") == ((None, None),)


@settings(max_examples=25)
@given(st.sampled_from(Outcome), st.text(max_size=30), st.none() | st.floats(1e-3, 1e7), st.integers(1, 9))
def test_both_files_hold_the_same(outcome: Outcome, why: str, rate: float | None, users: int) -> None:
    """CSV and JSON have the figures of every cell, and what is not known is empty and null."""
    cell = Cell(context=512, concurrency=users, outcome=outcome, why=why, decode=rate)
    made = Bench(model="a,b\n", engine="e", version="1", device='"d"', started="now", cells=(cell, cell))
    rows = list(csv.DictReader(io.StringIO(bench_csv(made))))
    document = bench_document(made)
    jsonschema.validate(document, json.loads(shipped_text("hwledger.reconcile", "schemas/bench-1.json")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(document["cells"]) == 2
    assert rows[0]["model"] == "a,b"
    assert rows[0]["decode_tokens_per_second"] == ("" if rate is None else str(rate))
    assert document["cells"][0]["decode_tokens_per_second"] == rate


@pytest.mark.enable_socket
def test_a_real_model_is_measured(smollm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users at once on llama.cpp: both files, every figure, and the process's memory in its interval."""
    needs("xllamacpp")
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    files = tmp_path / "b.json", tmp_path / "b.csv"
    words = [
        "bench", str(smollm), "--grid", "context=256,concurrency=2", "--prompt-tokens", "40", "--max-tokens",
        "4", "--repeat", "1", "--write", str(files[0]), "--write", str(files[1]),
    ]  # fmt: skip
    command = [sys.executable, "-m", "hwledger", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(files[0].read_text())
    jsonschema.validate(document, json.loads(shipped_text("hwledger.reconcile", "schemas/bench-1.json")))
    (cell,) = document["cells"]
    assert cell["requests"] == 2
    for name in ("prefill_tokens_per_second", "decode_tokens_per_second", "ttft_seconds", "memory_bytes"):
        assert cell[name] > 0
    assert 30 <= cell["prompt_tokens"] <= 44
    (account,) = cell["reconciliation"]["accounts"]
    assert account["inside"] is True
    assert files[1].read_text().count("\n") == 2
    assert "written: " in ran.stdout
