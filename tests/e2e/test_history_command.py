"""``hwledger plan --record`` and ``hwledger history`` as a user calls them."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hwledger.app import plan
from hwledger.cli import run as call
from hwledger.history import history, local_ledger, plan_event
from hwledger.ledger.event import body_of, event_of
from hwledger.ledger.opening import open_reader
from hwledger.ledger.sqlite import SqliteStore
from hwledger.ledger.types import shipped_types
from support.events import event
from support.process import run

pytestmark = pytest.mark.requirement("FR-LEDGER-RECORD")
MODEL = "Qwen/Qwen3-32B"
PLAN = ("plan", MODEL, "--engine", "vllm", "--device", "2x H100 SXM", "--context", "32k")


def recorded() -> list[dict[str, Any]]:
    """Return the data of every event of the local ledger."""
    with open_reader(local_ledger()) as reader:
        return [dict(event_of(entry.body).data) for entry in reader.read()]


def test_a_plan_is_recorded_with_the_hash_of_what_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """What is looked for later stands in it in whole numbers; its hash is that of the JSON in a pipe."""
    assert call([*PLAN, "--record", "--json"]) == 0
    out, err = capfd.readouterr()
    assert "recorded as event 1 of" in err
    document = json.loads(out)
    (data,) = recorded()
    assert data["sha256"] == sha256(out.encode()).hexdigest()
    assert data["model"] == document["model"]["id"]
    assert (data["engine"], data["engine_version"]) == ("vllm", document["engine"]["version"])
    assert (data["context_tokens"], data["concurrency"]) == (32768, 1)
    assert data["total_bytes"] == document["memory"]["total_bytes"]
    assert (data["verdict"], len(data["devices"])) == (document["fit"]["verdict"], 2)


def test_a_plan_without_recording_makes_no_ledger() -> None:
    """Nothing is written that was not asked for."""
    assert run(*PLAN).returncode == 0
    assert not local_ledger().exists()


def test_a_plan_that_does_not_fit_is_recorded_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict is part of the record, and stays the exit code; without a device there is none."""
    assert call(["plan", MODEL, "--engine", "vllm", "--device", "RTX 4090", "--record"]) == 3
    assert call(["plan", MODEL, "--engine", "vllm", "--record"]) == 0
    assert "recorded as event 2" in capsys.readouterr().err
    first, second = recorded()
    assert first["verdict"] == "does_not_fit"
    assert "verdict" not in second


@pytest.mark.parametrize("more", [("--export", "vllm"), ("--solve", "context"), ("--what-if",), ("--grid",)])
def test_only_one_plan_is_recorded(capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    """A search and an export refuse it; nothing is made."""
    values = {"--what-if": ("context=64k",), "--grid": ("context=4k,8k",)}
    assert call([*PLAN, *more, *values.get(more[0], ()), "--record"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not local_ledger().exists()


def test_plans_recorded_at_once_wait_for_each_other() -> None:
    """Four processes at the same time: four events, one chain."""
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run(*PLAN, "--record"), range(4)))
    assert [one.returncode for one in done] == [0] * 4, [one.stderr for one in done]
    assert len(recorded()) == 4
    assert call(["ledger", "verify"]) == 0


def test_history_of_a_model_and_a_host(capsys: pytest.CaptureFixture[str]) -> None:
    """What is on record of one name, oldest first; others are not shown."""
    assert call([*PLAN, "--record"]) == 0
    with SqliteStore(local_ledger()) as store:
        store.append([event(1, "host/rack-7"), event(2, "host/rack-8"), event(3, f"model/{MODEL}")])
    capsys.readouterr()
    assert call(["history", MODEL]) == 0
    out = capsys.readouterr().out
    assert "plan.created.v1" in out
    assert "32768 tokens" in out
    assert "fits" in out
    assert "rack" not in out
    assert call(["history", "rack-7", "--json"]) == 0
    assert [one["seq"] for one in json.loads(capsys.readouterr().out)["events"]] == [2]
    assert call(["history", "host/rack-7", "--after", "2"]) == 0
    assert "nothing after 2" in capsys.readouterr().out
    assert call(["history", MODEL, "--limit", "1"]) == 0
    assert "--after 1" in capsys.readouterr().out
    assert [entry.seq for entry in history(MODEL)] == [1, 4]


def test_a_name_that_is_not_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a ledger, and with one: one sentence, with near names, exit code 4."""
    assert call(["history", MODEL]) == 4
    assert "there is no ledger" in capsys.readouterr().err
    assert call([*PLAN, "--record"]) == 0
    capsys.readouterr()
    assert call(["history", "Qwen3-32"]) == 4
    assert f"on record are: {MODEL}" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_written_fails_the_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever asks for a record gets one or an error, and no plan that looks as if it were recorded."""
    (tmp_path / "text").write_text("no ledger at all, but a file that somebody may want to keep " * 3)
    monkeypatch.setenv("HWLEDGER_LEDGER", str(tmp_path / "text"))
    assert call([*PLAN, "--record"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "is no ledger" in err


def test_the_event_is_checked_and_pure() -> None:
    """The same plan, moment and random bytes give the same event, for a user of any name."""
    made = plan(MODEL, engine="vllm")
    for user in ("anna", "Jörg Meyer", "a\nb"):
        one, other = (plan_event(made, b"{}", 1_764_061_200_000_000, bytes(10), user) for _ in range(2))
        assert body_of(one) == body_of(other)
        shipped_types().check(one)


def test_recording_loads_no_ledger_into_plans_that_do_not() -> None:
    """A plan without --record imports nothing of the ledger."""
    code = (
        "import sys; from hwledger.cli import run;"
        "run(['plan', 'Qwen/Qwen3-32B', '--engine', 'vllm', '--json']);"
        "rooms = ('hwledger.ledger', 'hwledger.history', 'sqlalchemy');"
        "print(any(name.startswith(rooms) for name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"
