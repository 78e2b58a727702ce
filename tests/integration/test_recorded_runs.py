"""Runs and reconciliations on record: written by ``run`` and ``reconcile``, read back, never in the way."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hwledger.cli import run as call
from hwledger.errors import AmbiguousError, MissingError, UsageError
from hwledger.history import local_ledger
from hwledger.ledger.event import Event, event_of
from hwledger.ledger.sqlite import SqliteReader, SqliteStore
from hwledger.recording import recall
from hwledger.runner.engine import Engine
from hwledger.runner.fake import FakeEngine
from hwledger.shipped import shipped_text
from support import tiny

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-REC-RECORD")]


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return a small GGUF file."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    return str(path)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Put the fake engine where the installed ones are looked for."""
    fake = FakeEngine()

    def named(name: str) -> list[Engine]:
        del name
        return [fake]

    monkeypatch.setattr("hwledger.running._named", named)
    return fake


def events() -> list[Event]:
    """Return every event of the local ledger."""
    with SqliteReader(local_ledger()) as reader:
        return [event_of(entry.body) for entry in reader.read()]


def ran(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """Return what a call that succeeds prints."""
    assert call(list(words)) == 0
    return capfd.readouterr()


def test_a_run_is_three_events(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Its beginning with the plan, its end with what was timed, and predicted beside measured."""
    ran(capfd, "run", model, "one two three", "--max-tokens", "3", "--context", "128")
    started, finished, made = events()
    kinds = [each.type.removeprefix("fleet.") for each in (started, finished, made)]
    assert kinds == ["run.started.v1", "run.finished.v1", "reconciliation.made.v1"]
    assert started.id == started.data["run"] == finished.data["run"] == made.data["run"]
    assert (started.data["engine"], started.data["context_tokens"]) == ("llama.cpp", 128)
    assert (finished.data["ending"], finished.data["output_tokens"]) == ("length", 3)
    assert finished.data["decode_thousandths_per_second"] == 10_000
    assert made.data["planned_bytes"] == started.data["planned_bytes"]


def test_a_run_is_shown_again(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """By last, by its id and by the end of it: what was measured then, word for word, by the schema."""
    _, err = ran(capfd, "run", model, "one two", "--max-tokens", "2", "--context", "128")
    found = re.search(r"on record as run (\S+);", err)
    assert found
    run = found[1]
    for name in ("last", run, run[-6:]):
        out, _ = ran(capfd, "reconcile", name)
        assert f"run {run} of 20" in out
        assert "fake, reported" in out
    document = json.loads(ran(capfd, "reconcile", run, "--json")[0])
    schema = json.loads(shipped_text("hwledger.reconcile", "schemas/reconciliation-1.json"))
    Draft202012Validator(schema).validate(document)
    assert document["recorded"]["run"] == run
    assert {term["name"] for term in document["terms"]} >= {"weights", "decode"}
    assert len(events()) == 3  # looking adds nothing


def test_history_tells_runs_in_words(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Under the model's name, a line for each event."""
    ran(capfd, "run", model, "one two", "--max-tokens", "2", "--context", "128")
    name = recall("last").found.model
    out, _ = ran(capfd, "history", name)
    for words in ("run.started", "planned", "2 tokens of answer", "decode 10 tokens/s", "figures as planned"):
        assert words in out


def test_a_run_that_fails_is_on_record(model: str, engine: FakeEngine) -> None:
    """How it ended and why; nothing is reconciled."""
    engine.fails_after = 1
    assert call(["run", model, "one two", "--context", "128"]) == 6
    started, finished = events()
    assert finished.data["ending"] == "failed"
    assert "broke, as it was told to" in finished.data["reason"]
    assert finished.data["run"] == started.data["run"]


def test_nothing_is_written_that_is_not_wanted(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With --no-record there is no ledger afterwards; in JSON the run has no id."""
    words = ("run", model, "one", "--max-tokens", "1", "--context", "128", "--no-record", "--json")
    out, err = ran(capfd, *words)
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert next(line for line in lines if line["event"] == "starting")["run"] is None
    assert "record" not in err
    assert not local_ledger().exists()


def test_a_ledger_that_is_held_stops_no_run(
    model: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes it: the run goes on, and one sentence says that it is not on record."""
    monkeypatch.setattr("hwledger.recording.PATIENCE_SECONDS", 0.0)
    with SqliteStore(local_ledger()):
        out, err = ran(capfd, "run", model, "one", "--max-tokens", "1", "--context", "128")
    assert out.strip() == "one"
    assert err.count("not put on record") == 1
    assert "on record as" not in err


def test_a_ledger_that_is_broken_stops_no_run(
    model: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is no ledger, and a folder that cannot be made: the same sentence."""
    (tmp_path / "text").write_text("no ledger at all, but a file that somebody may want to keep " * 3)
    for place in (tmp_path / "text", tmp_path / "text" / "below" / "ledger.db"):
        monkeypatch.setenv("HWLEDGER_LEDGER", str(place))
        out, err = ran(capfd, "run", model, "one", "--max-tokens", "1", "--context", "128")
        assert out.strip() == "one"
        assert err.count("not put on record") == 1


def test_names_of_runs_are_held_to_what_is_there(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No ledger, no run of that name, too short a name, several that fit: a sentence each."""
    assert call(["reconcile", "last"]) == 4
    ran(capfd, "run", model, "one", "--max-tokens", "1", "--context", "128")
    ran(capfd, "run", model, "one", "--max-tokens", "1", "--context", "128")
    with pytest.raises(MissingError, match="the latest is"):
        recall("nothing-like-it")
    with pytest.raises(UsageError, match="at least 4"):
        recall("01")
    first, second = (event.data["run"] for event in events() if event.type == "fleet.run.started.v1")
    common = next(first[:n] for n in range(len(first), 0, -1) if first[:n] == second[:n])
    with pytest.raises(AmbiguousError):
        recall(common[:8])
    assert recall(second).run == second
    assert recall("last").run == second
    assert call(["reconcile", "last", "--device", "RTX 4090"]) == 2
    assert call(["reconcile"]) == 2
