"""``hwledger calibrate``: from a benchmark's output to a corrected answer, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hwledger.cli import hwledger as command

BENCH = """
| model         |     size | params | backend | ngl |  test |          t/s |
| ------------- | -------: | -----: | ------- | --: | ----: | -----------: |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 | tg128 | 150.0 ± 0.50 |
"""
MODEL = ("meta-llama/Llama-2-7b-hf", "--weights", "Q4_0", "--device", "RTX 4090")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWLEDGER_DATA_DIR", str(tmp_path / "data"))


def run(*words: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(command, list(words))


def decode() -> dict[str, Any]:
    """Return the decoding speed that a plan states."""
    made = run("plan", *MODEL, "--engine", "llama.cpp", "--context", "640", "--json")
    figure: dict[str, Any] = json.loads(made.output)["throughput"]["decode_tokens_per_second"]
    return figure


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_benchmark_corrects_later_plans_until_it_is_forgotten(tmp_path: Path) -> None:
    """Stored whole, listed with its error, used by ``plan``, forgotten by number."""
    before = decode()
    (tmp_path / "bench.md").write_text(BENCH, "utf-8")
    stored = run("calibrate", "--from", str(tmp_path / "bench.md"), "--model", *MODEL)
    assert stored.exit_code == 0, stored.output
    assert "bench.md" in stored.output
    after = decode()
    assert 150.0 < after["value"] < before["value"]
    assert "corrected by 1 measured run" in after["source"]
    shown = run("plan", *MODEL, "--engine", "llama.cpp", "--context", "640").output
    assert "corrected by 1 measured run of your own" in shown
    assert "own runs" in shown
    listed = json.loads(run("calibrate", "--list", "--json").output)
    assert [point["measured"] for point in listed["points"]] == [150.0]
    assert run("calibrate", "--forget", "1").exit_code == 0
    assert decode() == before


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give one of"),
        (("--list", "--forget", "all"), "give one of"),
        (("--forget", "7"), "names no stored runs"),
        (("--from", "{bench}"), "--device"),
        (("--from", "{bench}", "--device", "TPU v5e", "--model", MODEL[0]), "nothing to correct"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Exit code 2 and a sentence."""
    from hwledger.errors import HwledgerError  # noqa: PLC0415 - the command raises what main prints

    (tmp_path / "bench.md").write_text(BENCH, "utf-8")
    result = run("calibrate", *(word.format(bench=tmp_path / "bench.md") for word in words))
    assert isinstance(result.exception, HwledgerError)
    assert result.exception.exit_code == 2
    assert said in str(result.exception)


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "hwledger.calibration/1", "points": [{}]}'])
def test_a_broken_store_is_said(text: str, tmp_path: Path) -> None:
    """``plan`` goes on with the shipped constants and says so; ``calibrate`` names the file."""
    from hwledger.errors import MalformedError  # noqa: PLC0415 - the command raises what main prints

    plain = decode()
    path = tmp_path / "data" / "calibration.json"
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    result = run("plan", *MODEL, "--engine", "llama.cpp")
    assert result.exit_code == 0
    assert "hwledger calibrate --forget" in " ".join(result.output.split())
    assert decode() == plain
    listed = run("calibrate", "--list")
    assert isinstance(listed.exception, MalformedError)
    assert str(path) in str(listed.exception)
    assert run("calibrate", "--forget", "all").exit_code == 0
    assert "--forget" not in run("plan", *MODEL, "--engine", "llama.cpp").output


OWN = {"engine": "llama.cpp", "prompt_tokens": 512, "output_tokens": 128}


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"ttft_seconds": 0.5}, "time to the first token alone"),
        ({"decode_tokens_per_second": 975.0}, "far off"),
    ],
)
def test_a_run_that_corrects_nothing_is_refused(figures: dict[str, float], said: str, tmp_path: Path) -> None:
    """A first token alone, and a speed far from what is predicted: a sentence, and nothing is stored."""
    from hwledger.errors import UsageError  # noqa: PLC0415 - the command raises what main prints

    path = tmp_path / "own.json"
    path.write_text(json.dumps({"schema": "hwledger.runs/1", "runs": [{**OWN, **figures}]}), "utf-8")
    result = run("calibrate", "--from", str(path), "--model", *MODEL)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert json.loads(run("calibrate", "--list", "--json").output)["points"] == []


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
def test_an_impossible_stored_rate_is_said(tmp_path: Path) -> None:
    """A store that was edited by hand never ends in an arithmetic error."""
    from hwledger.errors import MalformedError  # noqa: PLC0415 - the command raises what main prints

    path = tmp_path / "data" / "calibration.json"
    path.parent.mkdir()
    point = {"quantity": "decode_tokens_per_second", "measured": 1e-322, "predicted": 100.0}
    path.write_text(json.dumps({"schema": "hwledger.calibration/1", "points": [point]}), "utf-8")
    result = run("calibrate", "--list")
    assert isinstance(result.exception, MalformedError)
    assert "1e-322" in str(result.exception)
    assert "1e-322" in run("plan", *MODEL, "--engine", "llama.cpp").output


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_the_same_file_is_stored_once(tmp_path: Path) -> None:
    """Calibrating twice from one file is one run."""
    (tmp_path / "bench.md").write_text(BENCH, "utf-8")
    for _ in range(2):
        assert run("calibrate", "--from", str(tmp_path / "bench.md"), "--model", *MODEL).exit_code == 0
    assert len(json.loads(run("calibrate", "--list", "--json").output)["points"]) == 1


STATED = """
| model                   |     size | params | backend | ngl |  test |          t/s |
| ----------------------- | -------: | -----: | ------- | --: | ----: | -----------: |
| qwen3 8B Q4_K - Medium  | 4.68 GiB | 8.19 B | CUDA    |  99 | tg128 | 130.0 ± 0.50 |
"""


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_the_quantisation_that_the_file_states_is_planned(tmp_path: Path) -> None:
    """Without ``--weights`` the run is held against the packing of its file, not against bf16."""
    (tmp_path / "lb.md").write_text(STATED, "utf-8")
    words = ("calibrate", "--from", str(tmp_path / "lb.md"), "--model", "qwen3-8b", "--device", "RTX 4090")
    assert run(*words).exit_code == 0
    (point,) = json.loads(run("calibrate", "--list", "--json").output)["points"]
    assert point["model"].endswith(" Q4_K_M")
    assert point["predicted"] == pytest.approx(130.0, rel=0.3)


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("words", "said"),
    [(("--model", "llama-3.3-70b"), "8.19"), (("--model", "qwen3-8b", "--weights", "Q8_0"), "4.68 GiB")],
)
def test_a_file_of_another_model_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Parameters and size that the file states are held against the model that is named."""
    from hwledger.errors import UsageError  # noqa: PLC0415 - the command raises what main prints

    (tmp_path / "lb.md").write_text(STATED, "utf-8")
    result = run("calibrate", "--from", str(tmp_path / "lb.md"), "--device", "RTX 4090", *words)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize("bad", ["-5.00", "0.00", "abc"])
def test_rows_that_are_left_out_are_said(bad: str, tmp_path: Path) -> None:
    """How many and why; the others are stored."""
    lines = [*BENCH.strip().splitlines(), BENCH.strip().splitlines()[-1].replace("150.0", bad)]
    (tmp_path / "bench.md").write_text("\n".join(lines), "utf-8")
    result = run("calibrate", "--from", str(tmp_path / "bench.md"), "--model", *MODEL)
    assert result.exit_code == 0
    assert f"1 row left out: a speed of '{bad}" in result.output
    assert len(json.loads(run("calibrate", "--list", "--json").output)["points"]) == 1


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "FR-SOLVE-CLI")
def test_every_answer_that_runs_correct_says_so(tmp_path: Path) -> None:
    """Solving, fitting, comparing, what-if and grids say in one line that runs of one's own correct them."""
    ref, weights, where = MODEL[0], MODEL[1:3], MODEL[3:]
    one = ("--engine", "llama.cpp", *where)
    calls = {
        "layout": ("plan", ref, *weights, *one, "--solve", "devices"),
        "catalogue": ("plan", ref, *one, "--solve", "all", "--context", "640"),
        "what-if": ("plan", ref, *weights, *one, "--what-if", "users=2"),
        "grid": ("plan", ref, *one, "--grid", "quant=Q4_0:Q8_0,context=1k:2k"),
        "fit": ("fit", "Llama-2-7b", *one, "--catalogue"),
        "compare": ("compare", ref, *weights, "--weights", "Q8_0", *one),
    }
    before = {name: run(*words).output for name, words in calls.items()}
    assert not any("of your own" in text for text in before.values())
    bench = tmp_path / "bench.md"
    bench.write_text(BENCH, "utf-8")
    assert run("calibrate", "--from", str(bench), "--model", *MODEL).exit_code == 0
    after = {name: run(*words).output for name, words in calls.items()}
    assert {name for name, text in after.items() if "of your own" in text} == calls.keys()
    assert "looked through by figures without them" in after["catalogue"]
    grid = json.loads(run(*calls["grid"], "--json").output)
    assert any("of your own" in note for note in grid["notes"])
