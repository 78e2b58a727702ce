"""One's own accuracy: the plans of this machine beside what was seen, from the record."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwledger.cli import run as cli
from hwledger.errors import HwledgerError
from hwledger.mine import mine
from hwledger.planner.memory import Basis
from hwledger.reconcile.term import Account, Expected, Quality, Reconciliation, Seen, Term, Unknown
from hwledger.recording import Recorder
from hwledger.telemetry.engines.llama_saved import saved_prompts
from hwledger.telemetry.quantity import Unit
from hwledger.telemetry.reading import Absent, bytes_of

pytestmark = pytest.mark.requirement("FR-CAL-MINE")
OWN = "speed model; corrected by 1 measured run of your own"


def term(name: str, planned: float, seen: float, source: str = "rule", doubt: str = "") -> Term:
    """Return a term in tokens per second."""
    expected = Expected(planned, 0.8 * planned, 1.25 * planned, Basis.CALIBRATED, source)
    return Term(name, Unit.TOKENS_PER_SECOND, expected, Seen(seen, Quality.REPORTED, "timings"), doubt)


def put(*terms: Term, engine: str = "llama.cpp") -> None:
    """Put a reconciliation on record."""
    expected = Expected(100.0, 90.0, 120.0, Basis.ASSUMED, "rule")
    account = Account("process memory", Seen(110.0, Quality.MEASURED, "RSS"), (), "", expected)
    recorder = Recorder(pytest.fail)
    recorder.reconciled(Reconciliation(
        model="org/m", engine=engine, planned_as=engine, planned_version="b1", seen_version="b1", terms=terms,
        accounts=(account,),
    ))  # fmt: skip


def test_plans_are_held_against_the_record() -> None:
    """By engine and component; what one's own runs corrected apart; doubt and the unknown judge nothing."""
    unknown = replace(term("decode", 1, 1), seen=Unknown("nobody asked"))
    put(term("decode", 50, 100), unknown, term("prefill", 1, 500, doubt="busy"))
    put(term("decode", 99, 100, OWN))
    put(term("decode", 7, 70), engine="vllm")
    found = mine(["llama.cpp"])
    errors = {(each.component, each.regime): each.error for each in found.results}
    assert errors == {
        ("decode", "b1, calibrated"): -0.5, ("decode", "b1, calibrated by own runs"): pytest.approx(-0.01),
        ("process memory", "b1, assumed"): pytest.approx(-1 / 11),
    }  # fmt: skip
    assert (found.doubted, found.unreadable) == (1, 0)
    assert {each.engine for each in mine().results} == {"llama.cpp", "vllm"}
    assert [each.inside for each in found.results if each.component == "decode"] == [False, True]


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As a table and as hwledger.accuracy/1; a page of it is refused; without a ledger it is one sentence."""
    assert cli(["accuracy", "--mine"]) == 4
    put(term("decode", 50, 100), term("prefill", 1, 500, doubt="busy"))
    capsys.readouterr()
    assert cli(["accuracy", "--mine", "--json"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert {each["component"] for each in document["summaries"]} == {"decode", "process memory"}
    assert "left out: 1 of speeds measured while the machine was busy" in told.err
    assert cli(["accuracy", "--mine"]) == 0
    assert "decode" in capsys.readouterr().out
    assert cli(["accuracy", "--mine", "--engine", "mlx"]) == 0
    assert "nothing is on record that judges a plan" in capsys.readouterr().out
    assert cli(["accuracy", "--mine", "--page", str(tmp_path / "x.md")]) == 2


def test_what_cannot_be_read_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reconciliation of another shape hides no other."""
    from hwledger import recording  # noqa: PLC0415 - only here

    put(term("decode", 50, 100))
    put(term("decode", 50, 100))
    read, seen = recording.read_record, list[int]()

    def broken(data: dict[str, object]) -> Reconciliation:
        seen.append(1)
        if len(seen) == 1:
            raise HwledgerError("it is broken")
        return read(data)

    monkeypatch.setattr(recording, "read_record", broken)
    found = mine()
    assert (found.unreadable, len(found.results)) == (1, 2)


def test_saved_prompts_are_those_of_the_last_line() -> None:
    """llama.cpp keeps caches of earlier prompts; nothing is said where the log says nothing."""
    line = "srv        update:  - cache state: {} prompts, {} MiB (limits: 8192.000 MiB, 512 tokens, 3 est)\n"
    found = saved_prompts(line.format(1, "1.500") + line.format(3, "6.487"))
    assert bytes_of(found) == round(6.487 * (1 << 20))
    assert isinstance(saved_prompts("cache state: none"), Absent)
